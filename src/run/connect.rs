//! Before a run: which account is this, and does the object take what the sync wants to write?

use std::collections::HashMap;
use std::sync::Arc;

use backhaul_kit::config::{Problem, nearest};
use backhaul_kit::{Destination, Facts, Fault, FieldShape, Kit, Mode, ObjectField, ObjectSchema, Operation, TypeClass};

use super::RunError;
use crate::config::SyncDef;
use crate::diff::{OpKind, PlanCounts, PlanReader};
use crate::snapshot::Binding;

/// The destination of a sync, connected and checked.
pub(super) struct Connected {
    pub(super) destination: Arc<dyn Destination>,
    pub(super) binding: Binding,
    /// The object's fields, where the vendor tells.
    object: Option<ObjectSchema>,
    /// What a run is warned of before it starts.
    pub(super) warnings: Vec<String>,
}

impl Connected {
    /// Holds what the sync's fields send, by its columns' types, against what the object's fields take. `sends` has a type
    /// for each field that a column gives one.
    pub(super) fn check_types(&self, sync: &SyncDef, sends: &[Option<TypeClass>]) -> Result<(), RunError> {
        let known = self.object.iter().flat_map(|object| &object.fields);
        let known: HashMap<&str, &ObjectField> = known.map(|field| (field.name.as_str(), field)).collect();
        let mismatch = |(field, sent): (&FieldShape, &Option<TypeClass>)| {
            let (known, sent) = (*known.get(field.target.as_str())?, sent.as_ref()?);
            (!known.takes(sent)).then(|| {
                let native = &known.native;
                let message =
                    format!("`{}` is a field of type {native} there, and what is sent is {sent}", field.target);
                let accepted: Vec<String> = known.accepts.iter().map(ToString::to_string).collect();
                let remedy =
                    format!("it takes {}, or text: cast the column in the model, or use `as`", accepted.join(", "));
                Problem::error("wrong-column-type", message).at(&field.span).remedy(remedy)
            })
        };
        let problems: Vec<Problem> = sync.shape.fields.iter().zip(sends).filter_map(mismatch).collect();
        if problems.is_empty() { Ok(()) } else { Err(RunError::Problems(problems)) }
    }

    /// The same for a plan: one of removals alone sends no field, and nobody who may not be sent has to wait for a column.
    pub(super) fn check_plan(
        &self,
        sync: &SyncDef,
        plan: &PlanReader,
        sends: &[Option<TypeClass>],
    ) -> Result<(), RunError> {
        if plan.summary().counts.written() == 0 { Ok(()) } else { self.check_types(sync, sends) }
    }
}

/// Which operation each kind of op becomes, with what is true of it there.
pub(super) struct Operations {
    pub(super) write: (Operation, Facts),
    pub(super) removal: Option<(Operation, Facts)>,
    pub(super) moves: Option<(Operation, Facts)>,
}

impl Operations {
    /// From the sync's mode and `removed`, whatever a run sends.
    pub(super) fn of(sync: &SyncDef) -> Self {
        Self::for_rows(sync, 0)
    }

    /// The same for a run that sends `rows` rows.
    pub(super) fn for_rows(sync: &SyncDef, rows: u64) -> Self {
        let facts = |operation| (operation, sync.prepared.facts_for(operation, rows));
        let write = facts(sync.shape.mode.0.write_operation());
        let removal = match sync.shape.mode.0 {
            Mode::Audience => Some(Operation::AudienceRemove),
            // A full file holds exactly the model: what left it is gone with the next file.
            _ if write.1.whole_set => Some(Operation::Delete),
            _ => sync.shape.removed.0.operation(),
        };
        let moves = Some(facts(Operation::Move)).filter(|(_, facts)| facts.max_rows > 0);
        Self { write, removal: removal.map(facts), moves }
    }

    /// The operation and its facts for ops of that kind; `None` where the destination hears nothing.
    pub(super) fn of_kind(&self, kind: OpKind) -> Option<&(Operation, Facts)> {
        match kind {
            OpKind::Add | OpKind::Change | OpKind::Refresh => Some(&self.write),
            OpKind::Move => self.moves.as_ref(),
            OpKind::Remove => self.removal.as_ref(),
            OpKind::Touch | OpKind::Forget | OpKind::Reject => None,
        }
    }

    /// Whether removals or moves need a scope, and writes do not.
    fn is_for_others_than_writes(&self, scope: &String) -> bool {
        let others = self.removal.iter().chain(&self.moves);
        !self.write.1.scopes.contains(scope) && others.into_iter().any(|(_, facts)| facts.scopes.contains(scope))
    }

    /// Calls for a plan of these counts, with every batch full.
    pub(super) fn calls(sync: &SyncDef, counts: &PlanCounts) -> u64 {
        let Self { write, removal, moves } = Self::for_rows(sync, counts.sent());
        let of = |rows: u64, operation: Option<&(Operation, Facts)>| {
            operation.map_or(0, |(_, facts)| rows.div_ceil(facts.max_rows.max(1) as u64))
        };
        of(counts.added + counts.changed + counts.refreshed, Some(&write))
            + of(counts.moved, moves.as_ref())
            + of(counts.removed, removal.as_ref())
    }
}

/// What the sync has delivered to is still what it names.
pub(super) fn check_object(bound: &Binding, sync: &SyncDef) -> Result<(), Fault> {
    let object = sync.prepared.object();
    // Where a destination has no objects, the sync's own name stands for one.
    let renamed = object == sync.name && sync.previously.contains(&bound.object);
    if bound.object == object || renamed {
        return Ok(());
    }
    let message = format!("sync `{}` has delivered to `{}` so far and now names `{object}`", sync.name, bound.object);
    Err(Fault::config(message)
        .remedy("a new object is a new sync: give it a file of its own, or put the old object back"))
}

/// The account that the snapshot speaks of is the account we are connected to, or nothing is sent.
pub(super) fn check_identity(bound: &Binding, now: &Binding, sync: &str) -> Result<(), Fault> {
    if bound.identity == now.identity {
        return Ok(());
    }
    let (was, is) = (&bound.identity, &now.identity);
    Err(Fault::config(format!(
        "the credential belongs to account {is}, but what sync `{sync}` has delivered so far is in account {was}"
    ))
    .remedy(format!("put back a credential of {was}, or give the new account a state of its own ([state] dir)")))
}

/// Opens the destination, asks who we are there, and holds the mapped fields against the object's.
pub(super) async fn connect(sync: &SyncDef, kit: Arc<Kit>) -> Result<Connected, RunError> {
    let destination = sync.prepared.open(kit)?;
    let report = destination.check().await?;
    let operations = Operations::of(sync);
    // What writes need is needed by all rows: they would be refused one by one, and the run ends before its plan instead.
    // Without what only the others need rows can still be written: the run is warned, and stops where it needs it.
    let (seldom, missing): (Vec<String>, Vec<String>) =
        report.missing.into_iter().partition(|scope| operations.is_for_others_than_writes(scope));
    if !missing.is_empty() {
        let remedy = match report.grants.as_slice() {
            [] => String::from("grant these and no more, then run again"),
            grants => format!("grant these and no more: {}", grants.join(" ")),
        };
        let lacks = format!("the credential lacks {}", missing.join(", "));
        return Err(Fault::auth(lacks).remedy(remedy).into());
    }
    let warnings = seldom.iter().map(|scope| {
        format!(
            "the credential lacks {scope}: rows that move or are removed cannot be delivered (see `backhaul doctor`)"
        )
    });
    let object = destination.describe().await?;
    let problems = object.as_ref().map(|object| field_problems(sync, object)).unwrap_or_default();
    if !problems.is_empty() {
        return Err(RunError::Problems(problems));
    }
    let binding =
        Binding { identity: report.identity, object: sync.prepared.object(), environment: String::from("default") };
    Ok(Connected { destination, binding, object, warnings: warnings.collect() })
}

fn field_problems(sync: &SyncDef, object: &ObjectSchema) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, field) in sync.shape.fields.iter().enumerate() {
        let Some(known) = object.fields.iter().find(|f| f.name == field.target) else {
            let mut problem = Problem::error(
                "unknown-field",
                format!("`{}` has no field `{}`", sync.prepared.object(), field.target),
            )
            .at(&field.span)
            .remedy("create it at the destination, or map to one of its fields");
            if let Some(near) = nearest(&field.target, object.fields.iter().map(|f| f.name.as_str())) {
                problem = problem.label(format!("did you mean `{near}`?"));
            }
            problems.push(problem);
            continue;
        };
        if !known.writable {
            let message = format!("`{}` cannot be written: the destination computes it", field.target);
            problems.push(Problem::error("read-only-field", message).at(&field.span).remedy("leave it out"));
        }
        // Rows that are appended are not matched, though their key has a field.
        if let Some((_, span)) = sync.shape.match_field.as_ref().filter(|(of, _)| *of == place)
            && !known.unique
            && sync.shape.mode.0 != Mode::Append
        {
            let message = format!("rows cannot be matched by `{}`: its values are not unique there", field.target);
            problems.push(
                Problem::error("match-not-unique", message)
                    .at(span)
                    .remedy("match by a field with unique values, or have the destination enforce them"),
            );
        }
    }
    problems
}
