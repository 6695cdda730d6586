//! Rows as lines of JSON or CSV.

use backhaul_kit::nested::Nest;
use backhaul_kit::value::write_json_str;
use backhaul_kit::{Batch, ChangeKind, FieldRef, Reason, Row, ValueRef, key};

use crate::csv::CsvLine;

/// What ends a line (RFC 4180).
const CRLF: &str = "\r\n";

/// The column of a file of changes that says what became of the row.
pub(super) const OP: &str = "op";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// RFC 4180.
    Csv,
}

impl Format {
    /// The file's ending.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// The columns of a file and where their values come from.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    format: Format,
    changes: bool,
    targets: Vec<String>,
    /// The model's key columns, each with the field of the same name, if there is one.
    key: Vec<(String, Option<usize>)>,
    nest: Nest,
}

impl Layout {
    /// A layout of these fields; a file of changes has the key columns too.
    pub(super) fn new(format: Format, changes: bool, targets: Vec<String>, key: &[String], nest: Nest) -> Self {
        let key =
            key.iter().map(|column| (column.clone(), targets.iter().position(|target| target == column))).collect();
        Self { format, changes, targets, key, nest }
    }

    /// The file's ending.
    pub(super) fn ending(&self) -> &'static str {
        self.format.ending()
    }

    /// The names of the columns, in order.
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::with_capacity(1 + self.key.len() + self.targets.len());
        if self.changes {
            columns.push(OP);
            columns.extend(self.own_keys().map(|(_, column)| column));
        }
        columns.extend(self.targets.iter().map(String::as_str));
        columns
    }

    /// Key columns that no field takes the place of, with their place in the key.
    fn own_keys(&self) -> impl Iterator<Item = (usize, &str)> {
        let own = self.key.iter().enumerate().filter(|(_, (_, field))| field.is_none());
        own.map(|(place, (column, _))| (place, column.as_str()))
    }

    /// What stands before the first row.
    pub(super) fn head(&self, out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            let mut line = CsvLine::new(out);
            for column in self.columns() {
                line.text(column);
            }
            line.end(CRLF);
        }
    }

    /// Appends the rows of a batch; returns how many lines that makes. A removal has no line in a full set.
    ///
    /// # Errors
    /// Why one of the rows cannot be written; what was appended then means nothing.
    pub(super) fn write(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<u64, Reason> {
        let mut lines = 0;
        for row in &batch.rows {
            if !self.changes && row.change == ChangeKind::Remove {
                continue;
            }
            match self.format {
                Format::Jsonl => {
                    self.nest.check(row.fields.iter())?;
                    self.json(row, out);
                }
                Format::Csv => self.csv(row, out),
            }
            lines += 1;
        }
        Ok(lines)
    }

    fn json(&self, row: &Row, out: &mut Vec<u8>) {
        if !self.changes {
            self.nest.write_json(&row.fields, out);
            out.push(b'\n');
            return;
        }
        out.extend_from_slice(b"{\"op\":");
        write_json_str(row.change.as_str(), out);
        let removal = row.change == ChangeKind::Remove;
        let parts = key::decode(&row.key).unwrap_or_default();
        for ((column, field), part) in self.key.iter().zip(&parts) {
            if removal || field.is_none() {
                out.push(b',');
                write_json_str(column, out);
                out.push(b':');
                part.write_json(out);
            }
        }
        if !removal {
            let brace = out.len();
            self.nest.write_json(&row.fields, out);
            // The fields' own object goes on with the one that is open.
            if out.get(brace + 1) == Some(&b'}') {
                out.truncate(brace);
                out.push(b'}');
            } else if let Some(byte) = out.get_mut(brace) {
                *byte = b',';
            }
        } else {
            out.push(b'}');
        }
        out.push(b'\n');
    }

    fn csv(&self, row: &Row, out: &mut Vec<u8>) {
        let mut line = CsvLine::new(out);
        let removal = row.change == ChangeKind::Remove;
        let parts = if self.changes { key::decode(&row.key).unwrap_or_default() } else { Vec::new() };
        if self.changes {
            line.text(row.change.as_str());
            for (place, _) in self.own_keys() {
                line.value(parts.get(place).map(ValueRef::from));
            }
        }
        let mut fields = row.fields.iter();
        for field in 0..self.targets.len() {
            if removal {
                let place = self.key.iter().position(|(_, own)| *own == Some(field));
                line.value(place.and_then(|place| parts.get(place)).map(ValueRef::from));
            } else {
                line.value(fields.next().and_then(FieldRef::value));
            }
        }
        line.end(CRLF);
    }
}
