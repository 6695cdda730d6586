//! CSV files: a header row, then text. No type is guessed from the data, because it would change with them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use backhaul_kit::{Column, Fault, Projection, TypeClass};

use super::super::arrow::{ArrowPage, Layout};
use super::listing::unreadable;
use super::scan::{Emit, PAGE_BYTES, PAGE_ROWS, malformed};
use crate::csv::{CsvError, CsvReader, Fields};

/// How much is read at a time.
const READ_BYTES: usize = 128 << 10;

/// The columns that the header names.
///
/// # Errors
/// `Transient` where the file cannot be read, or has no header.
pub(super) fn columns(file: File, path: &Path) -> Result<Vec<Column>, Fault> {
    let mut rows = Rows::open(file, path)?;
    let names = rows.header()?;
    let column = |name: String| Column { name, class: TypeClass::Text, native: String::from("text") };
    Ok(names.into_iter().map(column).collect())
}

/// Hands over all rows; returns how many.
///
/// # Errors
/// The file is no CSV, or is cut; what `emit` says.
pub(super) fn read(file: File, path: &Path, projection: &Projection, emit: &mut Emit<'_>) -> Result<u64, Fault> {
    let mut rows = Rows::open(file, path)?;
    let names = rows.header()?;
    let place = |column: &String| names.iter().position(|name| name == column);
    let Some(places) = projection.columns.iter().map(place).collect::<Option<Vec<usize>>>() else {
        return Err(malformed(path, "has another header than before"));
    };
    let fields = projection.columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>();
    let layout = Layout::new(&fields, projection.key.clone(), projection.seed)?;
    let layout = Arc::new(layout.fingerprinting(projection.fingerprinted));
    let schema = Arc::new(Schema::new(fields));
    let mut batch = Batch::new(places.len());
    let mut count = 0;
    while rows.next()? {
        if rows.fields.len() != names.len() {
            let what = format!("has {} values, but the header has {} names", rows.fields.len(), names.len());
            return Err(rows.malformed(what));
        }
        for (place, column) in places.iter().zip(&mut batch.columns) {
            match rows.fields.get(*place).map(std::str::from_utf8) {
                None => column.append_null(),
                Some(Ok(text)) => column.append_value(text),
                Some(Err(_)) => return Err(rows.malformed(format!("column `{}` is not UTF-8", names[*place]))),
            }
        }
        count += 1;
        batch.rows += 1;
        if batch.is_full() {
            emit(Box::new(ArrowPage::new(batch.finish(&schema)?, layout.clone())))?;
        }
    }
    if batch.rows > 0 {
        emit(Box::new(ArrowPage::new(batch.finish(&schema)?, layout)))?;
    }
    Ok(count)
}

/// The rows of a file, with their places for messages.
struct Rows<'p> {
    reader: CsvReader<BufReader<File>>,
    fields: Fields,
    path: &'p Path,
}

impl<'p> Rows<'p> {
    fn open(file: File, path: &'p Path) -> Result<Self, Fault> {
        let reader = CsvReader::new(BufReader::with_capacity(READ_BYTES, file));
        let reader = reader.map_err(|e| malformed(path, e))?;
        Ok(Self { reader, fields: Fields::default(), path })
    }

    fn next(&mut self) -> Result<bool, Fault> {
        self.reader.read(&mut self.fields).map_err(|e| match e {
            CsvError::Io(e) => unreadable(self.path, &e),
            e => self.malformed(e),
        })
    }

    /// The names in the first row.
    fn header(&mut self) -> Result<Vec<String>, Fault> {
        if !self.next()? {
            return Err(malformed(self.path, "is empty: a CSV file without rows still has its header"));
        }
        let mut names = Vec::with_capacity(self.fields.len());
        for at in 0..self.fields.len() {
            match self.fields.get(at).map(std::str::from_utf8) {
                Some(Ok(name)) if !name.is_empty() => names.push(name.to_owned()),
                Some(Err(_)) => return Err(self.malformed("the header is not UTF-8")),
                _ => return Err(self.malformed(format!("column {} has no name", at + 1))),
            }
        }
        Ok(names)
    }

    fn malformed(&self, what: impl std::fmt::Display) -> Fault {
        malformed(self.path, format!("line {}: {what}", self.reader.line()))
    }
}

/// Rows that become a page.
struct Batch {
    columns: Vec<StringBuilder>,
    rows: usize,
}

impl Batch {
    fn new(columns: usize) -> Self {
        Self { columns: (0..columns).map(|_| StringBuilder::new()).collect(), rows: 0 }
    }

    fn is_full(&self) -> bool {
        let bytes: usize = self.columns.iter().map(|column| column.values_slice().len()).sum();
        self.rows >= PAGE_ROWS || bytes >= PAGE_BYTES
    }

    fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
        self.rows = 0;
        let arrays = self.columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        RecordBatch::try_new(schema.clone(), arrays).map_err(|e| Fault::bug("rows of CSV make no batch").caused_by(e))
    }
}
