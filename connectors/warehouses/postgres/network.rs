//! `inet`, `cidr`, `macaddr`: bytes to the text that the server prints.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// PostgreSQL's own numbers for the families.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// Family, prefix length, whether it is a `cidr`, length of the address, address.
pub(super) fn network(bytes: &[u8]) -> Option<String> {
    let (&[family, bits, is_cidr, len], address) = bytes.split_first_chunk::<4>()?;
    if usize::from(len) != address.len() || usize::from(bits) > address.len() * 8 {
        return None;
    }
    let (mut text, all_bits) = match family {
        IPV4 => (Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).to_string(), 32),
        IPV6 => (ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)), 128),
        _ => return None,
    };
    if is_cidr != 0 || bits != all_bits {
        let _ = write!(text, "/{bits}");
    }
    Some(text)
}

/// The server writes an IPv4 address in the last four bytes in dots when only zeros stand before it.
fn ipv6(address: Ipv6Addr) -> String {
    let parts = address.segments();
    if parts[..6].iter().all(|p| *p == 0) && parts[6] != 0 {
        let [.., a, b, c, d] = address.octets();
        return format!("::{}", Ipv4Addr::new(a, b, c, d));
    }
    address.to_string()
}

/// Six or eight bytes, in pairs of hexadecimal digits.
pub(super) fn mac(bytes: &[u8]) -> Option<String> {
    if !matches!(bytes.len(), 6 | 8) {
        return None;
    }
    let mut text = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02x}", if i > 0 { ":" } else { "" });
    }
    Some(text)
}
