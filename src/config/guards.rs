//! `[guards]`: what may stop a plan.

use backhaul_kit::config::{ConfigTable, ItemKind, Problem};

use super::later;
use super::project::{Guards, OnRemap, Threshold};

/// A bare percentage applies above so many rows.
const BARE_PERCENT_BEYOND: u64 = 20;
const DEFAULT_MAX_REMOVED: Threshold = Threshold::Percent { fraction: 0.2, beyond: 100 };
const DEFAULT_FIRST_RUN_MAX: u64 = 10_000;
pub(super) const ON_REMAP: &[(&str, OnRemap)] = &[("hold", OnRemap::Hold), ("full", OnRemap::Full)];

/// `[guards]` as written: a sync's over `[defaults.guards]` over the built-in defaults, key by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    min_rows: Option<u64>,
    max_rows: Option<u64>,
    max_added: Option<Threshold>,
    max_changed: Option<Threshold>,
    max_removed: Option<Threshold>,
    first_run_max: Option<u64>,
    on_remap: Option<OnRemap>,
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
    later::refuse(table, later::GUARDS);
    let written = Written {
        min_rows: table.number("min_rows", 0),
        max_rows: table.number("max_rows", 1),
        max_added: threshold(table, "max_added"),
        max_changed: threshold(table, "max_changed"),
        max_removed: threshold(table, "max_removed"),
        first_run_max: table.number("first_run_max", 0),
        on_remap: table.choice("on_remap", ON_REMAP),
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
    /// What holds, where `self` does not say.
    pub(super) fn over(self, defaults: &Self) -> Guards {
        Guards {
            min_rows: self.min_rows.or(defaults.min_rows),
            max_rows: self.max_rows.or(defaults.max_rows),
            max_added: self.max_added.or(defaults.max_added),
            max_changed: self.max_changed.or(defaults.max_changed),
            max_removed: self.max_removed.or(defaults.max_removed).unwrap_or(DEFAULT_MAX_REMOVED),
            first_run_max: self.first_run_max.or(defaults.first_run_max).unwrap_or(DEFAULT_FIRST_RUN_MAX),
            on_remap: self.on_remap.or(defaults.on_remap).unwrap_or(OnRemap::Hold),
        }
    }
}

/// A percentage, a count, or `{ percent, beyond }`.
fn threshold(table: &mut ConfigTable, key: &str) -> Option<Threshold> {
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
