//! Doors into the decoders of plans: as a file, and as what stands behind the seal, where no altered byte gets by
//! chance.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use backhaul_kit::FieldValue;
use backhaul_kit::value::FieldRef;
use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use secrecy::SecretString;

use super::footer::Footer;
use super::{PlanHeader, PlanReader, codec};
use crate::diff::Op;
use crate::snapshot::StateKey;

/// A plan file under the state key of 32 times 7.
pub fn plan_file(bytes: &[u8]) -> bool {
    let Ok(key) = StateKey::from_secret(&SecretString::from("07".repeat(32))) else { return false };
    let Ok(mut file) = memfd_create("plan", MemfdFlags::CLOEXEC).map(File::from) else { return false };
    if file.write_all(bytes).is_err() {
        return false;
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(plan) = PlanReader::open(Path::new(&path), &key) else { return false };
    let ops = plan.ops(None).take_while(Result::is_ok).count() as u64;
    assert!(ops <= plan.len() && (ops == plan.len()) == plan.verify().is_ok());
    true
}

/// The header behind the seal.
pub fn plan_header(bytes: &[u8]) -> bool {
    let Ok(header) = serde_json::from_slice::<PlanHeader>(bytes) else { return false };
    let again = serde_json::to_vec(&header).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    assert_eq!(again, Some(header));
    true
}

/// The footer behind the seal.
pub fn plan_footer(bytes: &[u8]) -> bool {
    let Some(footer) = Footer::decode(bytes) else { return false };
    assert_eq!(Footer::decode(&footer.encode()), Some(footer));
    true
}

/// The ops of a chunk behind the seal.
pub fn plan_ops(bytes: &[u8]) -> bool {
    let chunk = Bytes::copy_from_slice(bytes);
    let mut rest = &chunk[..];
    while !rest.is_empty() {
        let Some(op) = codec::decode(&chunk, &mut rest, 0, 0) else { return false };
        let mut encoded = Vec::new();
        codec::encode(&op, &mut encoded);
        let encoded = Bytes::from(encoded);
        let mut all = &encoded[..];
        assert_eq!(codec::decode(&encoded, &mut all, 0, 0).as_ref(), Some(&op));
        assert!(all.is_empty());
        values(&op);
    }
    true
}

/// The mapped values, which an op holds encoded, are read as they were written.
fn values(op: &Op) {
    for field in op.fields.iter() {
        let (mut encoded, owned) = (Vec::new(), FieldValue::from(field));
        owned.encode(&mut encoded);
        let mut rest = encoded.as_slice();
        // As text, because a NaN equals nothing.
        let text = |field: &FieldValue| format!("{field:?}");
        let again = FieldRef::decode(&mut rest).map(FieldValue::from);
        assert_eq!(again.as_ref().map(text), Some(text(&owned)));
        assert!(rest.is_empty());
    }
}
