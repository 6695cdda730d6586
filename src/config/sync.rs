//! A sync: `syncs/NAME.toml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::ModelQuery;
use backhaul_kit::config::{ConfigTable, ItemKind, Problem, SourceFile, Span};

use super::project::{DiffPlace, ModelDef, SyncDef};
use super::root::Root;
use super::{checks, fields, guards, into, later, model, names, schedule};

/// The values of `diff`.
pub(super) const DIFFS: &[(&str, DiffPlace)] = &[("local", DiffPlace::Local), ("warehouse", DiffPlace::Warehouse)];

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
    let diff = diff(table, model.as_deref(), around.root);
    let destination = destination(table, around.root);
    let schedule = schedule::read(table);
    let guards = guards::read_table(table);
    let checks = checks::on_top(model.as_ref().map_or(&[], |model| &model.checks), checks::read_table(table));
    checks::check_place(table, &checks, diff);
    let on_bad_row = table.choice("on_bad_row", checks::ON_BAD_ROW);
    if !table.has("into") {
        problems.push(
            Problem::error("missing-key", "the sync needs a table `[into]`")
                .at(table.span())
                .remedy("[into] says what is written and how: `object`, `mode` and what the destination asks for"),
        );
    }
    let into = table.table("into");
    let own = table.table("fields").map(|mut inner| fields::read(&mut inner)).unwrap_or_default();
    let target =
        into.and_then(|into| into::read(into, name, &own, model.as_deref(), destination.as_deref(), around.root));

    let group = target.as_ref().and_then(|target| target.group.clone());
    let after = schedule.as_ref().map(|read| read.after.clone()).unwrap_or_default();
    let inline_model = inline_span.and_then(|span| Some((model.clone()?, span)));
    let sync = match (target, model, destination, schedule) {
        (Some(target), Some(model), Some(destination), Some(schedule)) if problems.errors() == before => {
            Some(SyncDef {
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
                schedule: schedule.schedule,
                guards: guards.over(&around.root.defaults.guards),
                file: file.clone(),
            })
        }
        _ => None,
    };
    Read { sync, after, previously, group, inline_model }
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
fn diff(table: &mut ConfigTable, model: Option<&ModelDef>, root: &Root) -> DiffPlace {
    let Some((diff, span)) = table.choice_at("diff", DIFFS) else { return DiffPlace::default() };
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
    diff
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
