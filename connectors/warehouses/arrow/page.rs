//! A record batch as a page.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::Field;
use backhaul_kit::{Fault, KeyError, KeyHash, RowDigest, RowPage, Value, key};

use super::Form;
use super::cells::each;
use super::hash::{START, Seeds, fold};
use super::value::{put_key, value_at};

/// A projected column.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    form: Form,
    seeds: Seeds,
}

/// What the columns of a batch are, and how its rows are hashed.
#[derive(Clone, Debug)]
pub(in super::super) struct Layout {
    columns: Vec<Column>,
    /// How many of them, from the first, make the fingerprint.
    fingerprinted: usize,
    key: Vec<usize>,
    seed: u64,
}

impl Layout {
    /// The layout of batches with these columns; `key` are places among them.
    ///
    /// # Errors
    /// `Config` where a column cannot be read, or cannot be a key.
    pub(in super::super) fn new<'f>(
        fields: impl IntoIterator<Item = &'f Field>,
        key: Vec<usize>,
        seed: u64,
    ) -> Result<Self, Fault> {
        let column = |(place, field): (usize, &Field)| {
            let (name, native, form) = (field.name(), field.data_type(), Form::of(field));
            if let Form::Unsupported(why) = form {
                return Err(Fault::config(format!("column `{name}` is {why} ({native}), which cannot be read"))
                    .remedy("write it as text or numbers, or leave it out of the sync"));
            }
            if key.contains(&place) && !form.can_be_key() {
                return Err(Fault::config(format!("column `{name}` of type {native} cannot be a key"))
                    .remedy("use an integer, decimal, text, uuid, date, timestamp, boolean or bytes column"));
            }
            Ok(Column { name: name.clone(), seeds: Seeds::new(seed, place, &form), form })
        };
        let columns: Vec<Column> = fields.into_iter().enumerate().map(column).collect::<Result<_, _>>()?;
        Ok(Self { fingerprinted: columns.len(), columns, key, seed })
    }

    /// The same layout, where only the first so many columns make the fingerprint.
    #[must_use]
    pub(in super::super) fn fingerprinting(self, fingerprinted: usize) -> Self {
        Self { fingerprinted, ..self }
    }
}

/// The rows of a batch.
pub(in super::super) struct ArrowPage {
    batch: RecordBatch,
    layout: Arc<Layout>,
}

impl ArrowPage {
    /// A page of this batch.
    pub(in super::super) fn new(batch: RecordBatch, layout: Arc<Layout>) -> Self {
        Self { batch, layout }
    }

    fn column(&self, place: usize) -> Result<(&dyn Array, &Column), Fault> {
        match (self.batch.columns().get(place), self.layout.columns.get(place)) {
            (Some(array), Some(column)) => Ok((array.as_ref(), column)),
            _ => Err(Fault::bug(format!("column {place} was asked of a batch that does not have it"))),
        }
    }

    /// Appends a part of a row's key; `false` where it is NULL.
    fn put_key_part(&self, row: usize, place: usize, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let (array, column) = self.column(place)?;
        let mut put = None;
        each(array, row..row.saturating_add(1), &mut |_, cell| {
            put = Some(put_key(&cell, &column.form, out)?);
            Some(())
        });
        match put {
            Some(Ok(())) => Ok(true),
            Some(Err(KeyError::Null)) => Ok(false),
            Some(Err(KeyError::Type)) => {
                Err(Fault::config(format!("key column `{}` has a value that cannot be a key", column.name))
                    .remedy("leave rows with dates beyond year 9999 out of the files"))
            }
            None => Err(unreadable(&column.name)),
        }
    }

    /// Appends the canonical key of a row; `false` where a part is NULL.
    fn put_key(&self, row: usize, out: &mut Vec<u8>, part: &mut Vec<u8>) -> Result<bool, Fault> {
        if let [place] = self.layout.key.as_slice() {
            return self.put_key_part(row, *place, out);
        }
        key::start_composite(out);
        for place in &self.layout.key {
            part.clear();
            if !self.put_key_part(row, *place, part)? {
                return Ok(false);
            }
            key::put_part(part, out);
        }
        Ok(true)
    }
}

impl RowPage for ArrowPage {
    fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        let mut fingerprints = vec![START; self.rows()];
        for place in 0..self.layout.fingerprinted {
            let (array, column) = self.column(place)?;
            fold(array, column.seeds, &mut fingerprints).ok_or_else(|| unreadable(&column.name))?;
        }
        let (mut bytes, mut part) = (Vec::with_capacity(64), Vec::new());
        out.reserve(fingerprints.len());
        for (row, fingerprint) in fingerprints.into_iter().enumerate() {
            bytes.clear();
            let complete = self.put_key(row, &mut bytes, &mut part)?;
            let key = if complete { KeyHash::of(&bytes, self.layout.seed) } else { KeyHash::NULL };
            out.push(RowDigest { key, fingerprint });
        }
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.put_key(row, out, &mut Vec::new())? {
            Ok(())
        } else {
            Err(Fault::bug("the key of a row was asked for, but a part of it is NULL"))
        }
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        (0..self.layout.columns.len()).map(|place| self.value(row, place)).collect()
    }

    fn value(&self, row: usize, place: usize) -> Result<Value, Fault> {
        let (array, column) = self.column(place)?;
        value_at(array, row, &column.form).ok_or_else(|| unreadable(&column.name))
    }
}

fn unreadable(column: &str) -> Fault {
    Fault::bug(format!("column `{column}`: the batch is not what its schema says, or has no such row"))
}
