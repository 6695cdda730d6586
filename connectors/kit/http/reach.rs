//! Which addresses a client connects to: none inside the operator's network, unless they are named.
//!
//! A name is looked at when it is resolved for a connection, so that it cannot mean one address when it is checked and
//! another when it is used; an address that is written in a URL is looked at before the call. URLs are parsed as
//! browsers do it: `0177.0.0.1` and `2130706433` are `127.0.0.1` by then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Hosts inside the operator's network that may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Names and addresses, in lower case.
    named: Arc<[String]>,
}

/// Why a host is not connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} has {}", if *.metadata { "the address of a cloud's metadata" } else { "an address that is not public" })]
pub struct Unreachable {
    host: String,
    metadata: bool,
}

impl Unreachable {
    /// What the operator can do.
    pub fn remedy(&self) -> &'static str {
        if self.metadata {
            "credentials of the machine are there: nothing is ever sent to it"
        } else {
            "where that is meant, name the host: private_hosts = [\"…\"]"
        }
    }
}

impl Reach {
    /// The public internet and these hosts.
    pub fn and(hosts: impl IntoIterator<Item = String>) -> Self {
        Self { named: hosts.into_iter().map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase()).collect() }
    }

    /// Whether a URL whose host is an address may be called; names are looked at when they are resolved. A loopback
    /// address that is written out is its own name: stand-ins are called so.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, url: &Url) -> Result<(), Unreachable> {
        let text = url.host_str().unwrap_or_default();
        let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() else { return Ok(()) };
        if address.is_loopback() {
            return Ok(());
        }
        self.admit(text, address)
    }

    fn admit(&self, host: &str, address: IpAddr) -> Result<(), Unreachable> {
        let metadata = is_metadata(address);
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        if !metadata && (is_public(address) || self.named.contains(&host)) {
            return Ok(());
        }
        Err(Unreachable { host, metadata })
    }

    /// Resolves a name; one of whose addresses none may be connected to is refused.
    fn screen(&self, name: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Unreachable> {
        let local = name.eq_ignore_ascii_case("localhost");
        let mut refused = None;
        let admitted = addresses.into_iter().filter(|address| match self.admit(name, address.ip()) {
            Ok(()) => true,
            Err(_) if local && address.ip().is_loopback() => true,
            Err(why) => {
                refused.get_or_insert(why);
                false
            }
        });
        let admitted: Vec<SocketAddr> = admitted.collect();
        match refused {
            Some(why) if admitted.is_empty() => Err(why),
            _ => Ok(admitted),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(reach.screen(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

/// Host and port of a URL, as a firewall knows them.
pub fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The refusal among the causes of an error.
pub(super) fn refusal<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Unreachable> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// Where clouds hand out credentials to whoever asks from inside: AWS, Google, Azure and others; AWS over IPv6; Alibaba;
/// Oracle.
fn is_metadata(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => matches!(v4.octets(), [169, 254, 169, 254] | [100, 100, 100, 200] | [192, 0, 0, 192]),
        IpAddr::V6(v6) => v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    }
}

/// Whether an address is one of the public internet (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // Global unicast is 2000::/3; of it protocol assignments (2001::/23), documentation (2001:db8::/32,
            // 3fff::/20) are not.
            (0x2000..0x4000).contains(&a) && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && !(a == 0x3fff && b < 0x1000)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_local = address.is_private() || address.is_loopback() || address.is_link_local();
    // This network, carriers' own, protocols' own, relays of 6to4, benchmarks, multicast and what is reserved.
    let is_special =
        a == 0 || a >= 224 || matches!([a, b, c], [100, 64..128, _] | [192, 0, 0] | [192, 88, 99] | [198, 18..20, _]);
    !(is_local || is_special || address.is_documentation())
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, translated (NAT64), 6to4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts that no URL may lead to.
    const INSIDE: &[&str] = &[
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "192.0.2.7",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        // Octal, hexadecimal, decimal, short.
        "012.0.0.1",
        "0xa.0x0.0x0.0x1",
        "0x0a000001",
        "167772161",
        "10.1",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.43518",
        // Percent-encoded, full-width digits.
        "%31%30.0.0.1",
        "１０.0.0.1",
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:a00:1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[::10.0.0.1]",
        "[2002:a00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "[fc00::1]",
        "[fd12:3456::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[::]",
        "[2001:db8::1]",
        "[2001::1]",
        "[100::1]",
        "[3fff::1]",
        "[5f00::1]",
    ];
    const OUTSIDE: &[&str] = &[
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "192.0.1.1",
        "[2606:4700::1111]",
        "[2001:4860::8888]",
        "[2002:808:808::]",
    ];

    fn url(host: &str) -> Url {
        Url::parse(&format!("https://{host}/v1")).unwrap_or_else(|e| panic!("{host}: {e}"))
    }

    #[test]
    fn no_address_inside_is_called_however_it_is_written() {
        for host in INSIDE {
            assert!(Reach::default().check(&url(host)).is_err(), "{host}");
        }
        for host in OUTSIDE {
            assert_eq!(Reach::default().check(&url(host)), Ok(()), "{host}");
        }
        assert!(INSIDE.len() >= 40);
    }

    #[test]
    fn a_named_host_is_called_and_metadata_never_is() {
        let reach = Reach::and(["10.0.0.1".to_owned(), "[FC00::1]".to_owned(), "169.254.169.254".to_owned()]);
        assert_eq!(reach.check(&url("10.0.0.1")), Ok(()));
        assert_eq!(reach.check(&url("[fc00::1]")), Ok(()));
        assert!(reach.check(&url("10.0.0.2")).is_err());
        assert!(reach.check(&url("169.254.169.254")).is_err_and(|why| why.metadata));
        // A stand-in on this machine.
        assert_eq!(Reach::default().check(&url("127.0.0.1")), Ok(()));
        assert_eq!(Reach::default().check(&url("[::1]")), Ok(()));
    }

    #[test]
    fn a_name_is_looked_at_when_it_is_resolved() {
        let at = |text: &str| SocketAddr::new(text.parse().expect("an address"), 443);
        let public = Reach::default();
        let mixed = vec![at("8.8.8.8"), at("10.0.0.1"), at("::ffff:169.254.169.254")];
        assert_eq!(public.screen("api.example.com", mixed), Ok(vec![at("8.8.8.8")]));
        // A name that leads inside, and one that leads to this machine without being `localhost`.
        for inside in ["10.0.0.1", "127.0.0.1", "::1"] {
            assert!(public.screen("rebound.example.com", vec![at(inside)]).is_err(), "{inside}");
        }
        assert_eq!(public.screen("localhost", vec![at("127.0.0.1")]), Ok(vec![at("127.0.0.1")]));
        let named = Reach::and(["CRM.internal".to_owned()]);
        assert_eq!(named.screen("crm.internal", vec![at("10.0.0.1")]), Ok(vec![at("10.0.0.1")]));
        assert!(named.screen("other.internal", vec![at("10.0.0.1")]).is_err());
        assert!(named.screen("crm.internal", vec![at("169.254.169.254")]).is_err());
    }
}
