//! Rows as COPY sent them.

use std::sync::Arc;

use backhaul_kit::{Fault, KeyHash, RowDecoder, RowDigest, RowPage, Value};

use super::copy::Tuples;
use super::layout::Layout;

/// Some rows of a scan.
pub(super) struct TuplePage {
    tuples: Tuples,
    layout: Arc<Layout>,
    lane: usize,
}

impl TuplePage {
    /// A page of these tuples, which belong to a lane of the scan.
    pub(super) fn new(tuples: Tuples, layout: Arc<Layout>, lane: usize) -> Self {
        Self { tuples, layout, lane }
    }

    fn tuple(&self, row: usize) -> Result<&[u8], Fault> {
        let start = match row.checked_sub(1) {
            Some(before) => self.tuples.ends.get(before).copied(),
            None => Some(0),
        };
        let end = self.tuples.ends.get(row).copied();
        start.zip(end).and_then(|(start, end)| self.tuples.data.get(start..end)).ok_or_else(|| no_row(row))
    }
}

impl RowPage for TuplePage {
    fn rows(&self) -> usize {
        self.tuples.ends.len()
    }

    fn lane(&self) -> usize {
        self.lane
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        let Self { tuples, layout, .. } = self;
        let (mut key, mut part) = (Vec::with_capacity(64), Vec::new());
        out.reserve(tuples.ends.len());
        let mut start = 0;
        for end in &tuples.ends {
            let tuple = tuples.data.get(start..*end).ok_or_else(|| no_row(out.len()))?;
            start = *end;
            key.clear();
            let has_key = layout.put_key(tuple, &mut key, &mut part)?;
            out.push(RowDigest {
                key: if has_key { KeyHash::of(&key, layout.seed) } else { KeyHash::NULL },
                fingerprint: layout.fingerprint(tuple, &mut part),
            });
        }
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.layout.put_key(self.tuple(row)?, out, &mut Vec::new())? {
            Ok(())
        } else {
            Err(Fault::bug("the key of a row was asked for, but a part of it is NULL"))
        }
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        self.layout.record(self.tuple(row)?)
    }

    fn value(&self, row: usize, column: usize) -> Result<Value, Fault> {
        self.layout.value(self.tuple(row)?, column)
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(self.tuple(row)?);
        Ok(())
    }

    fn decoder(&self) -> Arc<dyn RowDecoder> {
        self.layout.clone()
    }
}

fn no_row(row: usize) -> Fault {
    Fault::bug(format!("row {row} was asked of a page that does not have it"))
}

#[cfg(test)]
mod tests {
    use super::super::layout::Field;
    use super::super::types::Wire;
    use super::*;
    use backhaul_kit::key;
    use proptest::prelude::*;

    fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = i16::try_from(fields.len()).expect("few").to_be_bytes().to_vec();
        for field in fields {
            match field {
                None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                Some(bytes) => {
                    out.extend_from_slice(&i32::try_from(bytes.len()).expect("short").to_be_bytes());
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    fn page(columns: &[(&str, Wire)], key: &[usize], tuples: &[Vec<u8>]) -> TuplePage {
        page_of(columns, columns.len(), key, tuples)
    }

    fn page_of(columns: &[(&str, Wire)], fingerprinted: usize, key: &[usize], tuples: &[Vec<u8>]) -> TuplePage {
        let fields = columns
            .iter()
            .map(|(name, wire)| Field { name: (*name).into(), native: "x".into(), wire: wire.clone() })
            .collect();
        let mut all = Tuples::default();
        for tuple in tuples {
            all.data.extend_from_slice(tuple);
            all.ends.push(all.data.len());
        }
        let layout = Layout::new(fields, key.to_vec(), 7).expect("a layout").fingerprinting(fingerprinted);
        TuplePage::new(all, Arc::new(layout), 0)
    }

    fn digests(page: &TuplePage) -> Vec<RowDigest> {
        let mut out = Vec::new();
        page.digest(&mut out).expect("digests");
        out
    }

    #[test]
    fn keys_and_digests_agree() {
        let columns = [("name", Wire::Text), ("id", Wire::Int4), ("region", Wire::Text)];
        let row = |id: i32, region: &[u8]| tuple(&[Some(b"x"), Some(&id.to_be_bytes()), Some(region)]);
        let page = page(&columns, &[1, 2], &[row(1, b"eu"), row(2, b"eu"), row(1, b"eu")]);
        let found = digests(&page);
        assert_eq!(found[0], found[2]);
        assert_ne!(found[0].key, found[1].key);
        assert_ne!(found[0].fingerprint, found[1].fingerprint);
        let mut key = Vec::new();
        page.key(1, &mut key).expect("a key");
        assert_eq!(KeyHash::of(&key, 7), found[1].key);
        assert_eq!(key::display(&key), "2,eu");
        assert_eq!(page.record(1).expect("a record")[1], Value::Int(2));
        let mut raw = Vec::new();
        page.raw(1, &mut raw).expect("a row");
        assert_eq!(page.decoder().record(&raw).expect("a record"), page.record(1).expect("a record"));
    }

    #[test]
    fn columns_that_are_only_looked_at_change_no_digest() {
        let columns = [("id", Wire::Int4), ("name", Wire::Text), ("loaded", Wire::Text)];
        let id = 1i32.to_be_bytes();
        let rows = |name: &[u8], loaded| [tuple(&[Some(&id), Some(name), loaded])];
        let plain = digests(&page(&columns[..2], &[0], &[tuple(&[Some(&id), Some(b"x")])]));
        for loaded in [None, Some(&b"now"[..])] {
            let page = page_of(&columns, 2, &[0], &rows(b"x", loaded));
            assert_eq!(digests(&page), plain);
            assert_eq!(page.value(0, 2).expect("a value").is_null(), loaded.is_none());
        }
        assert_ne!(digests(&page_of(&columns, 2, &[0], &rows(b"y", None))), plain);
        assert!(page_of(&columns, 2, &[0], &rows(b"y", None)).value(0, 3).is_err());
    }

    #[test]
    fn a_key_with_a_null_part_has_no_hash() {
        let page = page(&[("id", Wire::Int4), ("x", Wire::Text)], &[0], &[tuple(&[None, Some(b"y")])]);
        assert_eq!(digests(&page)[0].key, KeyHash::NULL);
        assert!(page.key(0, &mut Vec::new()).is_err());
        assert_eq!(page.record(0).expect("a record"), [Value::Null, Value::Text("y".into())]);
        assert!(page.record(1).is_err());
    }

    #[test]
    fn nan_is_no_key() {
        let nan = [0, 0, 0, 0, 0xc0, 0, 0, 0];
        let page = page(&[("id", Wire::Numeric)], &[0], &[tuple(&[Some(&nan)])]);
        assert_eq!(page.digest(&mut Vec::new()).expect_err("no key").class, backhaul_kit::FaultClass::Config);
    }

    proptest! {
        #[test]
        fn any_tuple_is_read_or_refused(bytes: Vec<u8>) {
            let columns = [("id", Wire::Int4), ("tags", Wire::Array(Box::new(Wire::Text)))];
            let page = page(&columns, &[0], &[bytes]);
            let _ = page.digest(&mut Vec::new());
            let _ = page.record(0);
            let _ = page.key(0, &mut Vec::new());
        }
    }
}
