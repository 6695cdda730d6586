//! A sync: `syncs/NAME.toml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, SourceFile, Span};
use backhaul_kit::{AddressKind, Facts, ModelQuery, Session};

use super::guards::Guards;
use super::incremental::Wanted;
use super::project::{DiffPlace, Field, ModelDef, OnUnknown, Priority, SyncDef};
use super::root::Root;
use super::{checks, fields, guards, incremental, into, later, model, names, people, schedule};

/// The values of `diff`.
pub(super) const DIFFS: &[(&str, DiffPlace)] = &[("local", DiffPlace::Local), ("warehouse", DiffPlace::Warehouse)];

/// The values of `priority`.
pub(super) const PRIORITIES: &[(&str, Priority)] =
    &[("high", Priority::High), ("normal", Priority::Normal), ("low", Priority::Low)];

/// The values of `on_unknown`.
pub(super) const ON_UNKNOWN: &[(&str, OnUnknown)] =
    &[("resend", OnUnknown::Resend), ("read_back", OnUnknown::ReadBack), ("hold", OnUnknown::Hold)];

/// A shorter age leaves nobody the time to look.
const LEAST_PLAN_AGE: Duration = Duration::from_secs(60);

/// What a sync may refer to.
pub(super) struct Around<'a> {
    pub(super) path: &'a Path,
    pub(super) root: &'a Root,
    /// Models of `models/`; `None` for one with problems.
    pub(super) models: &'a BTreeMap<String, Option<Arc<ModelDef>>>,
}

/// A sync as far as it could be read, with what only the whole project can check.
pub(super) struct Read {
    pub(super) sync: Option<SyncDef>,
    /// Names in `schedule.after`.
    pub(super) after: Vec<(String, Span)>,
    /// Names in `previously`.
    pub(super) previously: Vec<(String, Span)>,
    /// `[into] group`.
    pub(super) group: Option<(String, Span)>,
    /// The `[model]` table's model and place.
    pub(super) inline_model: Option<(Arc<ModelDef>, Span)>,
}

/// Reads the keys of a sync.
pub(super) fn read(table: &mut ConfigTable, name: &str, file: &Arc<SourceFile>, around: &Around<'_>) -> Read {
    let problems = table.problems().clone();
    let before = problems.errors();
    later::refuse(table, later::SYNC);
    let title = table.text("title");
    let owner = table.text("owner").or_else(|| around.root.defaults.owner.clone());
    let tags = table.texts_at("tags").unwrap_or_default().into_iter().map(|(tag, _)| tag).collect();
    let previously = table.texts_at("previously").unwrap_or_default();
    let (model, inline_span) = model(table, name, file, around);
    let filter = table.text_at("where");
    if let Some((filter, span)) = &filter
        && filter.trim().is_empty()
    {
        problems.push(Problem::error("bad-query", "`where` is empty").at(span).remedy("take it out to send all rows"));
    } else if let (Some((_, span)), Some(model)) = (&filter, &model)
        && matches!(model.query, ModelQuery::Files(_))
    {
        problems.push(
            Problem::error("bad-query", format!("`where` is SQL, and model \"{}\" is made of files", model.name))
                .at(span)
                .remedy("take it out, and leave rows out where the files are written"),
        );
    }
    let written_diff = diff(table, model.as_deref(), around.root);
    let diff = written_diff.as_ref().map_or_else(DiffPlace::default, |(diff, _)| *diff);
    let destination = destination(table, around.root);
    let schedule = schedule::read(table);
    let guards = guards::read_table(table);
    let checks = checks::on_top(model.as_ref().map_or(&[], |model| &model.checks), checks::read_table(table));
    checks::check_place(table, &checks, diff);
    let on_bad_row = table.choice("on_bad_row", checks::ON_BAD_ROW);
    let on_hold = table.choice("on_hold", guards::ON_HOLD).unwrap_or_default();
    let plan_max_age = plan_max_age(table);
    let refresh_after = incremental::refresh_after(table);
    let people = people::read(table);
    let priority = table.choice("priority", PRIORITIES).unwrap_or_default();
    if !table.has("into") {
        problems.push(
            Problem::error("missing-key", "the sync needs a table `[into]`")
                .at(table.span())
                .remedy("[into] says what is written and how: `object`, `mode` and what the destination asks for"),
        );
    }
    let into = table.table("into");
    let own = table.table("fields").map(|mut inner| fields::read(&mut inner)).unwrap_or_default();
    let target = into
        .and_then(|into| into::read(into, name, &own, model.as_deref(), destination.as_deref(), around.root, &people));

    let people = people.resolve(table, around.root, around.models, target.as_ref(), diff);
    let group = target.as_ref().and_then(|target| target.group.clone());
    let facts = target.as_ref().map(into::Target::write_facts);
    let on_unknown = on_unknown(table, facts.as_ref(), around.root);
    if diff == DiffPlace::Warehouse && facts.as_ref().is_some_and(|facts| facts.address == AddressKind::Hashes) {
        let message = "members are found by hashes here, and the warehouse does not know which of them others share";
        let problem = Problem::error("no-warehouse-diff", message).at(table.span());
        problems.push(problem.remedy("take `diff` out: rows are then compared here"));
    }

    if let (Some(target), Some(facts), Some(model)) = (&target, &facts, &model) {
        let refresh_after = refresh_after.as_ref();
        let (diff, min_rows) = (written_diff.as_ref(), guards.with_min_rows());
        let (shape, removes_left) = (&target.shape, target.removes_left);
        for problem in (Wanted { shape, removes_left, facts, diff, refresh_after, min_rows }).problems(model) {
            problems.push(problem);
        }
    }

    let after = schedule.as_ref().map(|read| read.after.clone()).unwrap_or_default();
    let inline_model = inline_span.and_then(|span| Some((model.clone()?, span)));
    let sync = match (target, model, destination, schedule) {
        (Some(target), Some(model), Some(destination), Some(schedule)) if problems.errors() == before => {
            let guards = check_guards(guards, &target, &around.root.defaults.guards, table);
            // Where it is taken from the defaults it is meant for whole models.
            let min_rows = |guards: &Guards| guards.min_rows.filter(|_| model.incremental.is_none());
            let guards = guards.map(|guards| Guards { min_rows: min_rows(&guards), ..guards });
            guards.map(|guards| SyncDef {
                name: name.to_owned(),
                previously: previously.iter().map(|(name, _)| name.clone()).collect(),
                title,
                owner,
                tags,
                model,
                filter: filter.map(|(text, _)| text),
                checks,
                on_bad_row,
                diff,
                destination,
                prepared: target.prepared,
                shape: target.shape,
                fields: target.fields,
                group: target.group.map(|(name, _)| name),
                ignores_changed: target.ignores_changed,
                removes_left: target.removes_left,
                refresh_after: refresh_after.map(|(after, _)| after),
                people,
                referred_to: false,
                schedule: schedule.schedule,
                priority,
                on_unknown,
                guards,
                on_hold,
                plan_max_age,
                file: file.clone(),
            })
        }
        _ => None,
    };
    Read { sync, after, previously, group, inline_model }
}

/// How long a held or interrupted plan may wait.
fn plan_max_age(table: &mut ConfigTable) -> Option<Duration> {
    let (_, place) = table.keys().into_iter().find(|(key, _)| key == "plan_max_age").unzip();
    let age = table.duration("plan_max_age")?;
    if age < LEAST_PLAN_AGE {
        let problem = Problem::error("out-of-range", "`plan_max_age` must be at least 1m");
        let place = place.as_ref().unwrap_or(table.span());
        table.problems().push(problem.at(place).remedy("a person has to look at a held plan before it is too old"));
    }
    Some(age)
}

/// The guards of the sync, where they fit what it writes.
fn check_guards(
    written: guards::Written,
    target: &into::Target,
    defaults: &guards::Written,
    table: &ConfigTable,
) -> Option<Guards> {
    let problems = table.problems();
    let before = problems.errors();
    let is_field = |name: &str| target.fields.iter().any(|field: &Field| field.target == name);
    for (name, span) in written.fields().filter(|(name, _)| !is_field(name)) {
        let known = target.fields.iter().map(|field| field.target.as_str());
        problems.push(names::unknown("unknown-field", "field", name, span, known));
    }
    let mode = target.shape.mode.0;
    let facts = target.prepared.facts(mode.write_operation());
    let at_once = facts.whole_set || facts.session != Session::None;
    if let Some(span) = written.span.as_ref().filter(|_| at_once && written.asks_for_canary()) {
        let problem =
            Problem::error("no-canary", "this destination takes all rows of a run at once: none can go first");
        problems.push(problem.at(span).remedy("take `canary` out"));
    }
    let mut guards = written.over(defaults, mode);
    guards.fields.retain(|guard| is_field(&guard.field));
    if at_once {
        guards.canary = None;
    }
    (problems.errors() == before).then_some(guards)
}

/// `model = "name"`, or a `[model]` table with its place.
fn model(
    table: &mut ConfigTable,
    sync: &str,
    file: &Arc<SourceFile>,
    around: &Around<'_>,
) -> (Option<Arc<ModelDef>>, Option<Span>) {
    match table.peek("model") {
        Some(ItemKind::Text(_)) => {
            let Some((name, span)) = table.text_at("model") else { return (None, None) };
            let found = around.models.get(&name);
            if found.is_none() {
                let known = around.models.keys().map(String::as_str);
                table.problems().push(names::unknown("unknown-model", "model", &name, &span, known));
            }
            (found.cloned().flatten(), None)
        }
        Some(ItemKind::Table(_)) => {
            let Some(mut inner) = table.table("model") else { return (None, None) };
            let span = inner.span().clone();
            let around = model::Around { path: around.path, root: around.root };
            let model = model::read(&mut inner, sync, file, &around);
            inner.finish();
            (model.map(Arc::new), Some(span))
        }
        Some(_) => {
            if let Some(item) = table.take("model") {
                table.wrong_type("model", "a model's name or a table", &item);
            }
            (None, None)
        }
        None => {
            table.missing("model");
            (None, None)
        }
    }
}

/// `diff`, which only some warehouses have.
fn diff(table: &mut ConfigTable, model: Option<&ModelDef>, root: &Root) -> Option<(DiffPlace, Span)> {
    let (diff, span) = table.choice_at("diff", DIFFS)?;
    let warehouse = model.and_then(|model| root.warehouses.get(&model.warehouse));
    if let (DiffPlace::Warehouse, Some(warehouse)) = (diff, warehouse)
        && !warehouse.config.keeps_snapshots()
    {
        table.problems().push(
            Problem::error("no-warehouse-diff", format!("a {} warehouse cannot compare rows itself", warehouse.kind))
                .at(&span)
                .remedy("take it out: rows are then compared here"),
        );
    }
    Some((diff, span))
}

/// `on_unknown`, or what the destination allows.
fn on_unknown(table: &mut ConfigTable, facts: Option<&Facts>, root: &Root) -> OnUnknown {
    let own = table.choice_at("on_unknown", ON_UNKNOWN);
    // What was staged in a session that was not committed counts for nothing: the next session has it again.
    let careful = facts.is_none_or(|facts| !facts.resend_safe && facts.session == Session::None);
    let reads_back = facts.is_some_and(|facts| facts.read_back);
    match own {
        Some((OnUnknown::ReadBack, span)) if facts.is_some() && !reads_back => {
            table.problems().push(
                Problem::error("no-read-back", "this destination cannot be asked whether a row is there")
                    .at(&span)
                    .remedy("use on_unknown = \"hold\" (a person decides) or \"resend\" (rows may be written twice)"),
            );
            OnUnknown::Hold
        }
        Some((own, _)) => own,
        None => match root.defaults.on_unknown {
            Some(OnUnknown::ReadBack) if !reads_back => OnUnknown::Hold,
            Some(default) => default,
            None if !careful => OnUnknown::Resend,
            None if reads_back => OnUnknown::ReadBack,
            None => OnUnknown::Hold,
        },
    }
}

/// The name of a destination that is there, perhaps with problems of its own.
fn destination(table: &mut ConfigTable, root: &Root) -> Option<String> {
    let (name, span) = table.required_text_at("destination")?;
    if root.destination_names.contains(&name) {
        return Some(name);
    }
    let known = root.destination_names.iter().map(String::as_str);
    table.problems().push(names::unknown("unknown-destination", "destination", &name, &span, known));
    None
}
