//! All checks of a scan, over its pages.

use backhaul_kit::{KeyHash, Projection, RowPage, Value, key};
use jiff::Timestamp;

use super::{Finding, is_screened, row, time};
use crate::config::{Check, CheckKind, OnBadRow};
use crate::diff::{Budget, DiffError, PlanError, Repeats, Scratch};
use crate::mask::mask_key;

/// How many of the keys in question a finding names.
const EXAMPLES: usize = 5;

/// What the whole of a model is compared with.
#[derive(Clone, Debug)]
pub struct Past {
    /// The time of the run.
    pub now: Timestamp,
    /// How many rows the last runs had, newest first.
    pub rows: Vec<u64>,
}

/// Looks at pages, and tells at the end which checks failed.
pub struct Checker {
    columns: Vec<Column>,
    /// Checks that look at no column.
    others: Vec<Check>,
    /// Of the hashes of `unique`.
    seed: u64,
    scratch: Scratch,
    encoded: Vec<u8>,
}

/// A column that is checked: its values are decoded once for all of its checks.
struct Column {
    name: String,
    place: usize,
    asked: Vec<Asked>,
}

struct Asked {
    check: Check,
    failing: u64,
    examples: Vec<String>,
    memory: Memory,
}

/// What a check remembers of the values that it has seen.
enum Memory {
    Nothing,
    Hashes(Box<Repeats>),
    Newest(Option<i64>),
}

impl Checker {
    /// Checks rows of this projection, to which it adds the columns that are missing. `memory` bytes may be taken for
    /// the values of unique columns.
    pub(crate) fn new(
        checks: &[Check],
        on_bad_row: Option<OnBadRow>,
        projection: &mut Projection,
        memory: u64,
        scratch: Scratch,
    ) -> Self {
        let uniques = checks.iter().filter(|check| matches!(check.kind, CheckKind::Unique(_))).count();
        let budget = Budget::new(memory / uniques.max(1) as u64, 0);
        let (mut columns, mut others): (Vec<Column>, _) = (Vec::new(), Vec::new());
        for check in checks {
            let Some(name) = check.kind.column() else {
                others.push(check.clone());
                continue;
            };
            let known = projection.columns.iter().position(|column| column == name);
            let place = known.unwrap_or_else(|| {
                projection.columns.push(name.to_owned());
                projection.columns.len() - 1
            });
            if is_screened(check, on_bad_row) {
                continue;
            }
            let memory = match check.kind {
                CheckKind::Unique(_) => Memory::Hashes(Box::new(Repeats::new(budget))),
                CheckKind::Freshness { .. } => Memory::Newest(None),
                _ => Memory::Nothing,
            };
            let asked = Asked { check: check.clone(), failing: 0, examples: Vec::new(), memory };
            match columns.iter_mut().find(|column| column.place == place) {
                Some(column) => column.asked.push(asked),
                None => columns.push(Column { name: name.to_owned(), place, asked: vec![asked] }),
            }
        }
        Self { columns, others, seed: projection.seed, scratch, encoded: Vec::new() }
    }

    /// Looks at the rows of a page.
    ///
    /// # Errors
    /// The page cannot be read, or a scratch file cannot be written.
    pub fn page(&mut self, page: &dyn RowPage) -> Result<(), DiffError> {
        let Self { columns, seed, scratch, encoded, .. } = self;
        for column in columns {
            for row in 0..page.rows() {
                let value = page.value(row, column.place)?;
                for asked in &mut column.asked {
                    match &mut asked.memory {
                        Memory::Nothing if row::fails(&asked.check.kind, &value) => asked.note(page, row),
                        Memory::Hashes(hashes) if !value.is_null() => {
                            encoded.clear();
                            value.encode(encoded);
                            hashes.push(KeyHash::of(encoded, *seed), &*scratch)?;
                        }
                        Memory::Newest(newest) => *newest = value.moment().max(*newest),
                        Memory::Nothing | Memory::Hashes(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// The columns whose newest value is asked for.
    pub fn dated_columns(&self) -> impl Iterator<Item = &str> {
        let dated = self.columns.iter().filter(|column| column.asked.iter().any(Asked::is_dated));
        dated.map(|column| column.name.as_str())
    }

    /// Takes the newest value of a column from whoever has seen all of them.
    pub fn newest(&mut self, column: &str, value: &Value) {
        for asked in self.columns.iter_mut().filter(|known| known.name == column).flat_map(|known| &mut known.asked) {
            if asked.is_dated() {
                asked.memory = Memory::Newest(value.moment());
            }
        }
    }

    /// What failed, of a model with so many rows; `repeated` is a query that finds repeated values of a column.
    ///
    /// # Errors
    /// A scratch file cannot be read.
    pub fn finish(
        self,
        rows: u64,
        past: &Past,
        repeated: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Finding>, PlanError> {
        let mut findings = Vec::new();
        let mut fails = |check: &Check, text: String| {
            let name = check.kind.name();
            findings.push(Finding { check: name, severity: check.severity, text: format!("check {name}: {text}") });
        };
        for Column { name, asked, .. } in self.columns {
            for Asked { check, failing, examples, memory } in asked {
                let wrong =
                    |failing: u64| format!("`{name}` {} in {failing} of {rows} rows", row::complaint(&check.kind));
                match (memory, &check.kind) {
                    (Memory::Nothing, _) if failing > 0 => {
                        fails(&check, format!("{}, as {}", wrong(failing), examples.join(", ")));
                    }
                    (Memory::Hashes(hashes), _) => {
                        let (failing, _) = hashes.repeated(0)?;
                        let find = repeated(&name).map_or_else(String::new, |query| format!("; find them: {query}"));
                        if failing > 0 {
                            fails(&check, format!("{}{find}", wrong(failing)));
                        }
                    }
                    (Memory::Newest(newest), CheckKind::Freshness { within, .. }) => {
                        if let Some(text) = time::stale(newest, *within, past.now) {
                            fails(&check, format!("`{name}`: {text}"));
                        }
                    }
                    _ => {}
                }
            }
        }
        for check in &self.others {
            if let CheckKind::RowCount { within, runs } = check.kind
                && let Some(text) = unusual(rows, past.rows.iter().take(runs as usize), within)
            {
                fails(check, text);
            }
        }
        Ok(findings)
    }
}

impl Asked {
    fn is_dated(&self) -> bool {
        matches!(self.memory, Memory::Newest(_))
    }

    #[cold]
    fn note(&mut self, page: &dyn RowPage, row: usize) {
        self.failing += 1;
        let mut bytes = Vec::new();
        // A row without a key has a message of its own.
        if self.examples.len() < EXAMPLES && page.key(row, &mut bytes).is_ok() {
            self.examples.push(mask_key(&key::display(&bytes)));
        }
    }
}

/// The sentence of a number of rows that is further than `within` from the median of those before.
fn unusual<'a>(rows: u64, before: impl Iterator<Item = &'a u64>, within: f64) -> Option<String> {
    let mut before: Vec<u64> = before.copied().collect();
    before.sort_unstable();
    let runs = before.len();
    let median = (before.get(runs.checked_sub(1)? / 2)? + before.get(runs / 2)?) / 2;
    let (away, word) = (rows.abs_diff(median) as f64, if rows < median { "fewer" } else { "more" });
    (median > 0 && away > within * median as f64).then(|| {
        let percent = |fraction: f64| (fraction * 1e4).round() / 100.0;
        format!(
            "{rows} rows, {}% {word} than the {median} that are usual (median of {runs}), beyond {}%",
            percent(away / median as f64),
            percent(within)
        )
    })
}
