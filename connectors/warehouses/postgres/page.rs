//! Rows as COPY sent them.

use std::sync::Arc;

use backhaul_kit::{Fault, KeyHash, RowDecoder, RowDigest, RowPage, TypeClass, Value, key};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::copy::Tuples;
use super::decode::{NoKey, decode, put_key, put_without_oids};
use super::types::Wire;

/// A projected column.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The column's name.
    pub(super) name: String,
    /// The server's name of its type.
    pub(super) native: String,
    /// How its values travel.
    pub(super) wire: Wire,
}

/// What the fields of a tuple are, and how it is hashed.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    fields: Vec<Field>,
    key: Vec<usize>,
    seed: u64,
    has_oids: bool,
}

impl Layout {
    /// The layout of tuples with these fields; `key` are places among them.
    ///
    /// # Errors
    /// `Config` where a column cannot be decoded, or cannot be a key.
    pub(super) fn new(fields: Vec<Field>, key: Vec<usize>, seed: u64) -> Result<Self, Fault> {
        for (i, Field { name, native, wire }) in fields.iter().enumerate() {
            if wire.class() == TypeClass::Unsupported {
                return Err(Fault::config(format!("column `{name}` has type {native}, which cannot be read"))
                    .remedy("cast it in the model, to text or jsonb for example, or leave it out"));
            }
            if key.contains(&i) && !wire.can_be_key() {
                return Err(Fault::config(format!("column `{name}` of type {native} cannot be a key"))
                    .remedy("use an integer, decimal, text, uuid, date, timestamp, boolean or bytes column"));
            }
        }
        let has_oids = fields.iter().any(|field| matches!(field.wire, Wire::Array(_)));
        Ok(Self { fields, key, seed, has_oids })
    }
}

/// Some rows of a scan.
pub(super) struct TuplePage {
    tuples: Tuples,
    layout: Arc<Layout>,
}

impl TuplePage {
    /// A page of these tuples.
    pub(super) fn new(tuples: Tuples, layout: Arc<Layout>) -> Self {
        Self { tuples, layout }
    }

    fn tuple(&self, row: usize) -> Result<&[u8], Fault> {
        let start = match row.checked_sub(1) {
            Some(before) => self.tuples.ends.get(before).copied(),
            None => Some(0),
        };
        let end = self.tuples.ends.get(row).copied();
        start.zip(end).and_then(|(start, end)| self.tuples.data.get(start..end)).ok_or_else(|| no_row(row))
    }

    /// Appends the canonical key of a tuple; `false` where a part is NULL.
    fn put_key(&self, tuple: &[u8], out: &mut Vec<u8>, part: &mut Vec<u8>) -> Result<bool, Fault> {
        if let [place] = self.layout.key.as_slice() {
            return self.put_key_part(tuple, *place, out);
        }
        key::start_composite(out);
        for place in &self.layout.key {
            part.clear();
            if !self.put_key_part(tuple, *place, part)? {
                return Ok(false);
            }
            key::put_part(part, out);
        }
        Ok(true)
    }

    fn put_key_part(&self, tuple: &[u8], place: usize, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let field = Fields::of(tuple).nth(place).ok_or_else(|| no_row(place))?;
        let Field { name, wire, .. } = &self.layout.fields[place];
        let Some(bytes) = field else { return Ok(false) };
        put_key(wire, bytes, out).map(|()| true).map_err(|e| match e {
            NoKey::Malformed => malformed(name, wire),
            NoKey::Value => {
                Fault::config(format!("key column `{name}` has a value that cannot be a key, as NaN or infinity"))
                    .remedy("leave such rows out in the model")
            }
        })
    }
}

impl RowPage for TuplePage {
    fn rows(&self) -> usize {
        self.tuples.ends.len()
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        let Layout { seed, has_oids, fields, .. } = &*self.layout;
        let (mut key, mut part, mut plain) = (Vec::with_capacity(64), Vec::new(), Vec::new());
        out.reserve(self.tuples.ends.len());
        let mut start = 0;
        for end in &self.tuples.ends {
            let tuple = self.tuples.data.get(start..*end).ok_or_else(|| no_row(start))?;
            start = *end;
            key.clear();
            let key = if self.put_key(tuple, &mut key, &mut part)? { KeyHash::of(&key, *seed) } else { KeyHash::NULL };
            let bytes = if *has_oids {
                plain.clear();
                for (field, Field { name, wire, .. }) in Fields::of(tuple).zip(fields) {
                    plain.push(u8::from(field.is_some()));
                    if let Some(bytes) = field {
                        plain.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
                        put_without_oids(wire, bytes, &mut plain).ok_or_else(|| malformed(name, wire))?;
                    }
                }
                plain.as_slice()
            } else {
                tuple
            };
            out.push(RowDigest { key, fingerprint: xxh3_64_with_seed(bytes, *seed) });
        }
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.put_key(self.tuple(row)?, out, &mut Vec::new())? {
            Ok(())
        } else {
            Err(Fault::bug("the key of a row was asked for, but a part of it is NULL"))
        }
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        self.layout.record(self.tuple(row)?)
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(self.tuple(row)?);
        Ok(())
    }

    fn decoder(&self) -> Arc<dyn RowDecoder> {
        self.layout.clone()
    }
}

impl RowDecoder for Layout {
    fn record(&self, raw: &[u8]) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::with_capacity(self.fields.len());
        let mut fields = Fields::of(raw);
        for Field { name, wire, .. } in &self.fields {
            let field = fields.next().ok_or_else(|| malformed(name, wire))?;
            values.push(match field {
                None => Value::Null,
                Some(bytes) => decode(wire, bytes).ok_or_else(|| malformed(name, wire))?,
            });
        }
        Ok(values)
    }
}

/// The fields of a tuple, one after the other; ends early where the bytes do, which the reader of the stream has
/// excluded.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of one tuple.
    pub(super) fn of(tuple: &'a [u8]) -> Self {
        Self(tuple.get(2..).unwrap_or(&[]))
    }

    /// The bytes of the fields that were not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Fields<'a> {
    /// A field's bytes; `None` is NULL.
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let len = i32::from_be_bytes(*len);
        if len == -1 {
            self.0 = rest;
            return Some(None);
        }
        let (field, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(Some(field))
    }
}

fn malformed(column: &str, wire: &Wire) -> Fault {
    Fault::bug(format!("column `{column}`: the server's bytes are not those of its type ({})", wire.class()))
}

fn no_row(row: usize) -> Fault {
    Fault::bug(format!("row {row} was asked of a page that does not have it"))
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn field(name: &str, native: &str, wire: Wire) -> Field {
        Field { name: name.to_owned(), native: native.to_owned(), wire }
    }

    fn page(columns: &[(&str, Wire)], key: &[usize], tuples: &[Vec<u8>]) -> TuplePage {
        let fields = columns.iter().map(|(name, wire)| field(name, "x", wire.clone())).collect();
        let mut all = Tuples::default();
        for tuple in tuples {
            all.data.extend_from_slice(tuple);
            all.ends.push(all.data.len());
        }
        TuplePage::new(all, Arc::new(Layout::new(fields, key.to_vec(), 7).expect("a layout")))
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

    #[test]
    fn columns_that_cannot_be_read_or_be_a_key_are_named() {
        let column = |wire: Wire| vec![field("shape", "polygon", wire)];
        let fault = Layout::new(column(Wire::Unsupported), vec![], 0).expect_err("refused");
        assert!(fault.to_string().contains("`shape` has type polygon"));
        assert!(Layout::new(column(Wire::Array(Box::new(Wire::Unsupported))), vec![], 0).is_err());
        assert!(Layout::new(column(Wire::Float8), vec![0], 0).is_err());
        assert!(Layout::new(column(Wire::Float8), vec![], 0).is_ok());
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
