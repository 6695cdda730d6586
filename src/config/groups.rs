//! `[groups.X]`: syncs that share an object, in the order in which they run together.

use std::collections::{BTreeMap, BTreeSet};

use backhaul_kit::config::{ConfigTable, Problem, Problems, Span};

use super::names;
use super::project::{Country, DiffPlace, SyncDef};
use super::sync::Read;
use crate::transform::Normaliser;

/// The syncs of a group, in order, each with its place.
pub(super) type Written = Vec<(String, Span)>;

/// Reads the keys of a group.
pub(super) fn read(table: &mut ConfigTable) -> Written {
    if !table.has("syncs") {
        table.missing("syncs");
    }
    table.texts_at("syncs").unwrap_or_default()
}

/// Checks that groups and syncs name each other, and that what is shared can be told apart.
pub(super) fn check(
    groups: &BTreeMap<String, Written>,
    syncs: &BTreeMap<String, Read>,
    known: &BTreeSet<String>,
    problems: &Problems,
) {
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    for (group, written) in groups {
        for (sync, span) in written {
            if !known.contains(sync) {
                problems.push(names::unknown("unknown-sync", "sync", sync, span, known.iter().map(String::as_str)));
            } else if let Some(other) = listed.insert(sync, group) {
                let message = format!("\"{sync}\" stands twice in [groups]: in {other} and in {group}");
                problems
                    .push(Problem::error("group-twice", message).at(span).remedy("a sync has one place in one group"));
            } else if syncs.get(sync).is_some_and(|read| read.group.as_ref().is_none_or(|(own, _)| own != group)) {
                problems.push(
                    Problem::error(
                        "group-one-sided",
                        format!("\"{sync}\" does not say that it belongs to [groups.{group}]"),
                    )
                    .at(span)
                    .remedy(format!("add `group = \"{group}\"` to its [into], or take it out of the group")),
                );
            }
        }
        check_members(group, written, syncs, problems);
    }
    for (sync, read) in syncs {
        let Some((group, span)) = &read.group else { continue };
        let Some(written) = groups.get(group) else {
            problems.push(names::unknown("unknown-group", "group", group, span, groups.keys().map(String::as_str)));
            continue;
        };
        if !written.iter().any(|(member, _)| member == sync) {
            problems.push(
                Problem::error("group-one-sided", format!("[groups.{group}] does not name \"{sync}\""))
                    .at(span)
                    .remedy("add it to the group's `syncs`, where its turn is"),
            );
        }
    }
}

/// Records are told apart by what finds them at the destination: that must be the same for all.
fn check_members(group: &str, written: &Written, syncs: &BTreeMap<String, Read>, problems: &Problems) {
    let members = written.iter().filter_map(|(name, span)| Some((syncs.get(name)?.sync.as_ref()?, span)));
    let mut first: Option<&SyncDef> = None;
    for (sync, span) in members {
        let refuse = |code, message: String, remedy: &str| {
            problems.push(Problem::error(code, message).at(span).remedy(remedy.to_owned()));
        };
        if sync.diff == DiffPlace::Warehouse {
            let message =
                format!("\"{}\" compares in the warehouse: its records cannot be asked for by others", sync.name);
            refuse("no-warehouse-group", message, "take `diff` out of the sync");
        }
        let Some(first) = first else {
            first = Some(sync);
            continue;
        };
        if object(sync) != object(first) {
            let message = format!("\"{}\" and \"{}\" write to two objects", first.name, sync.name);
            refuse("group-of-two-objects", message, "a group is for the syncs of one object of one destination");
        } else if matched(sync) != matched(first) {
            let message =
                format!("\"{}\" and \"{}\" of [groups.{group}] find a record by two things", first.name, sync.name);
            refuse("group-match", message, "give both the same `match`, its field with the same `as`");
        }
    }
}

fn object(sync: &SyncDef) -> (&str, String) {
    (&sync.destination, sync.prepared.object())
}

/// The match field and the form of its values.
fn matched(sync: &SyncDef) -> Option<(&str, Option<&'static str>, Option<&str>)> {
    let (place, _) = sync.shape.match_field.as_ref()?;
    let field = sync.fields.get(*place)?;
    let country = field.country.as_ref().map(|country| match country {
        Country::Is(code) => code.as_str(),
        Country::Column(column, _) => column.as_str(),
    });
    Some((&field.target, field.normalise.map(Normaliser::as_str), country))
}
