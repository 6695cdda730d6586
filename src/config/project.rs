//! A checked project: everything the operator wrote, resolved and typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{Problem, SecretRef, SourceFile, Span};
use backhaul_kit::{
    Account, DestinationKind, ModelQuery, NullPolicy, Prepared, SyncShape, Value, WarehouseConfig, WritePolicy,
};
use regex::Regex;

use super::guards::{Guards, OnHold};
use super::incremental::Incremental;
use super::people::People;
use super::references::Missing;
use crate::transform::Normaliser;

/// A checked project.
pub struct Project {
    /// The folder of `backhaul.toml`.
    pub root: PathBuf,
    /// `[state]`.
    pub state: StateSettings,
    /// `[warehouses.X]`.
    pub warehouses: BTreeMap<String, Warehouse>,
    /// `[destinations.X]`.
    pub destinations: BTreeMap<String, Destination>,
    /// `models/*.toml` and the `[model]` tables inside syncs (under the sync's name).
    pub models: BTreeMap<String, Arc<ModelDef>>,
    /// `syncs/*.toml` by name.
    pub syncs: BTreeMap<String, Arc<SyncDef>>,
    /// `[groups.X]`: the syncs that share an object, in the order in which they run together.
    pub groups: BTreeMap<String, Vec<String>>,
    /// What works but deserves a look.
    pub warnings: Vec<Problem>,
}

/// `[state]`: where backhaul keeps what it knows.
#[derive(Clone, Debug)]
pub struct StateSettings {
    /// The folder, absolute; default `.backhaul/state` beside `backhaul.toml`.
    pub dir: PathBuf,
    /// The encryption key: a secret reference; default a 0600 file `.backhaul/key` beside `dir`, made by `init`.
    pub key: Option<SecretRef>,
    /// Free disk that a plan must leave, in bytes; default 1 GiB.
    pub min_free: u64,
    /// Memory that comparing may take for rows that do not come in the snapshot's order, in bytes; default 64 MiB.
    pub memory: u64,
}

/// `[warehouses.X]`.
pub struct Warehouse {
    /// Its name.
    pub name: String,
    /// Its `type`.
    pub kind: &'static str,
    /// Checked by its kind.
    pub config: Box<dyn WarehouseConfig>,
    /// Where it stands.
    pub span: Span,
}

/// `[destinations.X]`.
pub struct Destination {
    /// Its name.
    pub name: String,
    /// Its `type`.
    pub kind: &'static DestinationKind,
    /// Checked by its kind.
    pub account: Box<dyn Account>,
    /// Where it stands.
    pub span: Span,
}

/// A model.
#[derive(Clone, Debug)]
pub struct ModelDef {
    /// Its name.
    pub name: String,
    /// The warehouse's name.
    pub warehouse: String,
    /// Its query (`sql_file` is already read).
    pub query: ModelQuery,
    /// Where the SQL text stands: an offset in the query plus its start is an offset in that file.
    pub query_span: Option<Span>,
    /// Key columns, in order, each with its place.
    pub key: Vec<(String, Span)>,
    /// The column that says whose row it is.
    pub person: Option<String>,
    /// `[columns]`: column → kind of personal data.
    pub personal: BTreeMap<String, String>,
    /// The columns that `person` and `[columns]` name, each with its place.
    pub mentioned: Vec<(String, Span)>,
    /// `incremental`, where it grows.
    pub incremental: Option<Incremental>,
    /// `[checks]`.
    pub checks: Vec<Check>,
    /// `parallel = true`.
    pub parallel: bool,
    /// Longest scan.
    pub timeout: Option<Duration>,
    /// Longest silence of the warehouse before it is asked whether it still works; default 60 s.
    pub idle_timeout: Duration,
    /// The file it stands in.
    pub file: Arc<SourceFile>,
}

/// One mapped field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Target as written: `email`, `address.city`, `items[].sku`.
    pub target: String,
    /// Where the target stands.
    pub span: Span,
    /// Where its value comes from.
    pub source: FieldSource,
    /// `as`.
    pub normalise: Option<Normaliser>,
    /// `country`: where telephone numbers are dialled that do not say their country.
    pub country: Option<Country>,
    /// `default`.
    pub default: Option<Value>,
    /// `null`.
    pub null: NullPolicy,
    /// `write`.
    pub write: WritePolicy,
}

/// Where telephone numbers are dialled.
#[derive(Clone, Debug, PartialEq)]
pub enum Country {
    /// In this country, a code of ISO 3166-1.
    Is(String),
    /// In the country whose code this column has.
    Column(String, Span),
}

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldSource {
    /// A column of the model.
    Column(String, Span),
    /// A constant.
    Value(Value),
    /// A minijinja template over the model's columns: source text and the columns it uses.
    Template {
        /// Its text.
        text: String,
        /// Columns it reads.
        columns: Vec<String>,
        /// Where it stands.
        span: Span,
    },
    /// The id of a record that the row refers to (`lookup`, `ref`).
    Reference(Reference),
}

/// What a row refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Where the record is looked for.
    pub to: Referred,
    /// The place of that word.
    pub span: Span,
    /// The column whose value finds it.
    pub column: (String, Span),
    /// What becomes of a row whose record is not there.
    pub missing: Missing,
}

/// Where the record is that a row refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referred {
    /// `lookup`: at the destination.
    Lookup {
        /// The object.
        object: String,
        /// The field that has the value.
        by: String,
    },
    /// `ref`: among what this sync has had accepted, by its key.
    Sync(String),
    /// `ref = "self"`: among what the sync itself has had accepted.
    Own,
}

/// `schedule`.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// Only by command.
    Manual,
    /// `{ every = "15m" }`.
    Every(Duration),
    /// `{ cron = "…", timezone = "…" }`.
    Cron {
        /// The parsed expression.
        cron: Box<croner::Cron>,
        /// The time zone.
        zone: jiff::tz::TimeZone,
    },
    /// `{ after = ["other"] }`.
    After(Vec<String>),
}

/// `on_unknown`: what happens to rows that were sent and whose fate nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// They are sent again.
    Resend,
    /// The destination is asked whether they are there; where it cannot say, they wait for a person.
    ReadBack,
    /// They wait for a person.
    Hold,
}

/// One entry of `[checks]`.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// What a failure does.
    pub severity: CheckSeverity,
    /// Where it stands.
    pub span: Span,
}

/// What a check asks of the data. NULL passes all but `not_null`.
#[derive(Clone, Debug)]
pub enum CheckKind {
    /// The column has a value in every row.
    NotNull(String),
    /// No two rows have the same value in the column.
    Unique(String),
    /// The column has one of these values, compared as text.
    AcceptedValues {
        /// The column.
        column: String,
        /// The values.
        values: BTreeSet<String>,
    },
    /// The column's text has a match of the pattern.
    Regex {
        /// The column.
        column: String,
        /// The pattern.
        pattern: Regex,
    },
    /// The column's number lies within these bounds, themselves included.
    Range {
        /// The column.
        column: String,
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
    },
    /// The newest value of the column is no older.
    Freshness {
        /// The column.
        column: String,
        /// The greatest age.
        within: Duration,
    },
    /// The number of rows is near the median of the last runs'.
    RowCount {
        /// How near, as a fraction of the median.
        within: f64,
        /// How many runs.
        runs: u64,
    },
}

impl CheckKind {
    /// Its name in `[checks]`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotNull(_) => "not_null",
            Self::Unique(_) => "unique",
            Self::AcceptedValues { .. } => "accepted_values",
            Self::Regex { .. } => "regex",
            Self::Range { .. } => "range",
            Self::Freshness { .. } => "freshness",
            Self::RowCount { .. } => "row_count",
        }
    }

    /// The column that it looks at.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::NotNull(column)
            | Self::Unique(column)
            | Self::AcceptedValues { column, .. }
            | Self::Regex { column, .. }
            | Self::Range { column, .. }
            | Self::Freshness { column, .. } => Some(column),
            Self::RowCount { .. } => None,
        }
    }

    /// Whether single rows can fail it: by themselves, or beside others.
    pub fn looks_at_rows(&self) -> bool {
        !matches!(self, Self::Freshness { .. } | Self::RowCount { .. })
    }
}

/// What a failed check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckSeverity {
    /// It is shown with the run.
    Warn,
    /// The plan is held.
    Hold,
}

/// `on_bad_row`: what a row does that the mapping refuses or that fails a check by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadRow {
    /// It is kept among the rejects, and the others are sent.
    Skip,
    /// The plan is held.
    Hold,
}

/// `diff`: where rows are compared with the snapshot, and so where the snapshot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiffPlace {
    /// Here: every row leaves the warehouse.
    #[default]
    Local,
    /// In the warehouse, with a table in a schema of its own: only rows that changed leave it.
    Warehouse,
}

/// `priority`: which of the syncs that wait for one account goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    /// Higher goes first.
    pub fn rank(self) -> i64 {
        match self {
            Self::High => 1,
            Self::Normal => 0,
            Self::Low => -1,
        }
    }
}

/// One sync.
pub struct SyncDef {
    /// Its name: the file's.
    pub name: String,
    /// Older names whose state it takes over.
    pub previously: Vec<String>,
    /// For people.
    pub title: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// For selecting.
    pub tags: Vec<String>,
    /// Its model.
    pub model: Arc<ModelDef>,
    /// `where`.
    pub filter: Option<String>,
    /// `[checks]`: the model's, and the sync's on top.
    pub checks: Vec<Check>,
    /// `on_bad_row`; where it is not said, what the mapping refuses is kept, and what fails a check holds the plan.
    pub on_bad_row: Option<OnBadRow>,
    /// `diff`.
    pub diff: DiffPlace,
    /// The destination's name.
    pub destination: String,
    /// The destination's part, checked by its kind.
    pub prepared: Arc<dyn Prepared>,
    /// What the destination knows of the sync.
    pub shape: SyncShape,
    /// The fields, in the order of `shape.fields`.
    pub fields: Vec<Field>,
    /// `[into] group`: the group of syncs that it shares its object with.
    pub group: Option<String>,
    /// `[into] changed`: whether an accepted row is left alone although it has changed.
    pub ignores_changed: bool,
    /// Whether records of rows that left the model are removed; if not, `shape.removed` is how those of people who may not be
    /// sent are.
    pub removes_left: bool,
    /// `refresh_after`: how long after it was sent an unchanged row is sent again.
    pub refresh_after: Option<Duration>,
    /// Who of the model may be sent.
    pub people: People,
    /// Whether rows refer to its records, its own or another sync's: their ids are then remembered.
    pub referred_to: bool,
    /// When it runs.
    pub schedule: Schedule,
    /// Which of the syncs that wait for one account goes first.
    pub priority: Priority,
    /// What happens to rows in doubt.
    pub on_unknown: OnUnknown,
    /// What may stop it.
    pub guards: Guards,
    /// What a plan does that a guard of removals stops.
    pub on_hold: OnHold,
    /// How long a held or interrupted plan may wait; `None` goes by the schedule.
    pub plan_max_age: Option<Duration>,
    /// Its file.
    pub file: Arc<SourceFile>,
}
