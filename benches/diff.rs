//! What comparing costs: hashing, matching in several orders, spilling, planning, settling.
//!
//! ```text
//! cargo bench --bench diff -- [ROWS] [SCENARIO…]
//! ```
//!
//! Rows are synthetic, of about 190 bytes; making and hashing them is part of every figure. Each scenario runs in a
//! process of its own and prints CPU time (user and system) a row, its peak memory, and what it wrote. It judges
//! nothing.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it cannot go on")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backhaul::diff::{Differ, Doubts, PlanReader, PlanRequest, PlanSummary, PlanWriter, RowMapper};
use backhaul::snapshot::{Binding, FileError, Settle, SettleInfo, Settlement, StateKey, Store, settle};
use backhaul_kit::{Fault, FieldValue, KeyHash, Proof, Reason, RowDecoder, RowDigest, RowPage, Value, key};
use rustix::time::{ClockId, clock_gettime};
use secrecy::SecretString;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const ROW_BYTES: usize = 190;
const PAGE_ROWS: u64 = 4096;
const CHUNK_ROWS: u64 = 50_000;
const MEMORY: u64 = 64 << 20;

/// What is measured, and about what.
const SCENARIOS: &[(&str, &str)] = &[
    ("digest", "making and hashing rows, nothing else"),
    ("first", "first load: planned"),
    ("settle", "first load: settled"),
    ("same", "no change, same order"),
    ("rotated", "no change, the scan starts in the middle"),
    ("chunks", "no change, chunks of 50,000 rows shuffled"),
    ("reversed", "no change, backwards"),
    ("random", "no change, no two rows beside each other"),
    ("changed", "1 % changed, 0.1 % new, 0.1 % gone, in order"),
    ("moved", "the same, and the changed rows at the end of the scan"),
    ("changed-settle", "1 % changed, 0.1 % new, 0.1 % gone: planned and settled"),
    ("rewritten", "in random order: the base is written by key hash"),
    ("by-hash", "no change, random, on that base"),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let rows = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    if let Ok(folder) = std::env::var("BACKHAUL_BENCH_FOLDER") {
        let scenario = args.last().map_or("", String::as_str);
        return one(scenario, rows, Path::new(&folder));
    }
    let asked: Vec<&str> = args.iter().map(String::as_str).filter(|arg| arg.parse::<u64>().is_err()).collect();
    let folder = tempfile::tempdir().unwrap();
    println!("{rows} rows, {} MiB for rows out of order", MEMORY >> 20);
    println!("{:<16} {:>8} {:>9} {:>12} {:>14}", "", "ns/row", "peak MiB", "plan bytes", "state bytes");
    for (name, about) in SCENARIOS {
        // The others need the state that these leave.
        let needed = matches!(*name, "first" | "settle") || (*name == "rewritten" && asked.contains(&"by-hash"));
        if asked.is_empty() || asked.contains(name) || needed {
            let program = std::env::current_exe().unwrap();
            let run = Command::new(program)
                .args([&rows.to_string(), *name])
                .env("BACKHAUL_BENCH_FOLDER", folder.path())
                .status()
                .unwrap();
            assert!(run.success(), "{name} ({about}) failed");
        }
    }
    for (name, about) in SCENARIOS {
        println!("{name:<16} {about}");
    }
}

/// The order in which rows come.
#[derive(Clone, Copy)]
enum Order {
    Same,
    Rotated,
    Chunks,
    Reversed,
    Random,
}

impl Order {
    /// The number of the row at `place` of `rows`.
    fn row(self, place: u64, rows: u64) -> u64 {
        match self {
            Self::Same => place,
            Self::Rotated => (place + rows / 3) % rows,
            Self::Reversed => rows - 1 - place,
            // A step without a common divisor visits every row once.
            Self::Random => (u128::from(place) * 6_700_417 % u128::from(rows)) as u64,
            Self::Chunks => {
                let chunks = rows / CHUNK_ROWS;
                let (chunk, at) = (place / CHUNK_ROWS, place % CHUNK_ROWS);
                if chunk < chunks { chunk * 7919 % chunks * CHUNK_ROWS + at } else { place }
            }
        }
    }
}

/// What changed since the first load.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    InPlace,
    Moved,
}

/// The rows of a scan: number and version of each.
fn scan(rows: u64, order: Order, change: Change) -> Box<dyn Iterator<Item = (u64, u64)>> {
    let in_order = (0..rows).map(move |place| order.row(place, rows));
    let added = (rows..rows + rows / 1000).map(|n| (n, 0));
    match change {
        Change::Nothing => Box::new(in_order.map(|n| (n, 0))),
        Change::InPlace => {
            let kept = in_order.filter(|n| n % 1000 != 3);
            Box::new(kept.map(|n| (n, u64::from(n % 100 == 7))).chain(added))
        }
        Change::Moved => {
            let stays = in_order.clone().filter(|n| n % 1000 != 3 && n % 100 != 7).map(|n| (n, 0));
            let moved = in_order.filter(|n| n % 100 == 7).map(|n| (n, 1));
            Box::new(stays.chain(moved).chain(added))
        }
    }
}

fn one(scenario: &str, rows: u64, folder: &Path) {
    let bench = Bench { rows, folder: folder.to_owned() };
    let measured = Measured::start();
    let (plan, state) = match scenario {
        "digest" => (bench.digest(), 0),
        "first" => (bench.plan(Order::Same, Change::Nothing, "first").bytes, 0),
        "settle" => (0, bench.settle("first")),
        "same" => (bench.plan(Order::Same, Change::Nothing, "p").bytes, 0),
        "rotated" => (bench.plan(Order::Rotated, Change::Nothing, "p").bytes, 0),
        "chunks" => (bench.plan(Order::Chunks, Change::Nothing, "p").bytes, 0),
        "reversed" => (bench.plan(Order::Reversed, Change::Nothing, "p").bytes, 0),
        "random" => (bench.plan(Order::Random, Change::Nothing, "random").bytes, 0),
        "changed" => (bench.plan(Order::Same, Change::InPlace, "p").bytes, 0),
        "moved" => (bench.plan(Order::Same, Change::Moved, "p").bytes, 0),
        "changed-settle" => {
            let copy = bench.copied();
            (copy.plan(Order::Same, Change::InPlace, "second").bytes, copy.settle("second"))
        }
        // The first random run shows that the order does not repeat; the second writes the base.
        "rewritten" => {
            for name in ["random-1", "random-2"] {
                bench.plan(Order::Random, Change::Nothing, name);
                bench.settle(name);
            }
            (0, 0)
        }
        "by-hash" => (bench.plan(Order::Random, Change::Nothing, "p").bytes, 0),
        other => panic!("there is no scenario {other}"),
    };
    let (nanos, peak) = measured.end();
    println!("{scenario:<16} {:>8.1} {:>9.1} {plan:>12} {state:>14}", nanos / rows as f64, peak / 1024.0);
}

struct Measured {
    cpu: f64,
}

impl Measured {
    fn start() -> Self {
        Self { cpu: cpu_nanos() }
    }

    /// Nanoseconds of CPU since the start, and the process's peak memory in KiB.
    fn end(self) -> (f64, f64) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        (cpu_nanos() - self.cpu, peak.trim().trim_end_matches(" kB").parse().unwrap())
    }
}

fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

struct Bench {
    rows: u64,
    folder: PathBuf,
}

impl Bench {
    fn store(&self) -> Store {
        Store::open(&self.folder.join("state"), state_key()).unwrap()
    }

    /// The same state in another folder.
    fn copied(&self) -> Self {
        let copy = Self { rows: self.rows, folder: self.folder.join("copy") };
        std::fs::create_dir_all(copy.folder.join("state")).unwrap();
        for entry in std::fs::read_dir(self.folder.join("state")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.folder.join("state").join(entry.file_name())).unwrap();
        }
        copy
    }

    fn digest(&self) -> u64 {
        let mut digests = Vec::new();
        let mut sum = 0;
        for page in Pages::new(scan(self.rows, Order::Same, Change::Nothing), 7) {
            digests.clear();
            page.digest(&mut digests).unwrap();
            sum ^= digests.iter().fold(0, |sum, digest| sum ^ digest.fingerprint);
        }
        std::hint::black_box(sum);
        0
    }

    fn plan(&self, order: Order, change: Change, name: &str) -> PlanSummary {
        let snapshot = self.store().snapshot().unwrap();
        let mapper = Mapper(["email", "n"].map(String::from).to_vec());
        let request = PlanRequest {
            run_id: name.to_owned(),
            config_digest: [1; 32],
            binding: Binding { identity: "bench".into(), object: "rows".into(), environment: "default".into() },
            removals: true,
            removes_left: true,
            moves: false,
            match_field: None,
            hashes: false,
            keep_address: false,
            whole_set: false,
            remap: false,
            full: false,
            growing: None,
            refresh: None,
            ignores_changed: false,
            withheld: HashMap::new(),
            doubts: Doubts::default(),
            only: None,
            max_rows: None,
            removal_by_key: false,
            siblings: Vec::new(),
            min_free: 0,
            memory: MEMORY,
        };
        let writer = PlanWriter::new(self.folder.join(name), state_key());
        let mut differ = Differ::new(&snapshot, request, &mapper, writer).unwrap();
        let mut rows = 0;
        for page in Pages::new(scan(self.rows, order, change), snapshot.seed()) {
            rows += page.rows() as u64;
            differ.page(&page).unwrap();
        }
        let summary = differ.finish(rows, &Proof::of_all("synthetic")).unwrap();
        let sent = if change == Change::Nothing && name != "first" { 0 } else { self.rows / 1000 * 12 };
        assert!(summary.counts.sent() >= sent && (sent > 0 || summary.counts.sent() == 0), "{:?}", summary.counts);
        summary
    }

    fn settle(&self, name: &str) -> u64 {
        let plan = PlanReader::open(&self.folder.join(name), &state_key()).unwrap();
        let info = SettleInfo { run_id: name.to_owned(), log_digest: [0; 32], log_len: 0 };
        let settled = settle(&self.store(), &plan, &Accepted, info).unwrap();
        std::fs::remove_file(plan.path()).unwrap();
        settled.bytes_written
    }
}

fn state_key() -> Arc<StateKey> {
    Arc::new(StateKey::from_secret(&SecretString::from("07".repeat(32))).unwrap())
}

/// Everything was accepted.
struct Accepted;

impl Settlement for Accepted {
    fn fate(&self, _: u64) -> Settle {
        Settle::Accepted
    }

    fn remote_id(&self, _: u64) -> Result<Option<String>, FileError> {
        Ok(None)
    }
}

struct Mapper(Vec<String>);

impl RowMapper for Mapper {
    fn fields(&self) -> &[String] {
        &self.0
    }

    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason> {
        Ok(record[1..].iter().cloned().map(FieldValue::Set).collect())
    }
}

/// Rows in pages, as a source would hand them over.
struct Pages {
    rows: Box<dyn Iterator<Item = (u64, u64)>>,
    seed: u64,
}

impl Pages {
    fn new(rows: Box<dyn Iterator<Item = (u64, u64)>>, seed: u64) -> Self {
        Self { rows, seed }
    }
}

impl Iterator for Pages {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        let mut data = Vec::with_capacity(PAGE_ROWS as usize * ROW_BYTES);
        for (number, version) in self.rows.by_ref().take(PAGE_ROWS as usize) {
            let end = data.len() + ROW_BYTES;
            data.extend_from_slice(&number.to_le_bytes());
            data.extend_from_slice(&version.to_le_bytes());
            // The rest differs from row to row, or there would be nothing to hash.
            data.resize(end, number as u8);
        }
        (!data.is_empty()).then_some(Page { data, seed: self.seed })
    }
}

struct Page {
    data: Vec<u8>,
    seed: u64,
}

impl Page {
    fn row(&self, row: usize) -> &[u8] {
        &self.data[row * ROW_BYTES..(row + 1) * ROW_BYTES]
    }
}

impl RowPage for Page {
    fn rows(&self) -> usize {
        self.data.len() / ROW_BYTES
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        let mut canonical = Vec::with_capacity(16);
        for row in self.data.chunks_exact(ROW_BYTES) {
            canonical.clear();
            key::put_int(number_at(row, 0), &mut canonical);
            let key = KeyHash::of(&canonical, self.seed);
            out.push(RowDigest { key, fingerprint: xxh3_64_with_seed(row, self.seed) });
        }
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        key::put_int(number_at(self.row(row), 0), out);
        Ok(())
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        Rows.record(self.row(row))
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(self.row(row));
        Ok(())
    }

    fn decoder(&self) -> Arc<dyn RowDecoder> {
        Arc::new(Rows)
    }
}

/// Decodes synthetic rows.
struct Rows;

impl RowDecoder for Rows {
    fn record(&self, raw: &[u8]) -> Result<Vec<Value>, Fault> {
        let (number, version) = (number_at(raw, 0), number_at(raw, 8));
        Ok(vec![Value::Int(number), Value::Text(format!("user{number}@example.com")), Value::Int(version)])
    }
}

fn number_at(row: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(std::array::from_fn(|byte| row[at + byte]))
}
