//! `[into]`: what a sync writes to. The keys that every destination has are read here; the rest is the
//! destination's own.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, Span, nearest};
use backhaul_kit::{AddressKind, Facts, FieldShape, Mode, Prepared, Removed, SyncShape};

use super::incremental::Changed;
use super::project::{Field, ModelDef};
use super::root::Root;
use super::{fields, incremental, names, people};

/// The keys that every destination has.
pub(super) struct Common {
    object: Option<(String, Span)>,
    mode: Option<(Mode, Span)>,
    removed: Option<(Removed, Span)>,
    changed: Option<(Changed, Span)>,
    matched: Option<(String, Span)>,
    same_name: Vec<fields::Written>,
    mappings: Vec<(String, Span)>,
    group: Option<(String, Span)>,
}

/// What a sync writes to, checked by the destination.
pub(super) struct Target {
    pub(super) prepared: Arc<dyn Prepared>,
    pub(super) shape: SyncShape,
    pub(super) fields: Vec<Field>,
    /// Whether an accepted row is left alone although it has changed.
    pub(super) ignores_changed: bool,
    /// Whether rows that left the model are removed; if not, `shape.removed` is how people who may not be sent are.
    pub(super) removes_left: bool,
    /// The group that it belongs to.
    pub(super) group: Option<(String, Span)>,
}

impl Target {
    /// What is true of writing a row.
    pub(super) fn write_facts(&self) -> Facts {
        self.prepared.facts(self.shape.mode.0.write_operation())
    }
}

/// Reads the common keys.
pub(super) fn common(into: &mut ConfigTable) -> Common {
    if !into.has("mode") {
        let modes: Vec<&str> = Mode::CHOICES.iter().map(|(name, _)| *name).collect();
        into.problems().push(
            Problem::error("missing-key", "`[into]` needs `mode`")
                .at(into.span())
                .remedy(format!("add `mode = …`, one of: {}", modes.join(", "))),
        );
    }
    let mode = into.choice_at("mode", Mode::CHOICES);
    let removed = into.choice_at("removed", Removed::CHOICES);
    if let (Some((Mode::Audience, _)), Some((_, span))) = (&mode, &removed) {
        into.problems().push(
            Problem::error("contradiction", "an audience always removes the rows that left the model")
                .at(span)
                .remedy("take `removed` out"),
        );
    }
    Common {
        object: into.text_at("object"),
        mode,
        removed,
        changed: into.choice_at("changed", incremental::CHANGED),
        matched: into.text_at("match"),
        same_name: same_name(into),
        mappings: into.texts_at("mappings").unwrap_or_default(),
        group: into.text_at("group"),
    }
}

fn same_name(into: &mut ConfigTable) -> Vec<fields::Written> {
    let mut fields: Vec<fields::Written> = Vec::new();
    for (column, span) in into.texts_at("same_name").unwrap_or_default() {
        if column == "*" {
            into.problems().push(
                Problem::error("no-wildcard", "`same_name` has no \"*\"")
                    .at(&span)
                    .remedy("name the columns: what leaves the warehouse is written down"),
            );
        } else if fields::place_of(&fields, &column).is_some() {
            into.problems()
                .push(Problem::error("field-twice", format!("`same_name` names `{column}` twice")).at(&span));
        } else {
            fields.push(fields::Written::same_name(&column, &span));
        }
    }
    fields
}

/// Reads `[into]`, puts the sync's fields together and hands both to the destination. `None` where there
/// were problems, or where the model or the destination has some.
pub(super) fn read(
    mut into: ConfigTable,
    sync: &str,
    own: &[fields::Written],
    model: Option<&ModelDef>,
    destination: Option<&str>,
    root: &Root,
    people: &people::Written,
) -> Option<Target> {
    let common = common(&mut into);
    let merged = merge(&into, &common, own, root);
    let matched = match_field(&into, &common, &merged, model);
    let destination = destination.and_then(|name| root.destinations.get(name));
    let fields = fields::resolve(&merged, matched.as_ref().map(|(place, _)| *place));
    // Without fields, or with a wrong `match`, the destination could only complain of what is said already.
    let complete = !merged.is_empty() && (common.matched.is_none() || matched.is_some());
    let (Some(destination), Some(mode), Some(fields), true) = (destination, common.mode, fields, complete) else {
        into.finish_early();
        return None;
    };
    let model = model?;
    let ignores_changed = incremental::ignores_changed(common.changed.as_ref(), mode.0, model, &into);
    let removed = common.removed.unwrap_or_else(|| (Removed::Ignore, into.span().clone()));
    let removes_left = mode.0 == Mode::Audience || removed.0 != Removed::Ignore;
    let shape = SyncShape {
        operations: Vec::new(),
        name: sync.to_owned(),
        object: common.object,
        mode,
        removed: people.removal().filter(|_| !removes_left).unwrap_or(removed),
        match_field: matched,
        fields: fields
            .iter()
            .map(|field| FieldShape {
                target: field.target.clone(),
                span: field.span.clone(),
                null: field.null,
                write: field.write,
            })
            .collect(),
        key: model.key.iter().map(|(column, _)| column.clone()).collect(),
        consent: people.signals(),
        span: into.span().clone(),
    };
    let prepared = destination.kind.sync(destination.account.as_ref(), &mut into, &shape);
    if let Some(prepared) = &prepared {
        check_match(&into, &shape, prepared.as_ref());
    }
    into.finish();
    let prepared = prepared?;
    let removes_left = removes_left || prepared.facts(shape.mode.0.write_operation()).whole_set;
    Some(Target { prepared, shape, fields, ignores_changed, removes_left, group: common.group })
}

fn merge(into: &ConfigTable, common: &Common, own: &[fields::Written], root: &Root) -> Vec<fields::Written> {
    let mut inherited: Vec<&[fields::Written]> = Vec::new();
    for (name, span) in &common.mappings {
        match root.mappings.get(name) {
            Some(mapping) => inherited.push(mapping),
            None => {
                let known = root.mappings.keys().map(String::as_str);
                into.problems().push(names::unknown("unknown-mapping", "mapping", name, span, known));
            }
        }
    }
    let complete = inherited.len() == common.mappings.len();
    let merged = fields::Layers { inherited, same_name: &common.same_name, own }.merge(into.problems(), complete);
    fields::check_targets(&merged, into.problems());
    if merged.is_empty() && complete {
        into.problems().push(
            Problem::error("no-fields", "the sync sends no field")
                .at(into.span())
                .remedy("add [fields] with `field = \"column\"`, or `same_name = [\"column\"]` in [into]"),
        );
    }
    merged
}

/// The place of the match field and of the words that name it.
fn match_field(
    into: &ConfigTable,
    common: &Common,
    merged: &[fields::Written],
    model: Option<&ModelDef>,
) -> Option<(usize, Span)> {
    let Some((target, span)) = &common.matched else {
        let place = fields::mapped_from_key(merged, &model?.key)?;
        return Some((place, into.span().clone()));
    };
    let place = fields::place_of(merged, target);
    if place.is_none() {
        let mut problem = Problem::error("unknown-field", format!("`match` names `{target}`, which is not a field"))
            .at(span)
            .remedy("`match` names one of the sync's fields, not a column");
        if let Some(near) = nearest(target, fields::targets(merged)) {
            problem = problem.label(format!("did you mean `{near}`?"));
        }
        into.problems().push(problem);
    }
    Some((place?, span.clone()))
}

/// A destination that finds records by a field needs to be told which.
fn check_match(into: &ConfigTable, shape: &SyncShape, prepared: &dyn Prepared) {
    if shape.match_field.is_some() {
        return;
    }
    let operations = [Some(shape.mode.0.write_operation()), shape.removed.0.operation()];
    if operations.into_iter().flatten().any(|operation| prepared.facts(operation).address == AddressKind::MatchValue) {
        let why = match shape.key.as_slice() {
            [column] => format!("no single field is mapped from the key column `{column}`"),
            _ => String::from("the model's key has several columns"),
        };
        into.problems().push(
            Problem::error("missing-match", format!("`[into]` needs `match`: {why}"))
                .at(into.span())
                .remedy("name the field by which a record is found again, as match = \"email\""),
        );
    }
}
