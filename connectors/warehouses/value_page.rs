//! Rows in the compact encoding of values.

use std::sync::Arc;

use backhaul_kit::{Fault, KeyError, KeyHash, Projection, RowDigest, RowPage, Value, key};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A page is handed over when it has so many rows …
const PAGE_ROWS: usize = 4096;
/// … or so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// What the rows of a scan have in common.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The columns' names.
    pub(super) columns: Vec<String>,
    /// How many of them, from the first, make the fingerprint.
    fingerprinted: usize,
    /// Places of the key's parts.
    key: Vec<usize>,
    /// The snapshot's hash seed.
    seed: u64,
}

impl Layout {
    /// The layout of rows with these columns.
    pub(super) fn of(projection: Projection) -> Self {
        let Projection { columns, fingerprinted, key, seed } = projection;
        Self { columns, fingerprinted, key, seed }
    }
}

/// Some rows of a scan.
pub(super) struct ValuePage {
    layout: Arc<Layout>,
    rows: Vec<u8>,
    row_ends: Vec<usize>,
    /// Where the part of each row ends that makes the fingerprint.
    fingerprint_ends: Vec<usize>,
    /// Canonical keys; an empty one has a NULL part.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
}

impl ValuePage {
    /// A page without rows.
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        Self {
            layout,
            rows: Vec::new(),
            row_ends: Vec::new(),
            fingerprint_ends: Vec::new(),
            keys: Vec::new(),
            key_ends: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `Config` where a part of the key has no canonical form.
    pub(super) fn push(&mut self, values: &[Value]) -> Result<(), Fault> {
        let (fingerprinted, beside) = values.split_at(self.layout.fingerprinted.min(values.len()));
        for (part, ends) in [(fingerprinted, &mut self.fingerprint_ends), (beside, &mut self.row_ends)] {
            for value in part {
                value.encode(&mut self.rows);
            }
            ends.push(self.rows.len());
        }
        let parts: Vec<&Value> = self.layout.key.iter().filter_map(|place| values.get(*place)).collect();
        match key::encode(&parts) {
            Ok(key) => self.keys.extend_from_slice(&key),
            Err(KeyError::Null) => {}
            Err(KeyError::Type) => {
                let names: Vec<&str> =
                    self.layout.key.iter().map(|place| self.layout.columns[*place].as_str()).collect();
                return Err(Fault::config(format!("key `{}` has a floating-point value", names.join(", ")))
                    .remedy("cast it in the model, to integer or text"));
            }
        }
        self.key_ends.push(self.keys.len());
        Ok(())
    }

    /// Whether there is enough for a page.
    pub(super) fn is_full(&self) -> bool {
        self.row_ends.len() >= PAGE_ROWS || self.rows.len() >= PAGE_BYTES
    }
}

impl ValuePage {
    /// The values of a row, decoded one after the other.
    fn values(&self, row: usize) -> Result<impl Iterator<Item = Result<Value, Fault>>, Fault> {
        let mut bytes = slice(&self.rows, &self.row_ends, row)?;
        let value =
            move |_| Value::decode(&mut bytes).ok_or_else(|| Fault::bug(format!("row {row} cannot be decoded")));
        Ok((0..self.layout.columns.len()).map(value))
    }
}

/// The bytes of item `at` of those that end at `ends`.
fn slice<'b>(bytes: &'b [u8], ends: &[usize], at: usize) -> Result<&'b [u8], Fault> {
    let start = at.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied());
    let found = start.zip(ends.get(at).copied()).and_then(|(start, end)| bytes.get(start..end));
    found.ok_or_else(|| Fault::bug(format!("row {at} was asked of a page that does not have it")))
}

impl RowPage for ValuePage {
    fn rows(&self) -> usize {
        self.row_ends.len()
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        let seed = self.layout.seed;
        for row in 0..self.rows() {
            let key = slice(&self.keys, &self.key_ends, row)?;
            let key = if key.is_empty() { KeyHash::NULL } else { KeyHash::of(key, seed) };
            let bytes = slice(&self.rows, &self.row_ends, row)?;
            let beside = self.row_ends[row] - self.fingerprint_ends[row];
            let fingerprint = xxh3_64_with_seed(&bytes[..bytes.len() - beside], seed);
            out.push(RowDigest { key, fingerprint });
        }
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        match slice(&self.keys, &self.key_ends, row)? {
            [] => Err(Fault::bug("the key of a row was asked for, but a part of it is NULL")),
            key => {
                out.extend_from_slice(key);
                Ok(())
            }
        }
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        self.values(row)?.collect()
    }

    fn value(&self, row: usize, column: usize) -> Result<Value, Fault> {
        let value = self.values(row)?.nth(column);
        value.unwrap_or_else(|| Err(Fault::bug(format!("column {column} was asked of a row that does not have it"))))
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(slice(&self.rows, &self.row_ends, row)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(key: &[usize], rows: &[Vec<Value>]) -> Result<ValuePage, Fault> {
        let columns = vec!["a".to_owned(), "b".to_owned()];
        let layout = Layout { columns, fingerprinted: 2, key: key.to_vec(), seed: 3 };
        let mut page = ValuePage::new(Arc::new(layout));
        for row in rows {
            page.push(row)?;
        }
        Ok(page)
    }

    #[test]
    fn keys_and_digests_agree() {
        let rows = [
            vec![Value::Int(1), Value::Text("x".into())],
            vec![Value::Null, Value::Text("x".into())],
            vec![Value::Int(1), Value::Null],
        ];
        let page = page(&[0], &rows).expect("a page");
        let mut found = Vec::new();
        page.digest(&mut found).expect("digests");
        assert_eq!(found[0].key, found[2].key);
        assert_ne!(found[0].fingerprint, found[2].fingerprint);
        assert_eq!(found[1].key, KeyHash::NULL);
        let mut key = Vec::new();
        page.key(2, &mut key).expect("a key");
        assert_eq!(KeyHash::of(&key, 3), found[2].key);
        assert!(page.key(1, &mut key).is_err());
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(&page.record(i).expect("a record"), row);
            let mut raw = Vec::new();
            page.raw(i, &mut raw).expect("a row");
            assert_eq!(&page.decoder().record(&raw).expect("a record"), row);
        }
        assert!(page.record(3).is_err());
    }

    #[test]
    fn columns_that_are_only_looked_at_change_no_digest() {
        let digest = |columns: usize, values: &[Value]| {
            let columns = (0..columns).map(|n| n.to_string()).collect();
            let layout = Layout { columns, fingerprinted: 2, key: vec![0], seed: 3 };
            let mut page = ValuePage::new(Arc::new(layout));
            page.push(values).expect("a row");
            page.push(values).expect("a row");
            assert_eq!(page.value(1, values.len() - 1).expect("a value"), values[values.len() - 1]);
            assert!(page.value(1, values.len()).is_err());
            let mut out = Vec::new();
            page.digest(&mut out).expect("digests");
            assert_eq!(out[0], out[1]);
            out[0]
        };
        let text = |text: &str| Value::Text(text.into());
        let plain = digest(2, &[Value::Int(1), text("x")]);
        assert_eq!(digest(3, &[Value::Int(1), text("x"), text("y")]), plain);
        assert_ne!(digest(3, &[Value::Int(1), text("z"), text("y")]), plain);
    }

    #[test]
    fn a_float_is_no_key() {
        let Err(fault) = page(&[1, 0], &[vec![Value::Float(1.5), Value::Int(1)]]) else { panic!("taken") };
        assert_eq!(fault.to_string(), "key `b, a` has a floating-point value");
    }
}
