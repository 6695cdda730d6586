//! Rows on their way.

use std::collections::BTreeMap;

use backhaul_kit::{Batch, Fields, Operation, Reason, Row};
use serde_json::value::{RawValue, to_raw_value};

use super::object::{EXTERNAL_ID, ID, USERS};
use super::sync::ZendeskSync;

/// The members of a record, with numbers as they were written.
pub(super) type Members = BTreeMap<String, Box<RawValue>>;

/// A row, ready to be sent.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) op: u64,
    /// What is written; nothing of a removal.
    pub(super) members: Members,
    /// The id of its record, where it is written by it.
    pub(super) id: Option<u64>,
}

impl ZendeskSync {
    /// The rows of a batch that can be sent.
    pub(super) fn drafts(&self, batch: &Batch) -> Vec<Draft> {
        batch.rows.iter().filter_map(|row| self.draft(batch.operation, row).ok()).collect()
    }

    /// A row; or why it cannot be sent.
    pub(super) fn draft(&self, operation: Operation, row: &Row) -> Result<Draft, Reason> {
        let (members, value) = if operation.is_removal() {
            (Members::new(), String::new())
        } else {
            (self.members(&row.fields)?, row.match_value(self.matched.place)?)
        };
        let id = match operation {
            Operation::Upsert => None,
            Operation::Update => Some(value.as_str()),
            _ => Some(row.id()?),
        };
        let invalid = |_| Reason::new("INVALID_ID", "an id is a whole number");
        Ok(Draft { op: row.op, members, id: id.map(str::parse).transpose().map_err(invalid)? })
    }

    /// A row's fields as the members of a record. NULL and `clear` are null.
    fn members(&self, fields: &Fields) -> Result<Members, Reason> {
        let mut json = Vec::new();
        self.nest.write_json(fields, &mut json);
        self.shaped(&json).map_err(|_| Reason::new("INVALID_VALUE", "a value of this row is no JSON"))
    }

    fn shaped(&self, json: &[u8]) -> Result<Members, serde_json::Error> {
        let mut members: Members = serde_json::from_slice(json)?;
        let known =
            |name: &String| [ID, self.object.custom].into_iter().chain(self.object.fields()).any(|own| own == name);
        if !members.keys().all(known) {
            return Err(serde::de::Error::custom("a JSON value of the row that is more than a value"));
        }
        members.remove(ID);
        // It is a text, whatever it is in the warehouse.
        if let Some(id) = members.get_mut(EXTERNAL_ID).filter(|id| !id.get().starts_with(['"', 'n'])) {
            *id = to_raw_value(id.get())?;
        }
        if self.object.name == USERS.name && self.skip_verify_email {
            members.insert("skip_verify_email".into(), to_raw_value(&true)?);
        }
        if let Some(fields) = members.get_mut(self.object.custom).filter(|_| self.object.is_tickets()) {
            let by_id: BTreeMap<u64, Box<RawValue>> = serde_json::from_str(fields.get())?;
            let list: Vec<String> =
                by_id.iter().map(|(id, value)| format!(r#"{{"id":{id},"value":{value}}}"#)).collect();
            *fields = RawValue::from_string(format!("[{}]", list.join(",")))?;
        }
        Ok(members)
    }
}
