//! What no file can know alone: names in `after` and `previously`, cycles, and two syncs on one object.

use std::collections::{BTreeMap, BTreeSet};

use backhaul_kit::config::{Problem, Problems};
use backhaul_kit::{Mode, Removed};

use super::names;
use super::project::SyncDef;
use super::sync::Read;

/// Checks the syncs against each other; `known` are the names of all, unreadable ones included.
pub(super) fn check(syncs: &BTreeMap<String, Read>, known: &BTreeSet<String>, problems: &Problems) {
    check_after(syncs, known, problems);
    check_previously(syncs, known, problems);
    check_ownership(syncs, problems);
}

fn check_after(syncs: &BTreeMap<String, Read>, known: &BTreeSet<String>, problems: &Problems) {
    for read in syncs.values() {
        for (name, span) in read.after.iter().filter(|(name, _)| !known.contains(name)) {
            problems.push(names::unknown("unknown-sync", "sync", name, span, known.iter().map(String::as_str)));
        }
    }
    let mut reported = BTreeSet::new();
    for start in syncs.keys() {
        let after = |name: &str| syncs.get(name).map(|read| read.after.as_slice()).unwrap_or_default();
        let next = |name: &str| after(name).iter().map(|(next, _)| next.as_str()).collect();
        let Some(cycle) = cycle(start, next) else { continue };
        let mut members = cycle.clone();
        members.sort_unstable();
        if !reported.insert(members) {
            continue;
        }
        let Some((_, span)) = syncs[start].after.iter().find(|(name, _)| cycle.contains(&name.as_str())) else {
            continue;
        };
        problems.push(
            Problem::error("cycle", format!("syncs wait for each other: {} → {start}", cycle.join(" → ")))
                .at(span)
                .remedy("give one of them a time: { every = … } or { cron = … }"),
        );
    }
}

/// The shortest way from `start` along `next` back to it.
pub(super) fn cycle<'a>(start: &'a str, next: impl Fn(&str) -> Vec<&'a str>) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last().copied().unwrap_or(start);
            for next in next(last) {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}

fn check_previously(syncs: &BTreeMap<String, Read>, known: &BTreeSet<String>, problems: &Problems) {
    let mut claimed: BTreeMap<&str, &str> = BTreeMap::new();
    for (sync, read) in syncs {
        for (name, span) in &read.previously {
            if known.contains(name) {
                problems.push(
                    Problem::error(
                        "duplicate-name",
                        format!("\"{name}\" is a sync of this project, not an older name of \"{sync}\""),
                    )
                    .at(span)
                    .remedy("take it out, or delete the old file"),
                );
            } else if let Some(other) = claimed.insert(name, sync) {
                problems.push(
                    Problem::error("duplicate-name", format!("\"{other}\" and \"{sync}\" both were \"{name}\" before"))
                        .at(span)
                        .remedy("only one can take its state over"),
                );
            }
        }
    }
}

/// Each field of an object has one owner, and a sync that removes records shares them only within its group.
fn check_ownership(syncs: &BTreeMap<String, Read>, problems: &Problems) {
    let mut objects: BTreeMap<(&str, String), Vec<&SyncDef>> = BTreeMap::new();
    for sync in syncs.values().filter_map(|read| read.sync.as_ref()) {
        // What is appended belongs to nobody afterwards.
        if sync.shape.mode.0 != Mode::Append {
            objects.entry((sync.destination.as_str(), sync.prepared.object())).or_default().push(sync);
        }
    }
    for ((destination, object), owners) in &objects {
        for (place, sync) in owners.iter().enumerate() {
            for other in &owners[..place] {
                let shared = format!("`{object}` of \"{destination}\"");
                if sync.group.is_none() || sync.group != other.group {
                    check_removal(sync, other, &shared, problems);
                }
                check_fields(sync, other, &shared, problems);
            }
        }
    }
}

fn check_removal(sync: &SyncDef, other: &SyncDef, shared: &str, problems: &Problems) {
    let removes = |sync: &SyncDef| sync.shape.mode.0 == Mode::Audience || sync.shape.removed.0 != Removed::Ignore;
    let (remover, victim) = match (removes(sync), removes(other)) {
        (true, _) => (sync, other),
        (false, true) => (other, sync),
        (false, false) => return,
    };
    let (how, span) = if remover.shape.mode.0 == Mode::Audience {
        (String::from("an audience removes members"), &remover.shape.mode.1)
    } else {
        let key = if remover.removes_left { "removed" } else { "on_ineligible" };
        (format!("`{key} = \"{}\"`", remover.shape.removed.0.as_str()), &remover.shape.removed.1)
    };
    problems.push(
        Problem::error(
            "shared-removal",
            format!(
                "\"{}\" would take away records that \"{}\" writes: both write to {shared}",
                remover.name, victim.name
            ),
        )
        .at(span)
        .label(how)
        .remedy("`removed = \"ignore\"`, one sync for both (a union in its model), or a group of both: [groups.NAME]"),
    );
}

fn check_fields(sync: &SyncDef, other: &SyncDef, shared: &str, problems: &Problems) {
    let matched = |sync: &SyncDef, place: usize| sync.shape.match_field.as_ref().is_some_and(|(own, _)| *own == place);
    for (place, field) in sync.fields.iter().enumerate() {
        let twin = other.fields.iter().enumerate().find(|(_, theirs)| overlap(&field.target, &theirs.target));
        let Some((their_place, theirs)) = twin else { continue };
        // Both find the record by it; neither changes it.
        if field.target == theirs.target && matched(sync, place) && matched(other, their_place) {
            continue;
        }
        problems.push(
            Problem::error(
                "shared-field",
                format!("\"{}\" and \"{}\" both write `{}` of {shared}", other.name, sync.name, theirs.target),
            )
            .at(if field.span.file == sync.file { &field.span } else { &sync.shape.span })
            .remedy("a field has one owner: drop it from one of the two"),
        );
    }
}

/// Whether one target is the other or lies inside it.
fn overlap(a: &str, b: &str) -> bool {
    let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']));
    a == b || inside(a, b) || inside(b, a)
}
