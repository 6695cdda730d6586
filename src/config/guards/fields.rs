//! `[guards.fields.X]`: what a field's values may be.

use backhaul_kit::config::{ConfigTable, Item, ItemKind, Problem, Span};

use super::types::{FieldGuard, Step};

/// Reads the guards of all fields, each with the place of its name.
pub(super) fn read(table: &mut ConfigTable) -> Vec<(FieldGuard, Span)> {
    let mut guards = Vec::new();
    for (field, span, mut inner) in table.tables("fields") {
        let guard = FieldGuard { field, ..read_field(&mut inner) };
        if let (Some(floor), Some(ceiling)) = (guard.floor, guard.ceiling)
            && floor > ceiling
        {
            let message = format!("`floor` ({floor}) is above `ceiling` ({ceiling}): every value would be held");
            inner.problems().push(Problem::error("contradiction", message).at(inner.span()));
        }
        inner.finish();
        guards.push((guard, span));
    }
    guards
}

/// Reads the keys of one field's table.
pub(in crate::config) fn read_field(table: &mut ConfigTable) -> FieldGuard {
    FieldGuard {
        field: String::new(),
        floor: number(table, "floor"),
        ceiling: number(table, "ceiling"),
        max_step: step(table, "max_step"),
        max_step_per: max_step_per(table),
    }
}

fn max_step_per(table: &mut ConfigTable) -> Option<(Step, std::time::Duration)> {
    let mut inner = table.table("max_step_per")?;
    for key in ["step", "window"] {
        if !inner.has(key) {
            inner.missing(key);
        }
    }
    let step = step(&mut inner, "step");
    let window = inner.duration("window");
    if window.is_some_and(|window| window.is_zero()) {
        let problem = Problem::error("out-of-range", format!("`{}` is no time at all", inner.path_of("window")));
        inner.problems().push(problem.at(inner.span()).remedy("a duration, as \"24h\""));
    }
    inner.finish();
    step.zip(window)
}

/// A percentage of the old value, or a number.
fn step(table: &mut ConfigTable, key: &str) -> Option<Step> {
    match table.peek(key)? {
        ItemKind::Text(_) => table.percent(key).map(Step::Share),
        _ => {
            let item = table.take(key)?;
            let by = finite(&item).filter(|by| *by >= 0.0);
            if by.is_none() {
                table.wrong_type(key, "a percentage or a number of at least 0", &item);
            }
            by.map(Step::By)
        }
    }
}

fn number(table: &mut ConfigTable, key: &str) -> Option<f64> {
    let item = table.take(key)?;
    let number = finite(&item);
    if number.is_none() {
        table.wrong_type(key, "a number", &item);
    }
    number
}

fn finite(item: &Item) -> Option<f64> {
    match item.kind {
        ItemKind::Integer(number) => Some(number as f64),
        ItemKind::Float(number) => Some(number).filter(|number| number.is_finite()),
        _ => None,
    }
}
