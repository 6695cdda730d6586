//! `lookup` and `ref`: fields whose value is the id of a record that the row refers to.

use std::collections::{BTreeMap, BTreeSet};

use backhaul_kit::config::{ConfigTable, Problem, Problems, Span};

use super::names;
use super::project::{DiffPlace, Field, FieldSource, Reference, Referred, SyncDef};
use super::sync::Read;

/// `missing`: what becomes of a row whose record is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is refused, and tried again as other rejects are.
    #[default]
    Reject,
    /// It is sent without the field.
    Skip,
    /// It is not sent yet: every run looks again.
    Wait,
    /// It is sent as if its column were NULL.
    Null,
}

impl Missing {
    /// All, with their names in TOML.
    pub const CHOICES: &'static [(&'static str, Self)] =
        &[("reject", Self::Reject), ("skip", Self::Skip), ("wait", Self::Wait), ("null", Self::Null)];

    /// Its name in TOML.
    pub fn as_str(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, missing)| *missing == self).map_or("", |(name, _)| name)
    }
}

/// The name by which a sync calls itself.
const OWN: &str = "self";

/// Reads `lookup` or `ref` of a field, with what belongs to it.
pub(super) fn read(table: &mut ConfigTable, field: &Span) -> Option<Reference> {
    let refers = table.has("lookup") || table.has("ref");
    let looks_up = table.has("lookup");
    let place =
        |table: &ConfigTable, key| table.keys().into_iter().find(|(known, _)| known == key).map(|(_, span)| span);
    let (lookup, to) = (table.text_at("lookup"), table.text_at("ref"));
    let by_place = place(table, "by");
    let by = if looks_up { table.required_text_at("by") } else { table.text_at("by") };
    let missing_place = place(table, "missing");
    let missing = table.choice("missing", Missing::CHOICES).unwrap_or_default();
    let stray = |key: &str, with: &str, remedy: &str, span: Option<Span>| {
        if let Some(span) = span {
            let message = format!("`{}` only goes with {with}", table.path_of(key));
            table.problems().push(Problem::error("bad-field", message).at(&span).remedy(remedy));
        }
    };
    if !looks_up {
        stray("by", "`lookup`", "take it out", by_place);
    }
    if !refers {
        stray("missing", "`lookup` and `ref`", "for NULLs there are `default` and `null`", missing_place);
        return None;
    }
    if !table.has("column") {
        let message = format!("`{}` needs `column`", table.path());
        let problem = Problem::error("missing-key", message).at(field);
        table.problems().push(problem.remedy("add `column = …`, whose value finds the record"));
    }
    let column = table.text_at("column")?;
    let (to, span) = match (lookup, to) {
        (Some((object, span)), _) => (Referred::Lookup { object, by: by?.0 }, span),
        (None, Some((name, span))) if name == OWN => (Referred::Own, span),
        (None, Some((name, span))) => (Referred::Sync(name), span),
        (None, None) => return None,
    };
    Some(Reference { to, span, column, missing })
}

/// Checks what the fields of all syncs refer to; `known` are the names of all syncs, unreadable ones included.
/// Syncs whose records are referred to are told so.
pub(super) fn check(syncs: &mut BTreeMap<String, Read>, known: &BTreeSet<String>, problems: &Problems) {
    let mut referred_to = BTreeSet::new();
    for (name, sync) in syncs.iter().filter_map(|(name, read)| Some((name, read.sync.as_ref()?))) {
        for (place, field, reference) in references(sync) {
            check_field(sync, place, field, reference, problems);
            let parent = match &reference.to {
                Referred::Lookup { object, by } => {
                    check_lookup(sync, object, by, reference, problems);
                    continue;
                }
                Referred::Own => name,
                Referred::Sync(parent) => parent,
            };
            if !known.contains(parent) {
                let names = known.iter().map(String::as_str);
                problems.push(names::unknown("unknown-sync", "sync", parent, &reference.span, names));
            }
            if let Some(parent) = syncs.get(parent).and_then(|read| read.sync.as_ref()) {
                check_parent(sync, parent, reference, problems);
                referred_to.insert(parent.name.clone());
            }
        }
    }
    check_cycles(syncs, problems);
    for sync in syncs.values_mut().filter_map(|read| read.sync.as_mut()) {
        sync.referred_to = referred_to.contains(&sync.name);
    }
}

fn references(sync: &SyncDef) -> impl Iterator<Item = (usize, &Field, &Reference)> {
    sync.fields.iter().enumerate().filter_map(|(place, field)| match &field.source {
        FieldSource::Reference(reference) => Some((place, field, reference)),
        FieldSource::Column(..) | FieldSource::Value(_) | FieldSource::Template { .. } => None,
    })
}

/// The problem of a reference, at the word that makes it one; where that stands in a mapping the sync is named.
fn refuse(problems: &Problems, reference: &Reference, code: &'static str, message: String, remedy: impl Into<String>) {
    problems.push(Problem::error(code, message).at(&reference.span).remedy(remedy));
}

fn check_field(sync: &SyncDef, place: usize, field: &Field, reference: &Reference, problems: &Problems) {
    let (name, target) = (&sync.name, &field.target);
    if sync.shape.match_field.as_ref().is_some_and(|(matched, _)| *matched == place) {
        let message = format!("\"{name}\" matches by `{target}`, which is the id of another record");
        refuse(problems, reference, "reference-match", message, "match by a field that is the row's own");
    }
    if target.contains('[') {
        let message = format!("`{target}` is a list, and a reference is to one record");
        refuse(problems, reference, "reference-list", message, "map the ids as a column of the model");
    }
}

fn check_lookup(sync: &SyncDef, object: &str, by: &str, reference: &Reference, problems: &Problems) {
    if let Err(why) = sync.prepared.check_lookup(object, by) {
        let message = format!("the destination of \"{}\" {why}", sync.name);
        refuse(problems, reference, "no-lookup", message, "bring the ids with the model, as a column");
    }
}

/// Ids are those of one account, remembered on this machine, by one value of the key.
fn check_parent(sync: &SyncDef, parent: &SyncDef, reference: &Reference, problems: &Problems) {
    let (child, name) = (&sync.name, &parent.name);
    let refuse = |code, message, remedy: &str| refuse(problems, reference, code, message, remedy);
    if parent.destination != sync.destination {
        let message = format!(
            "\"{child}\" writes to \"{}\" and refers to \"{name}\", which writes to \"{}\"",
            sync.destination, parent.destination
        );
        refuse(
            "reference-elsewhere",
            message,
            "an id means something only in its own account: refer to a sync of that",
        );
    } else if !parent.prepared.gives_ids() {
        let message = format!("\"{name}\" does not learn the ids of its records");
        refuse(
            "reference-without-ids",
            message,
            "refer to a sync whose destination answers with ids, in a mode that does",
        );
    }
    if parent.diff == DiffPlace::Warehouse {
        let message = format!("\"{name}\" compares in the warehouse: its records cannot be asked for by others");
        refuse("no-warehouse-reference", message, "take `diff` out of that sync");
    }
    if parent.model.key.len() != 1 {
        let message = format!("the key of \"{name}\" has several columns, and a reference has one");
        refuse("reference-composite-key", message, "give its model a key of one column");
    }
}

/// Whoever refers to another has it delivered first: in a ring nobody can be.
fn check_cycles(syncs: &BTreeMap<String, Read>, problems: &Problems) {
    let parents = |name: &str| {
        let sync = syncs.get(name).and_then(|read| read.sync.as_ref());
        sync.into_iter().flat_map(references).filter_map(|(_, _, reference)| match &reference.to {
            Referred::Sync(parent) => Some((parent.as_str(), reference)),
            Referred::Own | Referred::Lookup { .. } => None,
        })
    };
    let mut reported = BTreeSet::new();
    for start in syncs.keys() {
        let Some(mut cycle) = super::across::cycle(start, |name| parents(name).map(|(parent, _)| parent).collect())
        else {
            continue;
        };
        let shown = format!("{} → {start}", cycle.join(" → "));
        let Some((_, reference)) = parents(start).find(|(parent, _)| cycle.contains(parent)) else { continue };
        cycle.sort_unstable();
        let (message, remedy) = if cycle.len() == 1 {
            (format!("\"{start}\" refers to itself by its name"), "its own records are `ref = \"self\"`")
        } else {
            (format!("syncs refer to each other: {shown}"), "one of them has to be delivered without the other's ids")
        };
        if reported.insert(cycle) {
            refuse(problems, reference, "cycle", message, remedy);
        }
    }
}
