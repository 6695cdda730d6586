//! `[guards]`: what may stop a plan.

mod fields;
mod types;

use backhaul_kit::Mode;
use backhaul_kit::config::{ConfigTable, ItemKind, Problem, Span};

#[cfg(test)]
pub(super) use fields::read_field;
pub use types::{Canary, FieldGuard, Guards, OnHold, OnKeyShift, OnRemap, Step, Threshold, percent};

use types::BARE_PERCENT_BEYOND;

const DEFAULT_MAX_REMOVED: Threshold = Threshold::Percent { fraction: 0.2, beyond: 100 };
const DEFAULT_MAX_WITHDRAWN: Threshold = Threshold::Percent { fraction: 0.1, beyond: 100 };
const DEFAULT_MAX_REJECTED: Threshold = Threshold::Percent { fraction: 0.5, beyond: 100 };
const DEFAULT_FIRST_RUN_MAX: u64 = 10_000;
const DEFAULT_CANARY_MAX_REJECTS: f64 = 0.01;
pub(super) const ON_REMAP: &[(&str, OnRemap)] = &[("hold", OnRemap::Hold), ("full", OnRemap::Full)];
pub(super) const KEY_SHIFT: &[(&str, OnKeyShift)] = &[("hold", OnKeyShift::Hold), ("send", OnKeyShift::Send)];
pub(super) const ON_HOLD: &[(&str, OnHold)] = &[("all", OnHold::All), ("removals", OnHold::Removals)];

/// `[guards]` as written: a sync's over `[defaults.guards]` over the built-in defaults, key by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    min_rows: Option<u64>,
    max_rows: Option<u64>,
    max_added: Option<Threshold>,
    max_changed: Option<Threshold>,
    max_removed: Option<Threshold>,
    max_removed_per_day: Option<Threshold>,
    max_withdrawn: Option<Threshold>,
    max_rejected: Option<Threshold>,
    first_run_max: Option<u64>,
    on_remap: Option<OnRemap>,
    key_shift: Option<OnKeyShift>,
    canary: Option<Canary>,
    canary_max_rejects: Option<f64>,
    fields: Vec<(FieldGuard, Span)>,
    /// Where the table stands.
    pub(super) span: Option<Span>,
}

/// Reads `[guards]` of `outer`, where there is one.
pub(super) fn read_table(outer: &mut ConfigTable) -> Written {
    let Some(mut table) = outer.table("guards") else { return Written::default() };
    let written = read(&mut table);
    table.finish();
    written
}

/// Reads the keys of the table.
pub(super) fn read(table: &mut ConfigTable) -> Written {
    let written = Written {
        min_rows: table.number("min_rows", 0),
        max_rows: table.number("max_rows", 1),
        max_added: threshold(table, "max_added"),
        max_changed: threshold(table, "max_changed"),
        max_removed: threshold(table, "max_removed"),
        max_removed_per_day: threshold(table, "max_removed_per_day"),
        max_withdrawn: threshold(table, "max_withdrawn"),
        max_rejected: threshold(table, "max_rejected"),
        first_run_max: table.number("first_run_max", 0),
        on_remap: table.choice("on_remap", ON_REMAP),
        key_shift: table.choice("key_shift", KEY_SHIFT),
        canary: canary(table),
        canary_max_rejects: table.percent("canary_max_rejects"),
        fields: fields::read(table),
        span: Some(table.span().clone()),
    };
    if let (Some(min), Some(max)) = (written.min_rows, written.max_rows)
        && min > max
    {
        let message = format!("`min_rows` ({min}) is above `max_rows` ({max}): every plan would be held");
        table.problems().push(Problem::error("contradiction", message).at(table.span()));
    }
    written
}

impl Written {
    /// What holds for a sync of this mode, where `self` does not say. Guards of fields go one by one.
    pub(super) fn over(self, defaults: &Self, mode: Mode) -> Guards {
        // Events have other keys every day.
        let key_shift = if mode == Mode::Append { OnKeyShift::Send } else { OnKeyShift::Hold };
        let inherited = defaults.fields.iter().filter(|(guard, _)| !self.guards_field(&guard.field));
        let fields = inherited.chain(&self.fields).map(|(guard, _)| guard.clone()).collect();
        Guards {
            min_rows: self.min_rows.or(defaults.min_rows),
            max_rows: self.max_rows.or(defaults.max_rows),
            max_added: self.max_added.or(defaults.max_added),
            max_changed: self.max_changed.or(defaults.max_changed),
            max_removed: self.max_removed.or(defaults.max_removed).unwrap_or(DEFAULT_MAX_REMOVED),
            max_removed_per_day: self.max_removed_per_day.or(defaults.max_removed_per_day),
            max_withdrawn: self.max_withdrawn.or(defaults.max_withdrawn).unwrap_or(DEFAULT_MAX_WITHDRAWN),
            max_rejected: self.max_rejected.or(defaults.max_rejected).unwrap_or(DEFAULT_MAX_REJECTED),
            first_run_max: self.first_run_max.or(defaults.first_run_max).unwrap_or(DEFAULT_FIRST_RUN_MAX),
            on_remap: self.on_remap.or(defaults.on_remap).unwrap_or(OnRemap::Hold),
            key_shift: self.key_shift.or(defaults.key_shift).unwrap_or(key_shift),
            canary: self.canary.or(defaults.canary),
            canary_max_rejects: (self.canary_max_rejects.or(defaults.canary_max_rejects))
                .unwrap_or(DEFAULT_CANARY_MAX_REJECTS),
            fields,
        }
    }

    /// Where the table stands, if it has `min_rows` itself.
    pub(super) fn with_min_rows(&self) -> Option<&Span> {
        self.min_rows.and(self.span.as_ref())
    }

    fn guards_field(&self, field: &str) -> bool {
        self.fields.iter().any(|(guard, _)| guard.field == field)
    }

    /// Whether the table itself, and not the defaults, asks for a canary.
    pub(super) fn asks_for_canary(&self) -> bool {
        self.canary.is_some()
    }

    /// The fields that it guards, each with its place.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Span)> {
        self.fields.iter().map(|(guard, span)| (guard.field.as_str(), span))
    }
}

/// A percentage or a number of rows.
fn canary(table: &mut ConfigTable) -> Option<Canary> {
    match table.peek("canary")? {
        ItemKind::Integer(_) => table.number("canary", 1).map(Canary::Rows),
        _ => table.percent("canary").map(Canary::Share),
    }
}

/// A percentage, a count, or `{ percent, beyond }`.
pub(super) fn threshold(table: &mut ConfigTable, key: &str) -> Option<Threshold> {
    match table.peek(key)? {
        ItemKind::Text(_) => {
            table.percent(key).map(|fraction| Threshold::Percent { fraction, beyond: BARE_PERCENT_BEYOND })
        }
        ItemKind::Integer(_) => table.number(key, 0).map(Threshold::Count),
        ItemKind::Table(_) => {
            let mut inner = table.table(key)?;
            if !inner.has("percent") {
                inner.missing("percent");
            }
            let fraction = inner.percent("percent");
            let beyond = inner.number("beyond", 0).unwrap_or(BARE_PERCENT_BEYOND);
            inner.finish();
            fraction.map(|fraction| Threshold::Percent { fraction, beyond })
        }
        _ => {
            let item = table.take(key)?;
            let message =
                format!("`{}` must be a percentage or a number of rows, not {}", table.path_of(key), item.kind.name());
            table.problems().push(
                Problem::error("wrong-type", message)
                    .at(&item.span)
                    .remedy("\"5%\", a whole number, or { percent = \"5%\", beyond = 100 }"),
            );
            None
        }
    }
}
