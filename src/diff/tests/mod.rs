//! The whole path of a plan without a warehouse or a destination: pages → plan → settle → snapshot.

mod bit_flips;
mod cases;
pub(crate) mod damage;
mod golden;
mod growing;
mod hashes;
mod model;
mod order;
mod people;
mod plan_file;
pub(crate) mod random;
mod references;
mod settings;
mod siblings;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use backhaul_kit::{Address, Fault, FieldRef, FieldValue, KeyHash, Proof, Reason, RowDigest, RowPage, Value, key};
use secrecy::SecretString;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::hashes::tests::scratch;
use super::{
    DiffError, Differ, Doubts, ListColumn, Listed, Lists, Op, OpKind, PlanReader, PlanRequest, PlanSummary, PlanWriter,
    RowMapper, Sibling,
};
use crate::snapshot::log::{RemoteIds, Replay, Standing};
use crate::snapshot::{
    Binding, Details, FileError, Records, Settle, SettleInfo, Settled, Settlement, Snapshot, StateKey, Store, settle,
};

/// A list with a column of these ids, with a quarter of `memory` for them.
fn listed(ids: &[i64], memory: u64) -> Listed {
    let mut lists = Lists::new(memory, scratch());
    ids.iter().for_each(|id| lists.add(ListColumn(0), &Value::Int(*id)).expect("an id"));
    lists.ready().expect("ready")
}

/// A row of the model: `note` is in the scan but in no mapped field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TestRow {
    pub(crate) id: Option<i64>,
    pub(crate) email: String,
    pub(crate) n: i64,
    pub(crate) note: i64,
}

impl TestRow {
    pub(crate) fn new(id: i64, email: &str, n: i64) -> Self {
        Self { id: Some(id), email: email.to_owned(), n, note: 0 }
    }

    fn record(&self) -> Vec<Value> {
        let id = self.id.map_or(Value::Null, Value::Int);
        vec![id, Value::Text(self.email.clone()), Value::Int(self.n), Value::Int(self.note)]
    }

    fn fingerprint(&self, seed: u64) -> u64 {
        let mut bytes = Vec::new();
        for value in self.record() {
            value.encode(&mut bytes);
        }
        super::super::snapshot::storable(xxh3_64_with_seed(&bytes, seed))
    }
}

fn rows(ids: impl IntoIterator<Item = i64>) -> Vec<TestRow> {
    ids.into_iter().map(|id| TestRow::new(id, &format!("{id}@example.com"), 0)).collect()
}

fn key_of(id: i64) -> Vec<u8> {
    key::encode(&[&Value::Int(id)]).expect("a key")
}

pub(crate) fn id_of(key_bytes: &[u8]) -> i64 {
    key::display(key_bytes).parse().expect("an integer key")
}

struct TestPage {
    rows: Vec<TestRow>,
    seed: u64,
}

impl RowPage for TestPage {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
        out.extend(self.rows.iter().map(|row| RowDigest {
            key: row.id.map_or(KeyHash::NULL, |id| KeyHash::of(&key_of(id), self.seed)),
            fingerprint: row.fingerprint(self.seed),
        }));
        Ok(())
    }

    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(&key_of(self.rows[row].id.expect("a key")));
        Ok(())
    }

    fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
        Ok(self.rows[row].record())
    }
}

/// The number that the mapper refuses.
pub(crate) const REFUSED: i64 = 13;

/// Maps columns by place; refuses rows whose `n` is [`REFUSED`].
pub(crate) struct TestMapper {
    names: Vec<String>,
    places: Vec<usize>,
}

impl TestMapper {
    fn new(fields: &[(&str, usize)]) -> Self {
        let (names, places) = fields.iter().map(|(name, place)| ((*name).to_owned(), *place)).unzip();
        Self { names, places }
    }

    pub(crate) fn usual() -> Self {
        Self::new(&[("email", 1), ("n", 2)])
    }
}

impl RowMapper for TestMapper {
    fn fields(&self) -> &[String] {
        &self.names
    }

    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason> {
        if record[2] == Value::Int(REFUSED) {
            return Err(Reason::new("REFUSED", "that number"));
        }
        Ok(self.places.iter().map(|place| FieldValue::Set(record[*place].clone())).collect())
    }

    /// The words of the first field.
    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        Some(FieldRef::from(fields.first()?).value()?.to_text().replace(' ', "\n"))
    }
}

/// Fates by op number; accepted where nothing is said.
#[derive(Default)]
struct Fates {
    fates: HashMap<u64, Settle>,
    ids: HashMap<u64, String>,
}

impl Fates {
    fn all(plan: &PlanReader, fate: Settle) -> Self {
        Self { fates: (0..plan.len()).map(|op| (op, fate)).collect(), ids: HashMap::new() }
    }
}

impl Settlement for Fates {
    fn fate(&self, op: u64) -> Settle {
        self.fates.get(&op).copied().unwrap_or(Settle::Accepted)
    }

    fn remote_id(&self, op: u64) -> Result<Option<String>, FileError> {
        Ok(self.ids.get(&op).cloned())
    }
}

/// Fates as a log tells them.
pub(crate) struct Told(Replay, Mutex<RemoteIds>);

impl Told {
    pub(crate) fn read(log: &Path, run: &str) -> Self {
        let replay = Replay::read(log, run).expect("a log");
        let ids = RemoteIds::open(log, run, &replay).expect("its ids");
        Self(replay, Mutex::new(ids))
    }
}

impl Settlement for Told {
    fn fate(&self, op: u64) -> Settle {
        match self.0.standing(op) {
            Standing::Accepted => Settle::Accepted,
            Standing::Kept => Settle::Kept,
            Standing::InDoubt => Settle::InDoubt,
        }
    }

    fn remote_id(&self, op: u64) -> Result<Option<String>, FileError> {
        Ok(self.1.lock().unwrap_or_else(PoisonError::into_inner).get(op).expect("an id or none").map(str::to_owned))
    }
}

pub(crate) fn state_key() -> Arc<StateKey> {
    let text = SecretString::from("07".repeat(32));
    Arc::new(StateKey::from_secret(&text).expect("a key"))
}

/// A folder in memory where there is one: these tests sync a lot.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

pub(crate) fn request(run_id: &str) -> PlanRequest {
    PlanRequest {
        run_id: run_id.to_owned(),
        config_digest: [1; 32],
        binding: Binding { identity: "portal 1".into(), object: "contacts".into(), environment: "test".into() },
        removals: true,
        removes_left: true,
        moves: true,
        match_field: Some(0),
        hashes: false,
        keep_address: true,
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
        memory: 64 << 20,
    }
}

const PROOF: Proof = Proof::of_all("test");

/// Plans `rows` and leaves the plan at `path`.
pub(crate) fn try_plan(
    snapshot: &Snapshot,
    rows: &[TestRow],
    request: PlanRequest,
    mapper: &TestMapper,
    path: &Path,
) -> Result<PlanSummary, DiffError> {
    try_plan_beside(&[], snapshot, rows, request, mapper, path)
}

/// Plans `rows` beside other syncs.
fn try_plan_beside(
    siblings: &[Sibling],
    snapshot: &Snapshot,
    rows: &[TestRow],
    request: PlanRequest,
    mapper: &TestMapper,
    path: &Path,
) -> Result<PlanSummary, DiffError> {
    let differ = Differ::new(snapshot, request, mapper, PlanWriter::new(path, state_key()))?;
    let mut differ = differ.beside(siblings);
    for page in rows.chunks(100) {
        differ.page(&TestPage { rows: page.to_vec(), seed: snapshot.seed() })?;
    }
    differ.finish(rows.len() as u64, &PROOF)
}

/// A sync with a store and numbered runs.
struct Sync {
    folder: TempDir,
    store: Store,
    mapper: TestMapper,
    runs: u32,
}

impl Sync {
    fn new() -> Self {
        let folder = folder();
        let store = Store::open(&folder.path().join("state"), state_key()).expect("a store");
        Self { folder, store, mapper: TestMapper::usual(), runs: 0 }
    }

    fn next_request(&mut self) -> PlanRequest {
        self.runs += 1;
        request(&format!("run-{}", self.runs))
    }

    fn plan(&self, rows: &[TestRow], request: PlanRequest) -> PlanReader {
        let path = self.folder.path().join(format!("{}.plan", request.run_id));
        let snapshot = self.store.snapshot().expect("a snapshot");
        let summary = try_plan(&snapshot, rows, request, &self.mapper, &path).expect("a plan");
        let plan = PlanReader::open(&path, &state_key()).expect("the plan");
        assert_eq!(plan.summary(), &summary);
        plan
    }

    fn settle(&self, plan: &PlanReader, fates: &Fates) -> Settled {
        let info = SettleInfo { run_id: plan.header().run_id.clone(), log_digest: [2; 32], log_len: 9 };
        settle(&self.store, plan, fates, info).expect("settled")
    }

    /// Plans and settles with everything accepted.
    fn run(&mut self, rows: &[TestRow]) -> PlanReader {
        let request = self.next_request();
        let plan = self.plan(rows, request);
        self.settle(&plan, &Fates::default());
        plan
    }

    fn records(&self) -> BTreeMap<i64, Stored> {
        stored(&self.store.snapshot().expect("a snapshot"))
    }
}

/// A record as the snapshot has it.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    fingerprint: u64,
    address: Address,
    fields: Vec<u32>,
}

fn stored(snapshot: &Snapshot) -> BTreeMap<i64, Stored> {
    let (mut records, mut details) = (Records::new(snapshot), Details::new(snapshot));
    let mut all = BTreeMap::new();
    for ordinal in 0..snapshot.ordinals() {
        let record = records.get(ordinal).expect("read").expect("a record");
        if record.key_hash == KeyHash::NULL {
            continue;
        }
        let key = details.key(ordinal).expect("a key");
        assert_eq!(KeyHash::of(&key, snapshot.seed()), record.key_hash);
        let mut fields = Vec::new();
        details.fields(ordinal, &mut fields).expect("fields");
        let address = details.address(ordinal).expect("an address");
        let twice = all.insert(id_of(&key), Stored { fingerprint: record.fingerprint, address, fields });
        assert_eq!(twice, None, "two records of one key");
    }
    all
}

fn ops(plan: &PlanReader) -> Vec<Op> {
    let ops: Vec<Op> = plan.ops(None).map(|op| op.expect("an op")).collect();
    for (number, op) in (0..).zip(&ops) {
        assert_eq!(op.number, number);
    }
    ops
}

/// (kind, id) of every op, sorted by id.
fn kinds(plan: &PlanReader) -> Vec<(i64, OpKind)> {
    let mut kinds: Vec<_> = ops(plan).iter().map(|op| (id_of(&op.key), op.kind)).collect();
    kinds.sort_by_key(|(id, _)| *id);
    kinds
}
