//! A delivery of the engine's to a stand-in, all on one thread whose clock is paused.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backhaul::config::{Project as Config, SyncDef};
use backhaul::deliver::{Counts, Delivered, Job, Phase, Policy, ProgressSink, RejectSink, RejectedRow, deliver};
use backhaul::diff::{Cause, Op, OpKind};
use backhaul::snapshot::log::LogWriter;
use backhaul_kit::config::Secrets;
use backhaul_kit::{Address, Destination, Facts, Fault, FieldValue, KeyHash, Kit, Run, Sandbox, Value, key};
use serde_json::Value as Json;
use tokio::time::Instant;

use super::vendors::Vendor;
use crate::support::project::Project;
use crate::support::sandbox::get_json;

const RUN: &str = "run-1";

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) vendor: Vendor,
    /// Rows.
    pub(super) rows: u64,
    /// Rows in a call, at most.
    pub(super) batch: usize,
    /// Percent of the quota that may be used: `quota` is written, so that the vendor's own limits hold at a stand-in too.
    pub(super) quota: u64,
}

impl Delivery {
    /// With all of the quota.
    pub(super) const fn of(vendor: Vendor, rows: u64, batch: usize) -> Self {
        Self { vendor, rows, batch, quota: 100 }
    }
}

/// A stand-in on this thread, and an open destination.
pub(super) struct Bench {
    delivery: Delivery,
    project: Project,
    pub(super) sandbox: Box<dyn Sandbox>,
    sync: Arc<SyncDef>,
    destination: Arc<dyn Destination>,
}

impl Bench {
    /// The stand-in is told `settings` besides.
    pub(super) async fn new(delivery: Delivery, settings: &[(&str, &str)]) -> Self {
        let Vendor { stand_in: name, settings: own, .. } = delivery.vendor;
        let sandbox = stand_in(name, &[own, settings].concat()).await;
        let project = Project::empty();
        project.write("secret", &sandbox.token());
        let sync = sync(&project, &delivery, &sandbox.url());
        let kit = Kit::new(Secrets::from_env(&project.path("")));
        let destination = sync.prepared.open(kit).expect("an open destination");
        Self { delivery, project, sandbox, sync, destination }
    }

    /// Delivers the rows and says how long it took on the paused clock.
    pub(super) async fn deliver(&self) -> (Delivered, Duration) {
        let Delivery { vendor: Vendor { operation, .. }, rows, batch, .. } = self.delivery;
        let facts = self.sync.prepared.facts_for(operation, rows);
        let facts = Facts { max_rows: facts.max_rows.min(batch), ..facts };
        let targets: Vec<String> = self.sync.shape.fields.iter().map(|field| field.target.clone()).collect();
        let matched = self.sync.shape.match_field.as_ref().map(|(place, _)| *place);
        let ops = (1..=rows).map(move |number| Ok(op(number, &targets, matched)));
        let job = Job {
            destination: self.destination.clone(),
            run: Run { id: RUN.into(), sync: "here".into(), rows, started: jiff::Timestamp::now() },
            phases: vec![Phase { operation, facts, ops: Box::new(ops) }],
            log: LogWriter::create(&self.project.path("run.log"), RUN).expect("a new log"),
            already: None,
            sends: true,
            rejects: Arc::new(Quiet),
            progress: Arc::new(Quiet),
            cancel: tokio::sync::watch::channel(false).1,
            policy: Policy::default(),
        };
        let started = Instant::now();
        let delivered = deliver(job).await.expect("a sound log");
        (delivered, started.elapsed())
    }

    /// What the stand-in tells of its limit.
    pub(super) async fn usage(&self) -> Json {
        let url = self.sandbox.url();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port");
        tokio::task::spawn_blocking(move || get_json(port, "/sandbox/usage")).await.expect("an answer")
    }
}

/// A vendor's stand-in that was told these settings.
pub(super) async fn stand_in(vendor: &str, settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    let sandboxes = backhaul_connectors::destinations().iter().filter_map(|kind| Some((kind.sandbox?)()));
    let kind = { sandboxes }.find(|sandbox| sandbox.name() == vendor).expect("a stand-in");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let told: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    kind.start(listener, &told).await.expect("a running stand-in")
}

/// Whether `BACKHAUL_QUOTA=full` asks for more than every change has to show.
pub(super) fn is_full() -> bool {
    std::env::var("BACKHAUL_QUOTA").is_ok_and(|asked| asked == "full")
}

/// How many rows: these, or 100,000 where they are asked for.
pub(super) fn rows(quick: u64) -> u64 {
    if is_full() { 100_000 } else { quick }
}

/// The sync to what is at `url`.
fn sync(project: &Project, delivery: &Delivery, url: &str) -> Arc<SyncDef> {
    let Delivery { vendor: Vendor { kind, account, sync, .. }, quota, .. } = delivery;
    let base = if *kind == "http" { "url" } else { "base_url" };
    project.write(
        "backhaul.toml",
        &format!(
            "version = 1\n[warehouses.w]\ntype = \"sqlite\"\npath = \"w.db\"\n\
             [destinations.it]\ntype = \"{kind}\"\n{base} = \"{url}\"\nquota = \"{quota}%\"\n{account}\n"
        ),
    );
    let model = "[model]\nwarehouse = \"w\"\nsql = \"select * from t\"\nkey = [\"code\"]\n";
    project.write("syncs/here.toml", &format!("destination = \"it\"\n{model}{sync}"));
    let loaded = backhaul::config::load(&project.path("")).map_err(|problems| format!("{problems:#?}"));
    let Config { syncs, .. } = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    syncs["here"].clone()
}

/// A new row: every field is text with its number, or an address of e-mail, or a member's status.
fn op(number: u64, targets: &[String], matched: Option<usize>) -> Op {
    let key = key::encode(&[&Value::Int(number.cast_signed())]).expect("a key");
    let value = |target: &String| match target.to_lowercase().as_str() {
        target if target.contains("email") => Value::Text(format!("p{number}@example.com")),
        "status" => Value::Text("subscribed".into()),
        _ => Value::Text(number.to_string()),
    };
    let values: Vec<Value> = targets.iter().map(value).collect();
    let match_value = matched.map(|place| match &values[place] {
        Value::Text(text) => text.clone(),
        _ => number.to_string(),
    });
    Op {
        number: number - 1,
        kind: OpKind::Add,
        ordinal: None,
        key_hash: KeyHash::of(&key, 1),
        key: key.into(),
        fingerprint: number,
        table_fingerprint: None,
        cause: Cause::Left,
        old_address: Address::default(),
        match_value,
        was_in_doubt: false,
        changed: Vec::new(),
        fields: values.into_iter().map(FieldValue::Set).collect(),
        reason: None,
    }
}

struct Quiet;

#[async_trait]
impl RejectSink for Quiet {
    async fn rejected(&self, _rows: Vec<RejectedRow>) -> Result<(), Fault> {
        Ok(())
    }
}

impl ProgressSink for Quiet {
    fn progress(&self, _counts: Counts) {}
}
