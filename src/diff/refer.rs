//! Rows that refer to other records: what they ask, and what they are told.

use std::collections::HashMap;

use backhaul_kit::{KeyHash, Value, key};

use super::DiffError;
use crate::config::Missing;
use crate::snapshot::{Details, NEVER_ACCEPTED, Records, Snapshot, SnapshotError};

/// A field that is the id of another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its place among the mapped fields.
    pub place: usize,
    /// What becomes of a row whose record is not there.
    pub missing: Missing,
    /// Whether the record is one of the same sync: it may be in the same plan.
    pub own: bool,
}

/// What a value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The record with this id.
    Id(String),
    /// None: no record has the value, or the sync has not had it accepted.
    Missing,
    /// A record that was accepted and whose id is not remembered.
    Nameless,
    /// Several records have the value.
    Ambiguous,
    /// The destination does not say.
    Untold,
}

/// Finds the records that rows refer to.
pub trait Resolve: Send + Sync {
    /// What each of `values` stands for in the field at `place`; they are different, and none is NULL.
    ///
    /// # Errors
    /// The destination or a snapshot cannot be asked.
    fn resolve(&self, place: usize, values: &[Value]) -> Result<Vec<Answer>, DiffError>;

    /// How many values the destination was asked for.
    fn looked_up(&self) -> u64;
}

/// The bytes of the key that a value names; `None` for a value that no key can have.
pub(super) fn key_of(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    key::put_value(value, &mut bytes).ok().map(|()| bytes)
}

/// The ids of the records that a snapshot has of these keys: one pass over its key hashes.
pub(crate) fn remote_ids(snapshot: &Snapshot, keys: &[Value]) -> Result<Vec<Answer>, SnapshotError> {
    let seed = snapshot.seed();
    let keys_asked = keys.iter().enumerate().filter_map(|(place, value)| Some((key_of(value)?, place)));
    // Two values may name one key.
    let mut wanted: HashMap<KeyHash, Vec<usize>> = HashMap::new();
    for (key, place) in keys_asked {
        wanted.entry(KeyHash::of(&key, seed)).or_default().push(place);
    }
    let mut answers = vec![Answer::Missing; keys.len()];
    let (mut records, mut details) = (Records::new(snapshot), Details::new(snapshot));
    for ordinal in 0..snapshot.ordinals() {
        let record = records.get(ordinal)?.filter(|record| record.fingerprint != NEVER_ACCEPTED);
        let Some(places) = record.and_then(|record| wanted.get(&record.key_hash)) else { continue };
        let answer = details.address(ordinal)?.remote_id.map_or(Answer::Nameless, Answer::Id);
        places.iter().for_each(|place| answers[*place] = answer.clone());
    }
    Ok(answers)
}
