//! Snapshots hold fingerprints: they stay what they are.

use std::sync::Arc;

use arrow_array::*;
use backhaul_kit::RowPage as _;

use super::{digests, list, map, page, structs};

/// A change here makes every row of every model of files look changed, once.
#[test]
fn fingerprints_stay_as_they_are() {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        Arc::new(StringArray::from(vec![Some("Ann"), Some(""), None])),
        Arc::new(Decimal128Array::from(vec![1250, -5, 0]).with_precision_and_scale(9, 2).expect("a scale")),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None, Some(-1)]).with_timezone("UTC")),
        Arc::new(Float64Array::from(vec![0.5, -0.0, f64::NAN])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(list().slice(0, 3)),
        Arc::new(structs()),
        Arc::new(map(&[&[("k", 1)], &[], &[("l", 2), ("m", 3)]])),
        Arc::new(Date32Array::from(vec![0, 1, 2])),
        Arc::new(BinaryArray::from(vec![&b"\x00"[..], b"", b"\xff"])),
        Arc::new(UInt64Array::from(vec![0, 1, u64::MAX])),
    ];
    let page = page(&columns, &[0, 1]);
    assert_eq!(page.rows(), 3);
    let found: Vec<String> =
        digests(&page).iter().map(|digest| format!("{:032x} {:016x}", digest.key.0, digest.fingerprint)).collect();
    insta::assert_snapshot!(found.join("\n"));
}
