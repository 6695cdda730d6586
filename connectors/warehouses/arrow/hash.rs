//! One hash a value, folded down a column into those of its rows.

use std::ops::Range;

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Form;
use super::cells::{Cell, each, each_key};

/// What a row's fingerprint is before its first column.
pub(super) const START: u64 = 0x9e37_79b9_7f4a_7c15;
/// Odd, so that multiplying by it loses nothing.
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

/// The seeds of a column: no two columns of a row have the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeds {
    /// NULLs of a column are the same whatever form a file gives it.
    null: u64,
    value: u64,
}

impl Seeds {
    /// The seeds of the column at `place` of the projection.
    pub(super) fn new(seed: u64, place: usize, form: &Form) -> Self {
        let column = xxh3_64_with_seed(&(place as u64).to_le_bytes(), seed);
        let value = xxh3_64_with_seed(form.to_string().as_bytes(), column);
        Self { null: xxh3_64_with_seed(b"null", column), value }
    }
}

/// Folds the hashes of a column into those of the rows. `None` where the array cannot be read, or has another number of
/// rows.
pub(super) fn fold(array: &dyn Array, seeds: Seeds, rows: &mut [u64]) -> Option<()> {
    if array.len() != rows.len() {
        return None;
    }
    let mut add = |row: usize, hash: u64| {
        let so_far = rows.get_mut(row)?;
        *so_far = mix(*so_far, hash);
        Some(())
    };
    match array.as_any_dictionary_opt() {
        // A dictionary has few values for many rows: each is hashed once.
        Some(dictionary) if dictionary.values().len() <= array.len() => {
            let values = dictionary.values();
            let mut hashes = Vec::with_capacity(values.len());
            each(values, 0..values.len(), &mut |_, cell| {
                hashes.push(hash(&cell, seeds)?);
                Some(())
            })?;
            each_key(array, 0..array.len(), &mut |row, key| match key {
                None => add(row, seeds.null),
                Some(key) => add(row, *hashes.get(key)?),
            })
        }
        _ => each(array, 0..array.len(), &mut |row, cell| add(row, hash(&cell, seeds)?)),
    }
}

/// For either of the two given, a bijection of the other: a change of one column always shows.
fn mix(so_far: u64, hash: u64) -> u64 {
    (so_far.rotate_left(29) ^ hash).wrapping_mul(FACTOR)
}

#[inline]
fn hash(cell: &Cell<'_>, seeds: Seeds) -> Option<u64> {
    let of = |bytes: &[u8]| Some(xxh3_64_with_seed(bytes, seeds.value));
    match cell {
        Cell::Null => Some(seeds.null),
        Cell::Bool(b) => of(&[u8::from(*b)]),
        Cell::Integer(n) | Cell::Days(n) | Cell::Micros(n) => of(&n.to_le_bytes()),
        // One byte more than the others have.
        Cell::Large(n) => of(&[&n.to_le_bytes()[..], &[0]].concat()),
        Cell::Single(f) => of(&f.to_bits().to_le_bytes()),
        Cell::Double(f) => of(&f.to_bits().to_le_bytes()),
        Cell::Decimal(n, scale) => {
            let mut bytes = [0; 17];
            bytes[..16].copy_from_slice(&n.to_le_bytes());
            bytes[16] = scale.to_le_bytes()[0];
            of(&bytes)
        }
        Cell::WideDecimal(n, scale) => {
            let mut bytes = [0; 33];
            bytes[..32].copy_from_slice(&n.to_le_bytes());
            bytes[32] = scale.to_le_bytes()[0];
            of(&bytes)
        }
        Cell::Text(text) => of(text.as_bytes()),
        Cell::Bytes(bytes) => of(bytes),
        Cell::List(items, range) => sequence(&[*items], range.clone(), seeds),
        Cell::Map(keys, values, range) => sequence(&[*keys, *values], range.clone(), seeds),
        Cell::Struct(members, row) => {
            let columns: Vec<&dyn Array> = members.columns().iter().map(AsRef::as_ref).collect();
            sequence(&columns, *row..row + 1, seeds)
        }
    }
}

/// The values of some rows of these arrays, with their number.
fn sequence(arrays: &[&dyn Array], rows: Range<usize>, seeds: Seeds) -> Option<u64> {
    let mut so_far = xxh3_64_with_seed(&(rows.len() as u64).to_le_bytes(), seeds.value);
    for array in arrays {
        each(*array, rows.clone(), &mut |_, cell| {
            so_far = mix(so_far, hash(&cell, seeds)?);
            Some(())
        })?;
    }
    Some(so_far)
}
