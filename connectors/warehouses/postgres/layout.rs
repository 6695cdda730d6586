//! What the fields of a scan's tuples are: how a tuple is walked, where its key is, how its values are decoded.

use backhaul_kit::{Fault, RowDecoder, TypeClass, Value, key};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::decode::{NoKey, decode, put_key};
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

impl Field {
    /// A column of a table of ours.
    pub(super) fn of_table(wire: Wire) -> Self {
        Self { name: "of a snapshot".into(), native: wire.class().to_string(), wire }
    }

    /// The value of this field that a tuple was found to have.
    fn decode(&self, found: Option<Option<&[u8]>>) -> Result<Value, Fault> {
        match found {
            Some(None) => Ok(Value::Null),
            Some(Some(bytes)) => decode(&self.wire, bytes).ok_or_else(|| self.malformed()),
            None => Err(self.malformed()),
        }
    }

    /// The fault of a value that its type's send function cannot have written.
    pub(super) fn malformed(&self) -> Fault {
        let Self { name, wire, .. } = self;
        Fault::bug(format!("column `{name}`: the server's bytes are not those of its type ({})", wire.class()))
    }
}

/// What the fields of a tuple are, and how it is hashed.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The fields, in the tuple's order.
    pub(super) fields: Vec<Field>,
    /// How many of them, from the first, make the fingerprint.
    fingerprinted: usize,
    key: Vec<usize>,
    /// The seed of keys and fingerprints.
    pub(super) seed: u64,
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
        Ok(Self { fingerprinted: fields.len(), fields, key, seed })
    }

    /// The same layout, where only the first so many fields make the fingerprint.
    #[must_use]
    pub(super) fn fingerprinting(self, fingerprinted: usize) -> Self {
        Self { fingerprinted, ..self }
    }

    /// The fingerprint of a tuple: as if it had no other fields than those that make it. `part` is scratch space.
    pub(super) fn fingerprint(&self, tuple: &[u8], part: &mut Vec<u8>) -> u64 {
        if self.fingerprinted >= self.fields.len() {
            return xxh3_64_with_seed(tuple, self.seed);
        }
        let mut values = Values::of(tuple);
        values.by_ref().take(self.fingerprinted).for_each(drop);
        part.clear();
        part.extend_from_slice(&u16::try_from(self.fingerprinted).unwrap_or(u16::MAX).to_be_bytes());
        part.extend_from_slice(tuple.get(2..tuple.len() - values.rest().len()).unwrap_or_default());
        xxh3_64_with_seed(part, self.seed)
    }

    /// One value of a tuple.
    pub(super) fn value(&self, tuple: &[u8], place: usize) -> Result<Value, Fault> {
        let field =
            self.fields.get(place).ok_or_else(|| Fault::bug(format!("there is no projected column {place}")))?;
        field.decode(Values::of(tuple).nth(place))
    }

    /// Appends the canonical key of a tuple; `false` where a part is NULL. `part` is scratch space.
    pub(super) fn put_key(&self, tuple: &[u8], out: &mut Vec<u8>, part: &mut Vec<u8>) -> Result<bool, Fault> {
        if let [place] = self.key.as_slice() {
            return self.put_key_part(tuple, *place, out);
        }
        key::start_composite(out);
        for place in &self.key {
            part.clear();
            if !self.put_key_part(tuple, *place, part)? {
                return Ok(false);
            }
            key::put_part(part, out);
        }
        Ok(true)
    }

    fn put_key_part(&self, tuple: &[u8], place: usize, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let field = &self.fields[place];
        let Some(bytes) = Values::of(tuple).nth(place).ok_or_else(|| field.malformed())? else { return Ok(false) };
        put_key(&field.wire, bytes, out).map(|()| true).map_err(|e| match e {
            NoKey::Malformed => field.malformed(),
            NoKey::Value => {
                let name = &field.name;
                Fault::config(format!("key column `{name}` has a value that cannot be a key, as NaN or infinity"))
                    .remedy("leave such rows out in the model")
            }
        })
    }
}

impl RowDecoder for Layout {
    fn record(&self, raw: &[u8]) -> Result<Vec<Value>, Fault> {
        let mut values = Values::of(raw);
        self.fields.iter().map(|field| field.decode(values.next())).collect()
    }
}

/// The fields of a tuple, one after the other: the bytes of each, `None` for NULL. Ends early where the tuple does,
/// which the reader of the stream has excluded.
pub(super) struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    /// Of one tuple.
    pub(super) fn of(tuple: &'a [u8]) -> Self {
        Self(tuple.get(2..).unwrap_or_default())
    }

    /// The bytes of the fields that were not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (len, after) = self.0.split_first_chunk::<4>()?;
        let len = i32::from_be_bytes(*len);
        if len == -1 {
            self.0 = after;
            return Some(None);
        }
        let (bytes, after) = after.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = after;
        Some(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_cannot_be_read_or_be_a_key_are_named() {
        let column = |wire: Wire| vec![Field { name: "shape".into(), native: "polygon".into(), wire }];
        let fault = Layout::new(column(Wire::Unsupported), vec![], 0).expect_err("refused");
        assert!(fault.to_string().contains("`shape` has type polygon"));
        assert!(Layout::new(column(Wire::Array(Box::new(Wire::Unsupported))), vec![], 0).is_err());
        assert!(Layout::new(column(Wire::Float8), vec![0], 0).is_err());
        assert!(Layout::new(column(Wire::Float8), vec![], 0).is_ok());
    }
}
