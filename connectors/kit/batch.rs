//! Batches of rows on their way to a destination, and what became of each row.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::key::Key;
use crate::value::{FieldRef, Fields, ValueRef, put_bytes, take_bytes};

words! {
    /// What a batch does; a batch holds one operation.
    #[derive(PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Operation {
        /// Create the record or update the one that matches.
        Upsert = "upsert",
        /// Update a record that must exist.
        Update = "update",
        /// Create a record that must not exist.
        Create = "create",
        /// Append a record; nothing matches.
        Append = "append",
        /// Put a member into an audience.
        AudienceAdd = "audience_add",
        /// Take a member out of an audience.
        AudienceRemove = "audience_remove",
        /// Change the record's address: it is found by the old one.
        Move = "move",
        /// Archive a record (restorable).
        Archive = "archive",
        /// Delete a record.
        Delete = "delete",
        /// Empty the fields that backhaul wrote.
        Clear = "clear",
    }
}

impl Operation {
    /// Whether the row left the model.
    pub fn is_removal(self) -> bool {
        matches!(self, Self::AudienceRemove | Self::Archive | Self::Delete | Self::Clear)
    }
}

words! {
    /// Why a row is in the plan.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ChangeKind {
        /// The key was not accepted before.
        Add = "add",
        /// The key was accepted with another fingerprint, or is in doubt.
        Change = "change",
        /// Its address at the destination changes.
        Move = "move",
        /// The key left the model.
        Remove = "remove",
        /// Sent again though nothing changed.
        Refresh = "refresh",
    }
}

/// What finds a delivered record again at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// The vendor's id of the record, once it told us.
    pub remote_id: Option<String>,
    /// The value of the match field, as text; where the destination finds members by
    /// [hashes](crate::AddressKind::Hashes), those, one a line.
    pub match_value: Option<String>,
}

impl Address {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.remote_id.is_none() && self.match_value.is_none()
    }

    /// The hashes that a member is found by.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.match_value.iter().flat_map(|value| value.lines())
    }

    /// Appends the encoding of sidecars and plan files: a flag byte, then the parts present.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.remote_id.is_some()) | u8::from(self.match_value.is_some()) << 1);
        for part in [&self.remote_id, &self.match_value].into_iter().flatten() {
            put_bytes(part.as_bytes(), out);
        }
    }

    /// Reads one address off the front of `input`.
    pub fn decode(input: &mut &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let [remote_id, match_value] = Self::parts(input)?;
        let remote_id = if let Some(bytes) = remote_id { Some(text(bytes)?) } else { None };
        let match_value = if let Some(bytes) = match_value { Some(text(bytes)?) } else { None };
        Some(Self { remote_id, match_value })
    }

    /// Takes one address off the front of `input` as it stands there: the bytes of remote id and match value.
    pub fn parts<'b>(input: &mut &'b [u8]) -> Option<[Option<&'b [u8]>; 2]> {
        let (&flags, rest) = input.split_first()?;
        *input = rest;
        if flags > 3 {
            return None;
        }
        let remote_id = if flags & 1 != 0 { Some(take_bytes(input)?) } else { None };
        let match_value = if flags & 2 != 0 { Some(take_bytes(input)?) } else { None };
        Some([remote_id, match_value])
    }
}

/// One row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its op number in the plan; verdicts are given by it.
    pub op: u64,
    /// Why it is in the plan.
    pub change: ChangeKind,
    /// Canonical key bytes ([`crate::key`]).
    pub key: Key,
    /// Fingerprint of the source row (0 for removals); with sync and key it makes an idempotency key.
    pub fingerprint: u64,
    /// What finds the record: for a move or a removal the *old* address, for the rest what is remembered
    /// of it and the present match value.
    pub address: Address,
    /// Values in the order of the sync's fields; none for removals.
    pub fields: Fields,
}

/// Rows that go out in one [`write`](crate::Destination::write).
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What to do with every row.
    pub operation: Operation,
    /// Its number within the run, from 0.
    pub seq: u64,
    /// Whether it is the last of its operation in the run (only known where the session is
    /// [`Ordered`](crate::Session::Ordered)). One that is sent again in parts is followed by another last one.
    pub last: bool,
    /// The rows; no two share a key or an address.
    pub rows: Vec<Row>,
}

impl Row {
    /// The id of the record that it is about.
    ///
    /// # Errors
    /// It is not known.
    pub fn id(&self) -> Result<&str, Reason> {
        let unknown = || Reason::new("NO_ADDRESS", "the record's id is not known, and nothing that it can be found by");
        self.address.remote_id.as_deref().ok_or_else(unknown)
    }

    /// The text of the match field, which stands at `place`.
    ///
    /// # Errors
    /// There is none in this row.
    pub fn match_value(&self, place: usize) -> Result<String, Reason> {
        let value = self.fields.get(place).and_then(FieldRef::value).map(ValueRef::to_text);
        let missing = || Reason::new("NO_MATCH_VALUE", "the match field has no value in this row");
        value.filter(|value| !value.is_empty()).ok_or_else(missing)
    }
}

impl Batch {
    /// What each row becomes of which something can be sent, and the verdicts of the others, by place. What was created
    /// before is not created again.
    pub fn draft<T>(&self, draft: impl Fn(usize, &Row) -> Result<T, Reason>) -> (Vec<T>, Vec<(usize, Verdict)>) {
        let (mut drafts, mut settled) = (Vec::with_capacity(self.rows.len()), Vec::new());
        for (place, row) in self.rows.iter().enumerate() {
            let is_there = self.operation == Operation::Create && row.address.remote_id.is_some();
            let text = "this row's record was created before, and mode create changes none";
            let drafted = if is_there { Err(Reason::new("ALREADY_CREATED", text)) } else { draft(place, row) };
            match drafted {
                Ok(one) => drafts.push(one),
                Err(reason) => settled.push((place, Verdict::Rejected(reason))),
            }
        }
        (drafts, settled)
    }

    /// Refuses more rows than a call takes.
    ///
    /// # Errors
    /// `Split`.
    pub fn at_most(&self, rows: usize) -> Result<(), Fault> {
        let text = || format!("{} rows are more than the {rows} of a call", self.rows.len());
        if self.rows.len() > rows { Err(Fault::split(text())) } else { Ok(()) }
    }
}

/// Why a destination (or the mapper) refused a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The vendor's code, or ours (`INVALID_EMAIL`).
    pub code: String,
    /// The vendor's text. It may quote the value: it is kept encrypted and masked in output.
    pub text: String,
    /// The field it speaks of, where the answer says so.
    pub field: Option<String>,
}

impl Reason {
    /// A reason of `code` and `text`.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), field: None }
    }
}

/// What became of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known; where every row starts.
    Unknown,
    /// Written.
    Written {
        /// The vendor's id of the record, where the answer gives it.
        remote_id: Option<String>,
    },
    /// The destination says that it already was as asked.
    Unchanged,
    /// Refused.
    Rejected(Reason),
    /// Known not to be applied; to be sent again, not before that long.
    Retry(Option<Duration>),
}

/// The verdicts of one batch. Every row starts [`Verdict::Unknown`].
#[derive(Clone, Debug)]
pub struct Outcomes {
    verdicts: Vec<(u64, Verdict)>,
}

impl Outcomes {
    /// All rows unknown.
    pub fn of(batch: &Batch) -> Self {
        Self { verdicts: batch.rows.iter().map(|row| (row.op, Verdict::Unknown)).collect() }
    }

    /// All rows with the same verdict: for answers that settle the whole call.
    pub fn all(batch: &Batch, verdict: &Verdict) -> Self {
        Self { verdicts: batch.rows.iter().map(|row| (row.op, verdict.clone())).collect() }
    }

    /// The rows at these places rejected, the others with the same verdict.
    pub fn but_for(batch: &Batch, refused: impl IntoIterator<Item = (usize, Reason)>, rest: &Verdict) -> Self {
        let mut all = Self::all(batch, rest);
        for (place, reason) in refused {
            if let Some((_, verdict)) = all.verdicts.get_mut(place) {
                *verdict = Verdict::Rejected(reason);
            }
        }
        all
    }

    /// These verdicts, each with its row's place in the batch; the other rows are unknown.
    ///
    /// # Errors
    /// As [`Outcomes::set_at`].
    pub fn at_places(batch: &Batch, said: impl IntoIterator<Item = (usize, Verdict)>) -> Result<Self, Fault> {
        let mut outcomes = Self::of(batch);
        let known = said.into_iter().filter(|(_, verdict)| *verdict != Verdict::Unknown);
        for (place, verdict) in known {
            outcomes.set_at(place, verdict)?;
        }
        Ok(outcomes)
    }

    /// Gives the row of op number `op` its verdict.
    ///
    /// # Errors
    /// A `Bug` for a number that is not in the batch or already has a verdict.
    pub fn set(&mut self, op: u64, verdict: Verdict) -> Result<(), Fault> {
        let place = self.verdicts.iter().position(|(number, _)| *number == op);
        let foreign = || Fault::bug(format!("a verdict for op {op}, which is not in the batch"));
        self.set_at(place.ok_or_else(foreign)?, verdict)
    }

    /// Gives the row at `place` of the batch its verdict (constant time; see [`Outcomes::set`]).
    ///
    /// # Errors
    /// A `Bug` for a place beyond the batch or a second verdict.
    pub fn set_at(&mut self, place: usize, verdict: Verdict) -> Result<(), Fault> {
        match self.verdicts.get_mut(place) {
            None => Err(Fault::bug(format!("a verdict for row {place}, which is beyond the batch"))),
            Some((op, slot)) if *slot != Verdict::Unknown => Err(Fault::bug(format!("a second verdict for op {op}"))),
            Some((_, slot)) => {
                *slot = verdict;
                Ok(())
            }
        }
    }

    /// The verdicts by op number, in batch order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Verdict)> {
        self.verdicts.iter().map(|(op, verdict)| (*op, verdict))
    }

    /// The verdicts by op number, in batch order.
    pub fn into_vec(self) -> Vec<(u64, Verdict)> {
        self.verdicts
    }

    /// How many rows are still unknown.
    pub fn unknown(&self) -> usize {
        self.verdicts.iter().filter(|(_, v)| *v == Verdict::Unknown).count()
    }
}

/// What a [`write`](crate::Destination::write) came to.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// Every row has its verdict (perhaps `Unknown`).
    Settled(Outcomes),
    /// Taken in, but it counts for nothing until `finish` returns `Committed`.
    Staged,
    /// An asynchronous job; poll its ticket.
    Pending(Ticket),
    /// From `finish`: everything staged in the session is now in force.
    Committed,
}

/// What a poll of a ticket found.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Not finished; ask again after that long.
    Running {
        /// How long to wait.
        after: Duration,
    },
    /// Finished, with every row's verdict.
    Done(Outcomes),
    /// The vendor no longer knows the job: its rows are in doubt.
    Lost,
}

/// An async job or session at a vendor, saved so that a restart goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Which kind of job, in the connector's words.
    pub kind: String,
    /// The version of `body`.
    pub version: u32,
    /// Whatever the connector needs to find the job again.
    pub body: serde_json::Value,
}

impl Ticket {
    /// A ticket of that kind.
    ///
    /// # Errors
    /// A `Bug` for a body that cannot be written as JSON.
    pub fn new(kind: &str, version: u32, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_value(body);
        let body = body.map_err(|error| Fault::bug("a ticket that cannot be written as JSON").caused_by(error))?;
        Ok(Self { kind: kind.to_owned(), version, body })
    }

    /// Its body; `None` of a ticket of another kind or version, or with a body of another form.
    pub fn read<T: DeserializeOwned>(&self, kind: &str, version: u32) -> Option<T> {
        let is_it = (self.kind.as_str(), self.version) == (kind, version);
        serde_json::from_value(self.body.clone()).ok().filter(|_| is_it)
    }
}

/// Saves a ticket durably; a connector awaits it between the steps of a job.
#[async_trait]
pub trait SaveTicket: Send + Sync {
    /// Returns when the ticket is on disk.
    async fn save(&self, ticket: &Ticket) -> Result<(), Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ops: &[u64]) -> Batch {
        let rows = ops
            .iter()
            .map(|&op| Row {
                op,
                change: ChangeKind::Add,
                key: Key::from_slice(&[1, 1]),
                fingerprint: 7,
                address: Address::default(),
                fields: Fields::default(),
            })
            .collect();
        Batch { operation: Operation::Upsert, seq: 0, last: true, rows }
    }

    #[test]
    fn every_row_starts_unknown_and_gets_one_verdict() {
        let mut outcomes = Outcomes::of(&batch(&[4, 9]));
        assert_eq!(outcomes.unknown(), 2);
        outcomes.set(9, Verdict::Unchanged).expect("op 9 is in the batch");
        assert_eq!(outcomes.unknown(), 1);
        let twice = outcomes.set(9, Verdict::Unchanged).expect_err("a second verdict");
        assert_eq!(twice.class, crate::FaultClass::Bug);
        let foreign = outcomes.set(5, Verdict::Unchanged).expect_err("a foreign op");
        assert_eq!(foreign.class, crate::FaultClass::Bug);
    }

    #[test]
    fn rows_are_rejected_by_their_places_and_the_rest_is_alike() {
        let no = || Reason::new("NO", "no");
        let outcomes = Outcomes::but_for(&batch(&[4, 9]), [(1, no()), (7, no())], &Verdict::Unchanged);
        assert_eq!(outcomes.into_vec(), [(4, Verdict::Unchanged), (9, Verdict::Rejected(no()))]);
    }

    #[test]
    fn addresses_come_back() {
        for address in [
            Address::default(),
            Address { remote_id: Some("51".into()), match_value: None },
            Address { remote_id: Some("51".into()), match_value: Some("a@example.com".into()) },
        ] {
            let mut bytes = Vec::new();
            address.encode(&mut bytes);
            assert_eq!(Address::decode(&mut bytes.as_slice()), Some(address));
        }
        assert_eq!(Address::decode(&mut [9u8].as_slice()), None);
    }
}
