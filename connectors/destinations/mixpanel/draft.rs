//! A batch as calls.

use backhaul_kit::value::write_json_str;
use backhaul_kit::{Batch, FieldRef, Operation, Reason, Removed, Row, WritePolicy};
use jiff::Timestamp;

use super::event;
use super::sync::{MixpanelSync, Object};

/// One call.
#[derive(Default)]
pub(super) struct Call {
    /// What every update of a profile begins with.
    head: Vec<u8>,
    /// A JSON array of records.
    pub(super) body: Vec<u8>,
    /// The place in the batch of each record.
    pub(super) places: Vec<usize>,
    /// The `$insert_id` of each event.
    pub(super) insert_ids: Vec<String>,
}

/// The calls of a batch, to be made one after the other, and the rows that cannot be sent.
#[derive(Default)]
pub(super) struct Draft {
    /// Calls with at least one record.
    pub(super) calls: Vec<Call>,
    /// Rows refused here, by place.
    pub(super) refused: Vec<(usize, Reason)>,
}

impl Draft {
    /// The calls of a batch. `token` is the project's, which stands in every update of a profile.
    pub(super) fn of(sync: &MixpanelSync, batch: &Batch, now: Timestamp, token: &str) -> Self {
        let mut draft = Self::default();
        let mut calls: [Call; 4] = Default::default();
        let mut head = br#"{"$token":"#.to_vec();
        write_json_str(token, &mut head);
        head.extend_from_slice(br#","$distinct_id":"#);
        calls.iter_mut().for_each(|call| call.head.clone_from(&head));
        for (place, row) in batch.rows.iter().enumerate() {
            let added = match sync.object {
                Object::Events { event, time, distinct_id } => {
                    add_event(&mut calls[0], sync, [event, time, distinct_id], place, row, now)
                }
                Object::Profiles { distinct_id } => {
                    add_profile(&mut calls, sync, distinct_id, batch.operation, place, row)
                }
            };
            draft.refused.extend(added.err().map(|reason| (place, reason)));
        }
        draft.calls.extend(calls.into_iter().filter(|call| !call.places.is_empty()).map(|mut call| {
            call.body.push(b']');
            call
        }));
        draft
    }
}

impl Call {
    fn begin(&mut self, place: usize) {
        self.body.push(if self.places.is_empty() { b'[' } else { b',' });
        self.places.push(place);
    }

    /// Adds an update of a profile: what follows its id, without the closing brace.
    fn update(&mut self, place: usize, id: &str, verb: &[u8]) {
        self.begin(place);
        self.body.extend_from_slice(&self.head);
        write_json_str(id, &mut self.body);
        self.body.extend_from_slice(verb);
        self.body.push(b'}');
    }

    fn unset(&mut self, place: usize, id: &str, names: &[&str]) {
        let mut verb = br#","$unset":["#.to_vec();
        for (number, name) in names.iter().enumerate() {
            if number > 0 {
                verb.push(b',');
            }
            write_json_str(name, &mut verb);
        }
        verb.push(b']');
        self.update(place, id, &verb);
    }
}

fn add_event(
    call: &mut Call,
    sync: &MixpanelSync,
    places: [usize; 3],
    place: usize,
    row: &Row,
    now: Timestamp,
) -> Result<(), Reason> {
    let mut record = Vec::new();
    let insert_id = event::write(sync, places, row, now, &mut record)?;
    call.begin(place);
    call.body.extend_from_slice(&record);
    call.insert_ids.push(insert_id);
    Ok(())
}

/// Adds what a row asks of profiles: to set, to set where there is nothing, to empty, to remove.
fn add_profile(
    [sets, onces, unsets, removals]: &mut [Call; 4],
    sync: &MixpanelSync,
    distinct_id: usize,
    operation: Operation,
    place: usize,
    row: &Row,
) -> Result<(), Reason> {
    let old = row.address.match_value.as_deref();
    if !operation.is_removal() {
        let id = event::id(row.fields.get(distinct_id))?
            .ok_or_else(|| Reason::new("NO_MATCH_VALUE", "`$distinct_id` has no value in this row"))?;
        let (mut set, mut once, mut emptied) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (target, field)) in sync.targets.iter().zip(row.fields.iter()).enumerate() {
            let if_empty = sync.writes.get(number) == Some(&WritePolicy::IfEmpty);
            match event::set(target, field)? {
                _ if number == distinct_id || field == FieldRef::Skip => {}
                Some(value) => {
                    let members = if if_empty { &mut once } else { &mut set };
                    if !members.is_empty() {
                        members.push(b',');
                    }
                    event::write_member(target, value, members);
                }
                None if if_empty => {}
                None => emptied.push(target.as_str()),
            }
        }
        let verb = |name: &[u8], members: &[u8]| [br#",""#, name, br#"":{"#, members, b"}"].concat();
        sets.update(place, &id, &verb(b"$set", &set));
        if !once.is_empty() {
            onces.update(place, &id, &verb(b"$set_once", &once));
        }
        if !emptied.is_empty() {
            unsets.unset(place, &id, &emptied);
        }
        if operation != Operation::Move || old == Some(id.as_str()) {
            return Ok(());
        }
    }
    let old = old.ok_or_else(|| Reason::new("NO_ADDRESS", "the profile's `$distinct_id` is not known"))?;
    if sync.removed == Removed::Clear {
        removals.unset(place, old, &sync.properties().collect::<Vec<_>>());
    } else {
        removals.update(place, old, br#","$delete":"","$ignore_alias":true"#);
    }
    Ok(())
}
