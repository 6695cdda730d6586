//! A batch as records: in JSON for one call, in CSV for a job.

use backhaul_kit::{
    Batch, Fault, FieldRef, FieldValue, Fields, Nest, Operation, Reason, Row, Value, ValueRef, Verdict,
};

use super::sync::{COLLECTION, ID, SalesforceSync};
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

/// One record.
#[derive(Debug)]
pub(super) struct Record {
    /// The row's place in the batch.
    pub(super) place: usize,
    /// What names it in results: its id, or its match value.
    pub(super) key: String,
    /// The object, the id where it is named by it, and what is written.
    fields: Fields,
}

/// The records of a call or a job, and the rows that are settled without.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    sync: &'a SalesforceSync,
    pub(super) operation: Operation,
    /// Whether there are too many for a call.
    pub(super) is_job: bool,
    pub(super) records: Vec<Record>,
    /// Verdicts of rows that are not sent, by place.
    pub(super) settled: Vec<(usize, Verdict)>,
}

impl<'a> Draft<'a> {
    /// The records of a batch. What fits into a call goes out in one, in a large run, too: its last rows, and those that
    /// come again.
    pub(super) fn of(sync: &'a SalesforceSync, batch: &Batch) -> Self {
        let (operation, is_job) = (batch.operation, batch.rows.len() > COLLECTION);
        let mut draft = Self { sync, operation, is_job, records: Vec::new(), settled: Vec::new() };
        (draft.records, draft.settled) = batch.draft(|place, row| draft.record(place, row));
        draft
    }

    fn record(&self, place: usize, row: &Row) -> Result<Record, Reason> {
        let key = self.key(row)?;
        let id = is_by_id(self.operation).then_some(&key);
        let head = [&self.sync.matched.object].into_iter().chain(id);
        let head = head.map(|text| Ok(FieldValue::Set(Value::Text(text.clone()))));
        let given: Vec<FieldRef<'_>> = row.fields.iter().collect();
        let cells = self.written().map(|(place, name)| {
            // A removal has no fields: what it leaves there is emptied.
            let field = given.get(place).copied().unwrap_or(FieldRef::Clear);
            cell(field).map_err(|reason| Reason { field: Some(name.clone()), ..reason })
        });
        let fields = head.chain(cells).collect::<Result<_, _>>()?;
        Ok(Record { place, key, fields })
    }

    /// What names a row's record: its match value, or its id, which may be the match value.
    fn key(&self, row: &Row) -> Result<String, Reason> {
        let value = if self.operation.is_removal() {
            row.address.match_value.clone()
        } else {
            Some(row.match_value(self.sync.matched.place)?)
        };
        if !is_by_id(self.operation) {
            return Ok(value.unwrap_or_default());
        }
        let id = value.filter(|_| self.sync.by_id()).map_or_else(|| row.id().map(str::to_owned), Ok)?;
        let is_id = matches!(id.len(), 15 | 18) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let malformed = || Reason::new("MALFORMED_ID", "a record's id has 15 or 18 letters and digits");
        is_id.then_some(id).ok_or_else(malformed)
    }

    /// The fields that are written, by place. What a record was found by stays, unless the row is moved.
    fn written(&self) -> impl Iterator<Item = (usize, &'a String)> + use<'a> {
        let (operation, place) = (self.operation, self.sync.matched.place);
        let kept = (is_by_id(operation) && operation != Operation::Move).then_some(place);
        let fields = self.sync.fields.iter().enumerate();
        fields.filter(move |(place, _)| operation != Operation::Delete && Some(*place) != kept)
    }

    /// The names of what a record says besides its object.
    fn names(&self, id: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        is_by_id(self.operation).then_some(id).into_iter().chain(self.written().map(|(_, name)| name.as_str()))
    }

    /// The column that names records in a job's results.
    pub(super) fn key_column(&self) -> &'a str {
        if is_by_id(self.operation) { ID } else { &self.sync.matched.by }
    }

    /// The body of a call of sObject Collections.
    pub(super) fn json(&self) -> Result<Vec<u8>, Fault> {
        let names: Vec<&str> = ["attributes.type"].into_iter().chain(self.names("id")).collect();
        let nest = Nest::compile(&names).map_err(|_| Fault::bug("two fields of one name"))?;
        let mut out = b"{\"allOrNone\":false,\"records\":".to_vec();
        for (number, record) in self.records.iter().enumerate() {
            out.push(if number > 0 { b',' } else { b'[' });
            nest.write_json(&record.fields, &mut out);
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }

    /// Whether a job can carry every record. What says NULL there is no text.
    pub(super) fn fits_job(&self) -> bool {
        let fits = |record: &Record| {
            let texts = record.fields.iter().filter_map(FieldRef::value).map(ValueRef::to_text);
            let lengths = texts.map(|text| if text == NULL { usize::MAX } else { text.chars().count() });
            lengths.clone().all(|length| length <= MAX_FIELD) && lengths.sum::<usize>() <= MAX_RECORD
        };
        self.records.iter().all(fits)
    }

    /// The file of a job.
    pub(super) fn csv(&self) -> Vec<u8> {
        let mut out = Vec::new();
        CsvLine::write(&mut out, self.names(ID));
        for record in &self.records {
            let mut line = CsvLine::new(&mut out);
            record.fields.iter().skip(1).for_each(|field| match field {
                FieldRef::Clear => line.text(NULL),
                field => line.value(field.value()),
            });
            line.end("\n");
        }
        out
    }
}

/// A field as both ways write it: what a row says does not depend on how large its run is.
fn cell(field: FieldRef<'_>) -> Result<FieldValue, Reason> {
    let FieldRef::Set(value) = field else { return Ok(field.into()) };
    let text = match value {
        ValueRef::Timestamp(micros) => {
            let moment = jiff::Timestamp::from_millisecond(micros.div_euclid(1000));
            format!("{:.3}", moment.map_err(|_| Reason::new("INVALID_VALUE", "a time beyond the calendar"))?)
        }
        // The values of a multi-select picklist.
        ValueRef::Array(items) => items.iter().map(ValueRef::to_text).collect::<Vec<_>>().join(";"),
        ValueRef::Invalid(why) => return Err(Reason::new("INVALID_VALUE", why)),
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Json(_) => value.to_text(),
        _ => return Ok(field.into()),
    };
    // An empty value means NULL in JSON, and nothing at all in CSV.
    Ok(if text.is_empty() { FieldValue::Clear } else { FieldValue::Set(Value::Text(text)) })
}
