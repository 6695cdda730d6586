//! Keys of the language that this version does not know yet. They are refused, never ignored: a guard that
//! is silently left out is worse than none.

use backhaul_kit::config::{ConfigTable, Problem};

/// A key, and what it is about.
pub(super) type Later = (&'static str, &'static str);

/// In `backhaul.toml`.
pub(super) const ROOT: &[Later] = &[
    ("env", "environments"),
    ("vars", "variables"),
    ("alerts", "alerts"),
    ("server", "the HTTP server"),
    ("serve", "the HTTP server"),
];

/// In a model.
pub(super) const MODEL: &[Later] = &[("dbt", "models out of a dbt project")];

/// In a sync.
pub(super) const SYNC: &[Later] = &[("slo", "service levels")];

/// Refuses those of `keys` that are there; returns whether any was.
pub(super) fn refuse(table: &mut ConfigTable, keys: &[Later]) -> bool {
    let mut any = false;
    for (key, span) in table.keys() {
        let Some((_, about)) = keys.iter().find(|(later, _)| *later == key) else { continue };
        any = true;
        table.take(&key);
        let message = format!("`{}` is not in this version yet: it does not know {about}", table.path_of(&key));
        table.problems().push(
            Problem::error("not-yet", message)
                .at(&span)
                .remedy("take it out; left in, it would promise what is not done"),
        );
    }
    any
}
