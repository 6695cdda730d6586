//! Finding what rows refer to: records at the destination, and what syncs have had accepted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use backhaul_kit::{Destination, Fault, FaultClass, Kit, Lookup, Match, Prepared, Value};
use tokio::runtime::Handle;

use super::connect::check_identity;
use super::site::standing_folder;
use super::{Cancel, RunError, unless_cancelled};
use crate::config::{Field, FieldSource, Project, Referred, SyncDef};
use crate::deliver::Retry;
use crate::diff::{Answer, DiffError, Resolve, remote_ids};
use crate::snapshot::{Binding, StateKey, Store};

/// How often a question is asked before the run gives up.
const ATTEMPTS: u32 = 5;

/// Finds the records that the rows of one scan refer to. Each value is asked for once.
pub(super) struct Finder {
    sync: String,
    references: HashMap<usize, Referred>,
    prepared: Arc<dyn Prepared>,
    kit: Arc<Kit>,
    binding: Binding,
    /// The folders of the syncs that are referred to, the sync's own under its name.
    folders: HashMap<String, PathBuf>,
    key: Arc<StateKey>,
    cancel: Cancel,
    /// Where calls are made from the thread that compares.
    runtime: Handle,
    asked: Mutex<Asked>,
}

/// What was asked of the destination.
#[derive(Default)]
struct Asked {
    destination: Option<Arc<dyn Destination>>,
    /// By object, field and encoded value.
    answers: HashMap<(String, String, Vec<u8>), Answer>,
}

impl Finder {
    /// For the fields of a sync that are ids of other records; its records are in the account of `binding`.
    pub(super) fn new(
        sync: &SyncDef,
        project: &Project,
        kit: &Arc<Kit>,
        key: &Arc<StateKey>,
        binding: &Binding,
        cancel: &Cancel,
    ) -> Self {
        let referred = |(place, field): (usize, &Field)| match &field.source {
            FieldSource::Reference(reference) => Some((place, reference.to.clone())),
            FieldSource::Column(..) | FieldSource::Value(_) | FieldSource::Template { .. } => None,
        };
        let references: HashMap<usize, Referred> = sync.fields.iter().enumerate().filter_map(referred).collect();
        let names = references.values().filter_map(|to| match to {
            Referred::Sync(name) => project.syncs.get(name).map(AsRef::as_ref),
            Referred::Own => Some(sync),
            Referred::Lookup { .. } => None,
        });
        Self {
            folders: names.map(|sync| (sync.name.clone(), standing_folder(project, sync))).collect(),
            sync: sync.name.clone(),
            references,
            prepared: sync.prepared.clone(),
            kit: kit.clone(),
            binding: binding.clone(),
            key: key.clone(),
            cancel: cancel.clone(),
            runtime: Handle::current(),
            asked: Mutex::default(),
        }
    }

    /// What a sync has had accepted.
    fn accepted(&self, sync: &str, keys: &[Value]) -> Result<Vec<Answer>, DiffError> {
        let folder =
            self.folders.get(sync).ok_or_else(|| Fault::bug(format!("sync `{sync}` is not in the project")))?;
        let Some(snapshot) = Store::read(folder, &self.key)? else { return Ok(vec![Answer::Missing; keys.len()]) };
        if snapshot.table().is_some() {
            return Err(Fault::config(format!("the snapshot of sync `{sync}` is still in the warehouse"))
                .remedy(format!("`backhaul run {sync}` brings it here"))
                .into());
        }
        if let Some(bound) = snapshot.binding() {
            check_identity(bound, &self.binding, sync)?;
        }
        Ok(remote_ids(&snapshot, keys)?)
    }

    /// Asks the destination for values that were not asked for before.
    async fn look_up(&self, object: &str, by: &str, values: &[Value]) -> Result<Vec<Answer>, RunError> {
        let key = |value: &Value| {
            let mut encoded = Vec::new();
            value.encode(&mut encoded);
            (object.to_owned(), by.to_owned(), encoded)
        };
        let new: Vec<&Value> = {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            values.iter().filter(|value| !asked.answers.contains_key(&key(value))).collect()
        };
        for values in new.chunks(Lookup::MOST_VALUES) {
            let values: Vec<Value> = values.iter().map(|value| (*value).clone()).collect();
            let query = Lookup { object: object.to_owned(), by: by.to_owned(), values };
            let matches = unless_cancelled(&self.cancel, self.ask(&query)).await?;
            let answers = answers(&query, matches)?;
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.answers.extend(query.values.iter().map(key).zip(answers));
        }
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(values.iter().map(|value| asked.answers.get(&key(value)).cloned().unwrap_or(Answer::Missing)).collect())
    }

    /// Asks once more, and again, as long as the destination may come back.
    async fn ask(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let mut attempt = 0;
        loop {
            let destination = self.destination().await;
            let asked = match destination {
                Ok(destination) => destination.lookup(query).await,
                Err(fault) => Err(fault),
            };
            let fault = match asked {
                Ok(matches) => return Ok(matches),
                Err(fault) => fault,
            };
            attempt += 1;
            let passes = matches!(fault.class, FaultClass::Throttled | FaultClass::Transient | FaultClass::Ambiguous);
            if !passes || attempt == ATTEMPTS || !Retry::is_patient(fault.retry_after) {
                return Err(fault);
            }
            tokio::time::sleep(Retry::default().next(attempt, 0, fault.retry_after)).await;
        }
    }

    /// The destination, once it has said that it is the account whose ids are wanted.
    async fn destination(&self) -> Result<Arc<dyn Destination>, Fault> {
        let known = self.asked.lock().unwrap_or_else(PoisonError::into_inner).destination.clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let destination = self.prepared.open(self.kit.clone())?;
        let identity = destination.check().await?.identity;
        check_identity(&self.binding, &Binding { identity, ..self.binding.clone() }, &self.sync)?;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).destination = Some(destination.clone());
        Ok(destination)
    }
}

impl Resolve for Finder {
    fn resolve(&self, place: usize, values: &[Value]) -> Result<Vec<Answer>, DiffError> {
        let to = self.references.get(&place).ok_or_else(|| Fault::bug(format!("field {place} refers to nothing")))?;
        match to {
            Referred::Sync(name) => self.accepted(name, values),
            Referred::Own => self.accepted(&self.sync, values),
            Referred::Lookup { object, by } => {
                self.runtime.block_on(self.look_up(object, by, values)).map_err(|error| match error {
                    RunError::Fault(fault) => DiffError::Source(fault),
                    _ => DiffError::Stopped,
                })
            }
        }
    }

    fn looked_up(&self) -> u64 {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).answers.len() as u64
    }
}

/// What each value of a question stands for, by the records that have it.
fn answers(query: &Lookup, matches: Vec<Match>) -> Result<Vec<Answer>, Fault> {
    if matches.len() != query.values.len() {
        return Err(Fault::bug("a look-up told of another number of values than it was asked for"));
    }
    let answer = |found| match found {
        Match::Absent => Answer::Missing,
        Match::One(id) => Answer::Id(id),
        Match::Several => Answer::Ambiguous,
        Match::Untold => Answer::Untold,
    };
    Ok(matches.into_iter().map(answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_answered_and_answers_to_others_are_a_bug() {
        let query = Lookup { object: "User".into(), by: "Email".into(), values: vec![Value::Int(1), Value::Int(2)] };
        let told = |matches: &[Match]| answers(&query, matches.to_vec());
        let found = told(&[Match::One("a".into()), Match::Absent]).expect("answers");
        assert_eq!(found, [Answer::Id("a".into()), Answer::Missing]);
        assert_eq!(told(&[Match::Several, Match::Untold]).expect("answers"), [Answer::Ambiguous, Answer::Untold]);
        assert_eq!(told(&[Match::Absent]).expect_err("one of two").class, FaultClass::Bug);
    }
}
