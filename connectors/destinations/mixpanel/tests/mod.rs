//! The destination against its stand-in and against scripted answers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod spec;

use std::sync::Arc;

use backhaul_kit::config::{Problem, Problems, Secrets, SourceFile, Span, parse};
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldShape, FieldValue, Kit, Mode, NullPolicy, Operation,
    Prepared, Removed, Row, Run, Sandbox, SyncShape, Value, Verdict, WritePolicy,
};

use super::MIXPANEL;
use super::sandbox;
use crate::destinations::fixture;

/// What a sync asks for.
#[derive(Clone, Debug)]
struct Wanted {
    object: &'static str,
    mode: Mode,
    removed: Removed,
    match_on: Option<&'static str>,
    fields: &'static [&'static str],
}

const EVENTS: Wanted = Wanted {
    object: "events",
    mode: Mode::Append,
    removed: Removed::Ignore,
    match_on: None,
    fields: &["event", "time", "distinct_id", "total"],
};

const PROFILES: Wanted = Wanted {
    object: "profiles",
    mode: Mode::Upsert,
    removed: Removed::Delete,
    match_on: Some("$distinct_id"),
    fields: &["$distinct_id", "$email", "plan"],
};

/// 2025-12-31T12:00:00Z in microseconds.
const NOON: i64 = 1_767_182_400_000_000;

/// Reads a `[destinations.X]` with `keys` and the sync `wanted`, or says what is wrong with them.
fn read(keys: &str, wanted: &Wanted) -> Result<Arc<dyn Prepared>, Vec<Problem>> {
    let file = |text: &str| Arc::new(SourceFile { path: "backhaul.toml".into(), text: text.to_owned() });
    let problems = Problems::default();
    let mut table = parse(&file(&format!("token = {{ file = \"token\" }}\n{keys}")), &problems);
    let account = MIXPANEL.account(&mut table);
    table.finish();
    let Some(account) = account else { return Err(problems.take()) };
    let mut into = parse(&file(""), &problems);
    let prepared = MIXPANEL.sync(account.as_ref(), &mut into, &shape(wanted));
    into.finish();
    match (prepared, problems.take()) {
        (Some(prepared), found) if found.is_empty() => Ok(prepared),
        (_, found) => Err(found),
    }
}

fn shape(wanted: &Wanted) -> SyncShape {
    let text = Arc::new(SourceFile { path: "syncs/test.toml".into(), text: String::new() });
    let span = Span { file: text, range: 0..0 };
    let field = |text: &&str| {
        let target = text.trim_end_matches("=if_empty");
        let write = if target == *text { WritePolicy::Always } else { WritePolicy::IfEmpty };
        FieldShape { target: target.to_owned(), span: span.clone(), null: NullPolicy::Send, write }
    };
    let place = wanted.match_on.and_then(|name| wanted.fields.iter().position(|field| *field == name));
    SyncShape {
        operations: Vec::new(),
        name: String::from("test"),
        object: Some((wanted.object.to_owned(), span.clone())),
        mode: (wanted.mode, span.clone()),
        removed: (wanted.removed, span.clone()),
        match_field: place.map(|place| (place, span.clone())),
        fields: wanted.fields.iter().map(field).collect(),
        key: vec![String::from("id")],
        consent: Vec::new(),
        span: span.clone(),
    }
}

/// An open destination.
struct Bench {
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

impl Bench {
    /// Opens the destination on whatever answers at `url`, with these keys and this token besides.
    fn with(url: &str, wanted: &Wanted, keys: &str, token: &str) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join("token"), token).expect("a token");
        let keys = format!("region = \"eu\"\nbase_url = \"{url}\"\n{keys}");
        let prepared = read(&keys, wanted).unwrap_or_else(|problems| panic!("{problems:?}"));
        let destination = prepared.open(Kit::new(Secrets::from_env(project.path()))).expect("an open destination");
        Self { destination, _project: project }
    }

    fn open(url: &str, wanted: &Wanted) -> Self {
        Self::with(url, wanted, "", "sandbox-token")
    }

    async fn write(&self, batch: &Batch) -> Result<Vec<Verdict>, Fault> {
        match self.destination.write(&run(), batch, backhaul_kit::contract::NO_TICKETS).await? {
            Delivery::Settled(outcomes) => Ok(outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()),
            other => panic!("Mixpanel settles at once, not {other:?}"),
        }
    }

    async fn verdicts(&self, batch: &Batch) -> Vec<Verdict> {
        self.write(batch).await.expect("an answer about rows")
    }
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&MIXPANEL, settings).await
}

fn run() -> Run {
    Run { id: String::from("r1"), sync: String::from("test"), rows: 1, started: jiff::Timestamp::UNIX_EPOCH }
}

/// A batch of rows with these match values and fields; op numbers count from 10, keys from 1.
fn batch(operation: Operation, rows: Vec<(Option<&str>, Vec<FieldValue>)>) -> Batch {
    let rows = (1i64..)
        .zip(rows)
        .map(|(key, (match_value, fields))| Row {
            op: 9 + key.unsigned_abs(),
            change: if operation.is_removal() { ChangeKind::Remove } else { ChangeKind::Add },
            key: backhaul_kit::key::encode(&[&Value::Int(key)]).expect("a key").into(),
            fingerprint: key.unsigned_abs(),
            address: Address { remote_id: None, match_value: match_value.map(str::to_owned) },
            fields: fields.into_iter().collect(),
        })
        .collect();
    Batch { operation, seq: 0, last: false, rows }
}

fn text(value: &str) -> FieldValue {
    FieldValue::Set(Value::Text(value.to_owned()))
}

/// Events of these people, a second apart.
fn events(people: &[&str]) -> Batch {
    let row = |(seconds, id): (i64, &&str)| {
        let time = FieldValue::Set(Value::Timestamp(NOON + seconds * 1_000_000));
        (None, vec![text("order_paid"), time, text(id), FieldValue::Set(Value::Int(7))])
    };
    batch(Operation::Append, (0..).zip(people).map(row).collect())
}

/// Profiles: id, e-mail address, plan.
fn profiles(operation: Operation, rows: &[[&str; 3]]) -> Batch {
    batch(operation, rows.iter().map(|row| (Some(row[0]), row.iter().map(|value| text(value)).collect())).collect())
}

fn removals(operation: Operation, ids: &[&str]) -> Batch {
    batch(operation, ids.iter().map(|id| (Some(*id), Vec::new())).collect())
}

fn written() -> Verdict {
    Verdict::Written { remote_id: None }
}

fn rejection(verdict: &Verdict) -> (&str, &str, Option<&str>) {
    match verdict {
        Verdict::Rejected(reason) => (&reason.code, &reason.text, reason.field.as_deref()),
        other => panic!("not a rejection: {other:?}"),
    }
}
