//! The shapes of the tables. They are never filled: each only describes its table for `schemars`, and its
//! comments are what an editor shows.

#![expect(dead_code, reason = "the readers read key by key; these describe the same keys for editors")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::checks::Checks;
use super::fields::FieldRule;
use super::guards::Guards;
use super::people::{ConsentRule, Holdout, OnIneligible, Suppression};

/// backhaul.toml: where a project reads from and writes to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct BackhaulToml {
    /// The version of the language: 1.
    #[schemars(range(min = 1, max = 1))]
    version: u64,
    /// Warehouses by name.
    #[schemars(default)]
    warehouses: BTreeMap<String, serde_json::Value>,
    /// Destinations by name.
    #[schemars(default)]
    destinations: BTreeMap<String, serde_json::Value>,
    /// Fields for reuse, by the mapping's name: `[into] mappings = ["person"]`.
    #[schemars(default)]
    mappings: BTreeMap<String, BTreeMap<String, FieldRule>>,
    /// Syncs that share an object, by the group's name: `[into] group = "contacts"`.
    #[schemars(default)]
    groups: BTreeMap<String, Group>,
    /// Lists of people who are not sent, by name: `suppress = ["do-not-contact"]` in a sync.
    #[schemars(default)]
    suppression: BTreeMap<String, Suppression>,
    /// Shares of people who are not sent, by name: `holdout = "always-on"` in a sync.
    #[schemars(default)]
    holdouts: BTreeMap<String, Holdout>,
    /// Where backhaul keeps what it knows.
    state: Option<State>,
    /// What syncs take over where they do not say.
    defaults: Option<Defaults>,
}

/// Syncs that share an object.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Group {
    /// Their names, in the order in which they run together.
    #[schemars(length(min = 1))]
    syncs: Vec<String>,
}

/// Where backhaul keeps what it knows.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct State {
    /// The folder, relative to backhaul.toml; default `.backhaul/state`.
    dir: Option<String>,
    /// The encryption key; default a file that `backhaul init` makes.
    key: Option<Secret>,
    /// Free disk that a plan must leave; default "1GiB".
    min_free: Option<Size>,
    /// Memory that comparing may take for rows that do not come in the snapshot's order; default "64MiB".
    memory: Option<Size>,
}

/// What syncs take over where they do not say.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Defaults {
    /// Who answers for the syncs.
    owner: Option<String>,
    /// What happens to rows that were sent and whose fate nobody knows.
    on_unknown: Option<OnUnknown>,
    /// What may stop a plan; taken over key by key.
    guards: Option<Guards>,
}

/// models/NAME.toml: one query whose rows have a key.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ModelToml {
    /// The warehouse it runs on.
    warehouse: String,
    /// One SELECT. Exactly one of `sql`, `table`, `sql_file` and `files`.
    sql: Option<String>,
    /// A table or view, perhaps with its schema.
    table: Option<String>,
    /// A file with one SELECT, relative to backhaul.toml.
    sql_file: Option<String>,
    /// Files below the folder of a warehouse of type `files`, as a pattern: "customers/*.parquet".
    files: Option<String>,
    /// The columns that tell one row from another.
    #[schemars(length(min = 1))]
    key: Vec<String>,
    /// The column that says whose row it is.
    person: Option<String>,
    /// What is known of single columns.
    #[schemars(default)]
    columns: BTreeMap<String, ColumnAbout>,
    /// Its rows come with a time: a scan asks for the new ones only.
    incremental: Option<Incremental>,
    /// What its data must be like.
    checks: Option<Checks>,
    /// Let several connections read a large plain table; other queries may have parallel plans, in no stable order.
    parallel: Option<bool>,
    /// The longest a scan may take.
    timeout: Option<Duration>,
    /// How long the warehouse may be silent; default "60s".
    idle_timeout: Option<Duration>,
}

/// Which rows of a model that grows a scan asks for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Incremental {
    /// The column that says when a row came.
    column: String,
    /// So far behind the newest row that was delivered a scan begins; default "1h".
    lookback: Option<Duration>,
    /// Where the first scan begins: a date or a time (as TOML writes them, without quotes), "all" or "now".
    begin: Begin,
}

/// What is known of a column.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ColumnAbout {
    /// The kind of personal data that it holds.
    personal: Personal,
}

/// A kind of personal data.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Personal {
    Email,
    Phone,
    Name,
    Address,
    BirthDate,
    Id,
    Ip,
    Other,
}

/// syncs/NAME.toml: one model, into one object of one destination.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SyncToml {
    /// For people.
    title: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// For selecting: `tag:crm`.
    #[schemars(default)]
    tags: Vec<String>,
    /// Older names of this sync, whose state it takes over.
    #[schemars(default)]
    previously: Vec<String>,
    /// A model's name, or the model itself.
    model: ModelReference,
    /// A condition over the model's columns.
    #[schemars(rename = "where")]
    filter: Option<String>,
    /// Where rows are compared with what was delivered; default "local". "warehouse": there, so that only changed
    /// rows leave it (PostgreSQL).
    diff: Option<Diff>,
    /// The destination's name.
    destination: String,
    /// When it runs by itself; default never.
    schedule: Option<Schedule>,
    /// What is written, and how.
    into: Into,
    /// Fields of the destination and where their values come from.
    #[schemars(default)]
    fields: BTreeMap<String, FieldRule>,
    /// Suppression lists of backhaul.toml: nobody on one of them is sent.
    #[schemars(default)]
    suppress: Vec<String>,
    /// The holdout of backhaul.toml whose people are not sent.
    holdout: Option<String>,
    /// Signals of consent by name, all of which must have been given; or `none` with the reason why it is not asked
    /// for.
    #[schemars(default)]
    consent: BTreeMap<String, ConsentRule>,
    /// What becomes of a record that was delivered and whose row may no longer be sent; default "freeze". Audiences and
    /// full files always remove it.
    on_ineligible: Option<OnIneligible>,
    /// What happens to rows that were sent and whose fate nobody knows; default "resend" where a call may be made
    /// again, else "read_back" where the destination can be asked, else "hold".
    on_unknown: Option<OnUnknown>,
    /// What may stop a plan.
    guards: Option<Guards>,
    /// What the model's data must be like; on top of the model's own checks.
    checks: Option<Checks>,
    /// What a row does that the mapping refuses or that fails a check by itself. Where it is not said, what the
    /// mapping refuses is skipped, and what fails a check holds the plan.
    on_bad_row: Option<OnBadRow>,
    /// What a plan does that a guard of removals stops; default "all": it is held. "removals": its removals wait, all
    /// else goes out.
    on_hold: Option<OnHold>,
    /// Which of the syncs that wait for one account goes first; default "normal".
    priority: Option<Priority>,
    /// How long a held or interrupted plan may wait; default four intervals, from 1 h to 24 h.
    plan_max_age: Option<Duration>,
    /// How long after it was sent an unchanged row is sent again, for destinations that forget; default never.
    refresh_after: Option<Duration>,
}

/// What a bad row does: it is kept among the rejects while the others are sent, or it holds the plan.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnBadRow {
    Skip,
    Hold,
}

/// What is held.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnHold {
    All,
    Removals,
}

/// Which of the syncs that wait for one account goes first.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Priority {
    High,
    Normal,
    Low,
}

/// Where rows are compared.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Diff {
    Local,
    Warehouse,
}

/// A model's name, or the model itself.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum ModelReference {
    Name(String),
    Inline(Box<ModelToml>),
}

/// When a sync runs by itself: one of `every`, `cron` and `after`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Schedule {
    /// A fixed interval.
    every: Option<Duration>,
    /// Five fields: minute, hour, day of month, month, day of week.
    cron: Option<String>,
    /// The time zone of `cron`; default "UTC".
    timezone: Option<String>,
    /// Runs after these syncs.
    after: Option<Vec<String>>,
}

/// What is written, and how. Besides these keys each destination has its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Into {
    /// The object at the destination.
    object: Option<String>,
    /// How rows are written.
    mode: Mode,
    /// What happens to a row that left the model; default "ignore".
    removed: Option<Removed>,
    /// With mode "append": what happens to an accepted row that has changed; default "send", "ignore" for a model
    /// with `incremental`.
    changed: Option<Changed>,
    /// The field by which a record is found again; default the one mapped from a single-column key.
    #[schemars(rename = "match")]
    matched: Option<String>,
    /// Columns that become fields of the same name.
    #[schemars(default)]
    same_name: Vec<String>,
    /// Mappings of backhaul.toml, left to right; `[fields]` goes over them.
    #[schemars(default)]
    mappings: Vec<String>,
    /// The group of backhaul.toml whose syncs share the object.
    group: Option<String>,
}

/// How rows are written.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Mode {
    Upsert,
    Update,
    Create,
    Audience,
    Append,
}

/// What happens to a row that left the model.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Removed {
    Ignore,
    Archive,
    Delete,
    Clear,
}

/// What happens to a row that was appended and has changed since.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Changed {
    Ignore,
    Send,
}

/// What happens to rows in doubt.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnUnknown {
    /// They are sent again.
    Resend,
    /// The destination is asked whether they are there.
    ReadBack,
    /// They wait for `rejects resolve`.
    Hold,
}

/// A type whose schema is written out.
macro_rules! written {
    ($name:ident, $schema:tt) => {
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

written!(Secret, {
    "description": "Where a secret comes from; the secret itself is never written here.",
    "type": "object",
    "properties": {
        "secret": { "type": "string", "description": "A name: looked for among systemd's credentials, in the folder of secrets, and as BACKHAUL_SECRET_NAME." },
        "env": { "type": "string", "description": "An environment variable." },
        "file": { "type": "string", "description": "A file, relative to backhaul.toml; read again when it changes." },
        "credential": { "type": "string", "description": "A systemd credential." }
    },
    "additionalProperties": false,
    "minProperties": 1,
    "maxProperties": 1
});
written!(Duration, { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)( [0-9]+(ms|s|m|h|d))*$", "examples": ["15m", "1h 30m"] });
written!(Percent, { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?%$", "examples": ["5%"] });
written!(Size, { "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9]+ ?([KMGT]i?)?B$" }], "examples": ["1GiB"] });
written!(Constant, { "type": ["string", "number", "boolean", "array"] });
written!(Begin, {
    "anyOf": [{ "enum": ["all", "now"] }, { "type": "string", "format": "date-time" }, { "type": "string", "format": "date" }]
});
written!(False, { "const": false });
