//! A batch as records: in JSON for one call, in CSV for a job.

use std::borrow::Cow;

use backhaul_kit::value::write_json_str;
use backhaul_kit::{Batch, FieldRef, Operation, Reason, Row, ValueRef, Verdict};

use super::sync::{ID, SalesforceSync};
use crate::csv::CsvLine;

/// NULL in the CSV of a job.
const NULL: &str = "#N/A";
/// Characters of a field and of a record in the CSV of a job.
const MAX_FIELD: usize = 32_000;
const MAX_RECORD: usize = 400_000;

/// What a job calls an operation. What is updated or deleted is named by its id.
pub(super) fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "insert",
        Operation::Update | Operation::Move | Operation::Clear => "update",
        Operation::Delete => "delete",
        _ => "upsert",
    }
}

/// Whether an operation names records by their ids.
pub(super) fn is_by_id(operation: Operation) -> bool {
    matches!(word(operation), "update" | "delete")
}

/// What is known of a row's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Its id.
    Id(String),
    /// It was looked for, and there is none.
    Absent,
    /// Several records have the match value.
    Several,
    /// It was not looked for.
    Unknown,
}

/// What one field of a record becomes.
#[derive(Clone, Debug)]
enum Cell<'a> {
    Skip,
    Null,
    Text(Cow<'a, str>),
    /// A number or a boolean.
    Bare(ValueRef<'a>),
}

/// One record.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The row's place in the batch.
    pub(super) place: usize,
    /// What names it in results: its id, or its match value.
    pub(super) key: String,
    cells: Vec<Cell<'a>>,
}

/// The records of a call or a job, and the rows that are settled without.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    sync: &'a SalesforceSync,
    pub(super) operation: Operation,
    pub(super) records: Vec<Record<'a>>,
    /// Verdicts of rows that are not sent, by place.
    pub(super) settled: Vec<(usize, Verdict)>,
}

impl<'a> Draft<'a> {
    /// The records of a batch for a call, or for a job. `targets` are the rows' records, where they are found by id.
    pub(super) fn of(sync: &'a SalesforceSync, batch: &'a Batch, targets: &[Target], job: bool) -> Self {
        let mut draft = Self { sync, operation: batch.operation, records: Vec::new(), settled: Vec::new() };
        for (place, row) in batch.rows.iter().enumerate() {
            match draft.record(place, row, targets.get(place), job) {
                Ok(record) => draft.records.push(record),
                Err(verdict) => draft.settled.push((place, verdict)),
            }
        }
        draft
    }

    fn record(&self, place: usize, row: &'a Row, target: Option<&Target>, job: bool) -> Result<Record<'a>, Verdict> {
        let rejected = |code, text| Verdict::Rejected(Reason::new(code, text));
        let key = if is_by_id(self.operation) { self.id(target)? } else { self.match_value(row)? };
        let clears = self.operation == Operation::Clear;
        let cells = if clears { Ok(self.columns().map(|_| Cell::Null).collect()) } else { self.cells(row) };
        let cells: Vec<Cell<'a>> = cells.map_err(Verdict::Rejected)?;
        if job && !fits_job(&cells) {
            let text = "a bulk job takes 32,000 characters in a field, and the text `#N/A` for NULL: send this row in a \
                        smaller run, or set bulk_above = \"never\"";
            return Err(rejected("NOT_FOR_BULK", text));
        }
        Ok(Record { place, key, cells })
    }

    fn id(&self, target: Option<&Target>) -> Result<String, Verdict> {
        let (code, text) = match target {
            Some(Target::Id(id)) if is_id(id) => return Ok(id.clone()),
            Some(Target::Absent) if self.operation.is_removal() => return Err(Verdict::Unchanged),
            Some(Target::Id(_)) => ("MALFORMED_ID", "a record's id has 15 or 18 letters and digits"),
            Some(Target::Several) => ("AMBIGUOUS_MATCH", "several records have this match value"),
            Some(Target::Absent) => ("NOT_FOUND", "no record has this match value"),
            Some(Target::Unknown) | None => ("NO_MATCH_VALUE", "neither id nor match value of the record is known"),
        };
        Err(Verdict::Rejected(Reason::new(code, text)))
    }

    fn match_value(&self, row: &Row) -> Result<String, Verdict> {
        let refusal = if self.operation == Operation::Create && row.address.remote_id.is_some() {
            Reason::new("ALREADY_CREATED", "this row's record was created before, and mode create changes none")
        } else if let Some(value) = match_value(self.sync, row) {
            return Ok(value);
        } else {
            Reason::new("NO_MATCH_VALUE", "the match field has no value in this row")
        };
        Err(Verdict::Rejected(refusal))
    }

    /// Whether the field at a place is written. What a record was found by stays, unless the row is moved.
    fn writes(&self, place: usize) -> bool {
        let kept = is_by_id(self.operation) && self.operation != Operation::Move && place == self.sync.match_place;
        self.operation != Operation::Delete && !kept
    }

    fn columns(&self) -> impl Iterator<Item = &'a str> {
        let named = self.sync.fields.iter().enumerate().filter(|(place, _)| self.writes(*place));
        named.map(|(_, name)| name.as_str())
    }

    fn cells(&self, row: &'a Row) -> Result<Vec<Cell<'a>>, Reason> {
        let fields = row.fields.iter().enumerate().filter(|(place, _)| self.writes(*place));
        let of = |place: usize, reason| Reason { field: self.sync.fields.get(place).cloned(), ..reason };
        fields.map(|(place, field)| cell(field).map_err(|reason| of(place, reason))).collect()
    }

    /// The column that names records in a job's results.
    pub(super) fn key_column(&self) -> &'a str {
        if is_by_id(self.operation) { ID } else { self.sync.match_name() }
    }

    /// The body of a call of sObject Collections.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut out = b"{\"allOrNone\":false,\"records\":[".to_vec();
        for (number, record) in self.records.iter().enumerate() {
            out.extend_from_slice(if number > 0 { b",{" } else { b"{" });
            out.extend_from_slice(format!("\"attributes\":{{\"type\":\"{}\"}}", self.sync.object).as_bytes());
            if is_by_id(self.operation) {
                out.extend_from_slice(format!(",\"id\":\"{}\"", record.key).as_bytes());
            }
            for (column, cell) in self.columns().zip(&record.cells).filter(|(_, cell)| !matches!(cell, Cell::Skip)) {
                out.extend_from_slice(format!(",\"{column}\":").as_bytes());
                match cell {
                    Cell::Text(text) => write_json_str(text, &mut out),
                    Cell::Bare(value) => value.write_json(&mut out),
                    Cell::Null | Cell::Skip => out.extend_from_slice(b"null"),
                }
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        out
    }

    /// The file of a job.
    pub(super) fn csv(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let names_ids = is_by_id(self.operation);
        let mut line = CsvLine::new(&mut out);
        [ID].into_iter().filter(|_| names_ids).chain(self.columns()).for_each(|column| line.text(column));
        line.end("\n");
        for record in &self.records {
            let mut line = CsvLine::new(&mut out);
            if names_ids {
                line.text(&record.key);
            }
            record.cells.iter().for_each(|cell| match cell {
                Cell::Skip => line.value(None),
                Cell::Null => line.text(NULL),
                Cell::Text(text) => line.text(text),
                Cell::Bare(value) => line.value(Some(*value)),
            });
            line.end("\n");
        }
        out
    }
}

/// The text of a row's match value; `None` where it has none.
pub(super) fn match_value(sync: &SalesforceSync, row: &Row) -> Option<String> {
    match cell(row.fields.get(sync.match_place)?).ok()? {
        Cell::Text(text) => Some(text.into_owned()),
        Cell::Bare(value) => Some(value.to_text()),
        Cell::Skip | Cell::Null => None,
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn fits_job(cells: &[Cell<'_>]) -> bool {
    let texts = || cells.iter().filter_map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None });
    let length = |text: &Cow<'_, str>| text.chars().count();
    texts().all(|text| text != NULL && length(text) <= MAX_FIELD) && texts().map(length).sum::<usize>() <= MAX_RECORD
}

/// A field as both ways write it: what a row says does not depend on how large its run is.
fn cell(field: FieldRef<'_>) -> Result<Cell<'_>, Reason> {
    let value = match field {
        FieldRef::Skip => return Ok(Cell::Skip),
        FieldRef::Clear => return Ok(Cell::Null),
        FieldRef::Set(value) => value,
    };
    Ok(match value {
        // An empty value means NULL in JSON, and nothing at all in CSV.
        ValueRef::Null | ValueRef::Text("") => Cell::Null,
        ValueRef::Array(items) if items.is_empty() => Cell::Null,
        ValueRef::Text(text) => Cell::Text(Cow::Borrowed(text)),
        ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Decimal(_) | ValueRef::Number(_) | ValueRef::Float(_) => {
            Cell::Bare(value)
        }
        ValueRef::Timestamp(micros) => {
            let moment = jiff::Timestamp::from_millisecond(micros.div_euclid(1000));
            let moment = moment.map_err(|_| Reason::new("INVALID_VALUE", "a time beyond the calendar"))?;
            Cell::Text(Cow::Owned(format!("{moment:.3}")))
        }
        // The values of a multi-select picklist.
        ValueRef::Array(items) => {
            Cell::Text(Cow::Owned(items.iter().map(ValueRef::to_text).collect::<Vec<_>>().join(";")))
        }
        ValueRef::Invalid(why) => return Err(Reason::new("INVALID_VALUE", why)),
        other => Cell::Text(Cow::Owned(other.to_text())),
    })
}
