//! The mapped values of one row.

use std::borrow::Borrow;

use bytes::Bytes;

use super::borrowed::{FieldRef, pass_field};
use super::owned::FieldValue;

/// The mapped values of one row, in the order of the sync's fields, in the encoding of plan files: a row on its way
/// from a plan to a request is one slice of the plan's chunk, and its values are read in place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    /// `len` encoded fields, and nothing else.
    bytes: Bytes,
    len: usize,
}

impl Fields {
    /// Takes `len` fields off the front of `input`, which is a part of `whole`, without copying them; `None` when the
    /// bytes are not that many fields.
    pub fn decode(len: usize, input: &mut &[u8], whole: &Bytes) -> Option<Self> {
        let start = *input;
        for _ in 0..len {
            pass_field(input)?;
        }
        let encoded = &start[..start.len() - input.len()];
        Some(Self { bytes: whole.slice_ref(encoded), len })
    }

    /// How many there are; none of a removal.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their encoding, one after the other.
    pub fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoding of each, in order.
    pub fn encodings(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.encoded();
        std::iter::from_fn(move || {
            let start = rest;
            pass_field(&mut rest)?;
            Some(&start[..start.len() - rest.len()])
        })
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
        let mut rest = self.encoded();
        // Whoever made the `Fields` has passed over or written every one: only the end is no field.
        std::iter::from_fn(move || FieldRef::decode(&mut rest))
    }

    /// The one at `place`. Those before it are read too.
    pub fn get(&self, place: usize) -> Option<FieldRef<'_>> {
        self.iter().nth(place)
    }
}

impl<F: Borrow<FieldValue>> FromIterator<F> for Fields {
    fn from_iter<I: IntoIterator<Item = F>>(fields: I) -> Self {
        let fields = fields.into_iter();
        let (mut bytes, mut len) = (Vec::with_capacity(16 * fields.size_hint().0), 0);
        for field in fields {
            field.borrow().encode(&mut bytes);
            len += 1;
        }
        Self { bytes: bytes.into(), len }
    }
}
