//! `backhaul.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, Span, nearest};
use backhaul_kit::{DestinationKind, SourceKind};

use super::load::Registry;
use super::project::{Destination, OnUnknown, StateSettings, Warehouse};
use super::sync::ON_UNKNOWN;
use super::{fields, groups, guards, later, names, people};

/// The one version of the language.
const VERSION: i64 = 1;
const DEFAULT_STATE: &str = ".backhaul/state";
const DEFAULT_MIN_FREE: u64 = 1 << 30;
const DEFAULT_MEMORY: u64 = 64 << 20;
/// With less, the pieces that rows are put aside in become too small to be worth a write.
const LEAST_MEMORY: u64 = 8 << 20;

/// `backhaul.toml` as far as it could be read. The name sets hold those with problems too, so that a sync
/// that refers to one is not blamed.
#[derive(Default)]
pub(super) struct Root {
    pub(super) state: Option<StateSettings>,
    pub(super) warehouses: BTreeMap<String, Warehouse>,
    pub(super) warehouse_names: BTreeSet<String>,
    pub(super) destinations: BTreeMap<String, Destination>,
    pub(super) destination_names: BTreeSet<String>,
    pub(super) mappings: BTreeMap<String, Vec<fields::Written>>,
    pub(super) groups: BTreeMap<String, groups::Written>,
    pub(super) suppression: BTreeMap<String, people::WrittenList>,
    /// `None` for one with problems.
    pub(super) holdouts: BTreeMap<String, Option<people::Holdout>>,
    pub(super) defaults: Defaults,
}

/// `[defaults]`: what syncs take over where they do not say.
#[derive(Default)]
pub(super) struct Defaults {
    pub(super) owner: Option<String>,
    pub(super) on_unknown: Option<OnUnknown>,
    pub(super) guards: guards::Written,
}

/// Reads the file.
pub(super) fn read(mut table: ConfigTable, root: &Path, registry: &Registry<'_>) -> Root {
    let (project, version) = read_keys(&mut table, root, registry);
    // Another version has other keys.
    if version {
        table.finish();
    }
    project
}

/// Reads the keys of the file, and whether its version is ours.
pub(super) fn read_keys(table: &mut ConfigTable, root: &Path, registry: &Registry<'_>) -> (Root, bool) {
    let mut project = Root::default();
    let version = version(table);
    later::refuse(table, later::ROOT);
    project.state = state(table, root);
    warehouses(table, registry, &mut project);
    destinations(table, registry, &mut project);
    mappings(table, &mut project);
    for (name, span, mut inner) in table.tables("groups") {
        check_name(table, "group", &name, &span);
        project.groups.insert(name, groups::read(&mut inner));
        inner.finish();
    }
    for (name, span, mut inner) in table.tables("suppression") {
        check_name(table, "suppression list", &name, &span);
        project.suppression.insert(name, people::read_list(&mut inner));
        inner.finish();
    }
    for (name, span, mut inner) in table.tables("holdouts") {
        check_name(table, "holdout", &name, &span);
        let holdout = people::read_holdout(&mut inner, &name);
        project.holdouts.insert(name, holdout);
        inner.finish();
    }
    if let Some(mut defaults) = table.table("defaults") {
        project.defaults = read_defaults(&mut defaults);
        defaults.finish();
    }
    (project, version)
}

/// Whether the file's version is ours (or is not said, which is a problem of its own).
fn version(table: &mut ConfigTable) -> bool {
    let Some(item) = table.take("version") else {
        table.problems().push(
            Problem::error("missing-key", "backhaul.toml needs `version`")
                .at(&Span { range: 0..0, file: table.span().file.clone() })
                .remedy("write `version = 1` as its first line"),
        );
        return true;
    };
    match item.kind {
        ItemKind::Integer(VERSION) => true,
        ItemKind::Integer(other) => {
            table.problems().push(
                Problem::error(
                    "unknown-version",
                    format!("this backhaul reads version 1 of the language, not {other}"),
                )
                .at(&item.span)
                .remedy("write `version = 1`, or use the backhaul that the file was written for"),
            );
            false
        }
        _ => {
            table.wrong_type("version", "the number 1", &item);
            true
        }
    }
}

fn state(table: &mut ConfigTable, root: &Path) -> Option<StateSettings> {
    let mut settings =
        StateSettings { dir: root.join(DEFAULT_STATE), key: None, min_free: DEFAULT_MIN_FREE, memory: DEFAULT_MEMORY };
    if table.peek("state").is_none() {
        return Some(settings);
    }
    let mut state = table.table("state")?;
    read_state(&mut state, root, &mut settings);
    state.finish();
    Some(settings)
}

pub(super) fn read_state(state: &mut ConfigTable, root: &Path, settings: &mut StateSettings) {
    if let Some((dir, span)) = state.text_at("dir") {
        if dir.trim().is_empty() {
            state.problems().push(Problem::error("bad-path", "`state.dir` is empty").at(&span));
        }
        settings.dir = root.join(dir);
    }
    settings.key = state.secret("key");
    settings.min_free = state.bytes("min_free").unwrap_or(settings.min_free);
    if let Some((memory, span)) = state.bytes_at("memory") {
        settings.memory = memory;
        if memory < LEAST_MEMORY {
            let problem = Problem::error("bad-size", "`state.memory` is too small to compare anything");
            let remedy = "at least \"8MiB\"; \"64MiB\" is the default";
            state.problems().push(problem.at(&span).remedy(remedy));
        }
    }
}

/// The kind that `type` names.
fn kind<'a, K: ?Sized>(
    table: &mut ConfigTable,
    what: &str,
    kinds: &[&'a K],
    name_of: impl Fn(&K) -> &'static str,
) -> Option<&'a K> {
    let (name, span) = table.required_text_at("type")?;
    if let Some(kind) = kinds.iter().find(|kind| name_of(kind) == name) {
        return Some(kind);
    }
    let known: Vec<&str> = kinds.iter().map(|kind| name_of(kind)).collect();
    let mut problem = Problem::error("unknown-type", format!("there is no type of {what} \"{name}\""))
        .at(&span)
        .remedy(format!("one of: {}", known.join(", ")));
    if let Some(near) = nearest(&name, known.iter().copied()) {
        problem = problem.label(format!("did you mean \"{near}\"?"));
    }
    table.problems().push(problem);
    None
}

fn check_name(table: &ConfigTable, what: &str, name: &str, span: &Span) {
    if let Some(problem) = names::check(what, name) {
        table.problems().push(problem.at(span));
    }
}

fn warehouses(table: &mut ConfigTable, registry: &Registry<'_>, project: &mut Root) {
    for (name, span, mut inner) in table.tables("warehouses") {
        check_name(table, "warehouse", &name, &span);
        project.warehouse_names.insert(name.clone());
        let Some(kind) = kind(&mut inner, "warehouse", registry.warehouses, SourceKind::name) else { continue };
        let config = kind.parse(&mut inner);
        inner.finish();
        if let Some(config) = config {
            project.warehouses.insert(name.clone(), Warehouse { name, kind: kind.name(), config, span });
        }
    }
}

fn destinations(table: &mut ConfigTable, registry: &Registry<'_>, project: &mut Root) {
    for (name, span, mut inner) in table.tables("destinations") {
        check_name(table, "destination", &name, &span);
        project.destination_names.insert(name.clone());
        let kind = kind(&mut inner, "destination", registry.destinations, |kind: &DestinationKind| kind.name);
        let Some(kind) = kind else { continue };
        let account = kind.account(&mut inner);
        inner.finish();
        if let Some(account) = account {
            project.destinations.insert(name.clone(), Destination { name, kind, account, span });
        }
    }
}

fn mappings(table: &mut ConfigTable, project: &mut Root) {
    for (name, span, mut inner) in table.tables("mappings") {
        check_name(table, "mapping", &name, &span);
        project.mappings.insert(name, fields::read(&mut inner));
    }
}

pub(super) fn read_defaults(table: &mut ConfigTable) -> Defaults {
    Defaults {
        owner: table.text("owner"),
        on_unknown: table.choice("on_unknown", ON_UNKNOWN),
        guards: guards::read_table(table),
    }
}
