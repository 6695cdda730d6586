//! What a row costs from the plan to the acknowledged request.
//!
//! ```text
//! cargo build --release --example sink
//! cargo bench --bench deliver -- [ROWS]        default 1,000,000
//! ```
//!
//! Rows are those of `tests/bench/postgres`: 12 plain columns, about 290 bytes of JSON. Every line is CPU (user and
//! system) of this process per row; the sink is another process, and not counted. `deliver` is all of it: reading,
//! decrypting and verifying the plan, rendering, HTTP, the lease, the acknowledgement log and its syncs.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod meter;
mod project;
mod users;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backhaul::deliver::{Counts, Delivered, Job, Phase, Policy, ProgressSink, RejectSink, RejectedRow, deliver, row};
use backhaul::diff::{OpKind, PlanCounts, PlanHeader, PlanReader, PlanWriter};
use backhaul::run::Leased;
use backhaul::snapshot::log::LogWriter;
use backhaul::snapshot::{Binding, StateKey};
use backhaul::state::{LeaseTiming, State, Wait};
use backhaul_kit::{Batch, Fault, Kit, Nest, Operation, Row, Run};
use tokio::sync::watch;

use meter::Meter;
use project::{Body, Sink};

type Failure = Box<dyn Error + Send + Sync>;

/// Rows in a request.
const BATCH: usize = 100;

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench`.
    let rows = match std::env::args().skip(1).find(|arg| arg != "--bench") {
        Some(rows) => rows.parse()?,
        None => 1_000_000,
    };
    let folder = tempfile::tempdir()?;
    let key = Arc::new(StateKey::random()?);
    println!("{rows} rows, CPU of this process");
    let plan = folder.path().join("plan");
    write_plan(&plan, &key, rows)?;
    read_plan(&plan, &key)?;
    render(&PlanReader::open(&plan, &key)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(send(folder.path(), &plan, &key))
}

fn write_plan(path: &Path, key: &Arc<StateKey>, rows: u64) -> Result<(), Failure> {
    let meter = Meter::start()?;
    for number in 0..rows {
        std::hint::black_box(users::op(number));
    }
    let made = meter.cpu();
    let meter = Meter::start()?;
    let mut writer = PlanWriter::new(path, key.clone());
    writer.begin(header(), 0)?;
    for number in 0..rows {
        writer.push(&users::op(number))?;
    }
    let counts = PlanCounts { rows, added: rows, ..PlanCounts::default() };
    let summary = writer.finish(counts, "synthetic")?;
    // Making the ops is not the writer's.
    meter.print("write the plan", rows, made)?;
    println!("{:<34} {:>8.1} B/row", "  its size", summary.bytes as f64 / rows as f64);
    Ok(())
}

fn read_plan(path: &Path, key: &StateKey) -> Result<(), Failure> {
    let plan = PlanReader::open(path, key)?;
    let meter = Meter::start()?;
    for op in plan.ops(None) {
        std::hint::black_box(op?);
    }
    meter.print("read it", plan.len(), Duration::ZERO)
}

/// JSON of plain columns, and a request of 100 rows with and without a template.
fn render(plan: &PlanReader) -> Result<(), Failure> {
    const ROUNDS: usize = 10;
    let rows: Vec<Row> =
        plan.ops(None).take(10_000).map(|op| op.map(row)).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let count = (rows.len() * ROUNDS) as u64;
    let nest = Nest::compile(users::COLUMNS).map_err(|_| "columns that are no paths")?;
    let mut out = Vec::new();
    let meter = Meter::start()?;
    for _ in 0..ROUNDS {
        for row in &rows {
            out.clear();
            nest.write_json(&row.fields, &mut out);
            std::hint::black_box(&out);
        }
    }
    meter.print("JSON of plain columns", count, Duration::ZERO)?;
    println!("{:<34} {:>8.1} B/row", "  its size", out.len() as f64);

    for (name, body) in [("request, plain columns", Body::Plain), ("request, template", Body::Template)] {
        let project = project::load("http://127.0.0.1:1", body)?;
        let destination = project::sync(&project)?.prepared.open(Kit::new(project::secrets(&project)))?;
        let batches: Vec<Batch> = rows
            .chunks(BATCH)
            .map(|rows| Batch { operation: Operation::Upsert, seq: 0, last: false, rows: rows.to_vec() })
            .collect();
        let meter = Meter::start()?;
        for batch in &batches {
            std::hint::black_box(destination.preview(&run(count), batch)?);
        }
        meter.print(name, rows.len() as u64, Duration::ZERO)?;
    }
    Ok(())
}

/// The whole way of a first load behind its plan.
async fn send(folder: &Path, path: &Path, key: &Arc<StateKey>) -> Result<(), Failure> {
    let plan = PlanReader::open(path, key)?;
    let rows = plan.len();
    let state = State::open(&folder.join("state"), key.clone()).await?;
    let lease = state.acquire("http:bench", Wait::No, LeaseTiming::default()).await?;
    let sink = Sink::start()?;
    let project = project::load(&sink.url(), Body::Plain)?;
    let sync = project::sync(&project)?;
    let destination = sync.prepared.open(Kit::new(project::secrets(&project)))?;
    let facts = sync.prepared.facts(Operation::Upsert);
    let ops = plan.ops(Some(&[OpKind::Add])).map(|op| op.map_err(|e| Fault::bug("unreadable").caused_by(e)));
    let (_keep, cancel) = watch::channel(false);
    let job = Job {
        destination: Arc::new(Leased::new(destination, lease.watch())),
        run: run(rows),
        phases: vec![Phase { operation: Operation::Upsert, facts, ops: Box::new(ops) }],
        log: LogWriter::create(&folder.join("log"), "bench")?,
        already: None,
        sends: true,
        rejects: Arc::new(Nobody),
        progress: Arc::new(Nobody),
        cancel,
        policy: Policy::default(),
    };
    let meter = Meter::start()?;
    let Delivered { counts, stopped_by, .. } = deliver(job).await?;
    meter.print("deliver", rows, Duration::ZERO)?;
    let arrived = sink.rows()?;
    if counts != (Counts { accepted: rows, calls: rows.div_ceil(BATCH as u64), ..Counts::default() }) || arrived != rows
    {
        return Err(format!("{counts:?} after {rows} rows, of which {arrived} arrived; {stopped_by:?}").into());
    }
    lease.release().await;
    Ok(())
}

fn header() -> PlanHeader {
    PlanHeader {
        run_id: "bench".into(),
        base_id: "none".into(),
        seed: 7,
        config_digest: [0; 32],
        binding: Binding { identity: "http:bench".into(), object: "users".into(), environment: "default".into() },
        fields: users::COLUMNS.iter().map(|&column| column.into()).collect(),
        match_field: None,
        hashes: false,
        keep_address: true,
        removals: true,
        remap: false,
        full: false,
        table_fingerprints: None,
        growing: None,
        refresh: None,
        siblings: Vec::new(),
    }
}

fn run(rows: u64) -> Run {
    Run { id: "bench".into(), sync: "users".into(), rows, started: jiff::Timestamp::UNIX_EPOCH }
}

/// Takes no rejects, hears no progress.
struct Nobody;

#[async_trait::async_trait]
impl RejectSink for Nobody {
    async fn rejected(&self, rows: Vec<RejectedRow>) -> Result<(), Fault> {
        Err(Fault::bug(format!("{} rows were refused", rows.len())))
    }
}

impl ProgressSink for Nobody {
    fn progress(&self, _: Counts) {}
}
