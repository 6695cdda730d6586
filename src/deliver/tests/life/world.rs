//! Round after round: the model changes, a plan is made, delivered and settled, and the power is cut anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use backhaul_kit::{Facts, Operation};
use tempfile::TempDir;

use super::model::{Model, Version};
use super::process::{End, Process};
use super::sink::Sink;
use crate::deliver::tests::dice::Dice;
use crate::deliver::tests::facts;
use crate::diff::tests::damage::{copy, names};
use crate::diff::tests::{TestMapper, TestRow, Told, folder, id_of, request, state_key, try_plan};
use crate::diff::{Op, OpKind, PlanReader};
use crate::snapshot::log::Replay;
use crate::snapshot::{Limits, Settle, SettleInfo, Settlement as _, Store, settle};

/// Rounds in which all goes well, for what was refused or is in doubt.
const LAST_ROUNDS: usize = 3;

type PhaseOf = (Operation, Facts, &'static [OpKind]);

/// One life.
pub(super) struct World {
    dice: Dice,
    folder: TempDir,
    store: Store,
    limits: Limits,
    model: Model,
    sink: Sink,
    phases: Vec<PhaseOf>,
    /// Keys whose record may be at either of two addresses.
    unsure: BTreeSet<i64>,
    rounds: u32,
    journal: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let facts = Facts { max_rows: 4, concurrency: 3, resend_safe: dice.roll(3) > 0, ..facts() };
        let writes: PhaseOf = (Operation::Upsert, facts.clone(), &[OpKind::Add, OpKind::Change, OpKind::Refresh]);
        let moves: PhaseOf = (Operation::Move, facts.clone(), &[OpKind::Move]);
        let removals: PhaseOf = (Operation::Delete, facts, &[OpKind::Remove]);
        let phases = if dice.roll(2) == 0 { vec![moves, writes, removals] } else { vec![moves, removals, writes] };
        let limits = Limits {
            overlay_entries: [0, 10, 1000][dice.roll(3) as usize],
            base_records_per_entry: 20,
            segments: 3,
            ..Limits::default()
        };
        let folder = folder();
        let store = Store::make(&folder.path().join("state"), state_key(), limits, seed).expect("a store");
        let sink = Sink::new(dice.roll(2) == 0);
        let (model, unsure, journal) = (Model::default(), BTreeSet::new(), Vec::new());
        Self { dice, folder, store, limits, model, sink, phases, unsure, rounds: 0, journal }
    }

    /// From the first row to a destination that has what the model has. Gives what happened.
    pub(super) fn play(mut self) -> Vec<String> {
        for _ in 0..2 + self.dice.roll(4) {
            self.model.change(&mut self.dice, &self.unsure);
            self.round();
        }
        self.sink.is_kind = true;
        self.model.mend();
        let settled = (0..LAST_ROUNDS).any(|_| self.round() == 0);
        assert!(settled, "there is no end to what is to be sent");

        let row = |row: &TestRow| (row.email.clone(), (row.id.expect("a key"), row.n));
        let mut wanted: Vec<(String, (i64, i64))> = self.model.rows.values().map(row).collect();
        wanted.sort();
        let has: Vec<(String, (i64, i64))> =
            self.sink.records.iter().map(|(address, record)| (address.clone(), (record.key, record.n))).collect();
        assert_eq!(has, wanted, "the destination and the model differ");
        std::mem::take(&mut self.journal)
    }

    /// Plans, delivers, settles. Gives how many ops were sent.
    fn round(&mut self) -> u64 {
        self.rounds += 1;
        let run = format!("run-{}", self.rounds);
        let files = self.folder.path().join(&run);
        fs::create_dir(&files).expect("a folder");
        let (plan_path, log) = (files.join("plan"), files.join("log"));
        let planned_from = self.model.rows.clone();
        let plan = self.plan(&run, &plan_path, &planned_from);
        let ops: Vec<Op> = plan.ops(None).map(|op| op.expect("an op")).collect();
        let told: Vec<String> = ops.iter().map(|op| format!("{:?} {}", op.kind, id_of(&op.key))).collect();
        self.journal.push(format!("{run}: {}", told.join(", ")));
        let unsure_before = self.unsure.clone();
        self.unsure.extend(ops.iter().filter(|op| op.kind == OpKind::Move).map(|op| id_of(&op.key)));

        self.sink.applied.clear();
        self.deliver(&plan, &planned_from, &log);
        let fates = Told::read(&log, &run);
        for op in ops.iter().filter(|op| op.kind.is_sent()) {
            let (fate, applied) = (fates.fate(op.number), self.sink.applied.contains(&op.number));
            let truth = match fate {
                Settle::Accepted => applied,
                Settle::Kept => !applied,
                Settle::InDoubt => true,
            };
            assert!(truth, "op {} counts as {fate:?}, applied: {applied}", op.number);
            let key = id_of(&op.key);
            if fate == Settle::Accepted || (fate == Settle::Kept && !unsure_before.contains(&key)) {
                self.unsure.remove(&key);
            }
        }
        self.settle(&plan, &fates, &log, &run);
        fs::remove_dir_all(files).expect("removed");
        ops.iter().filter(|op| op.kind.is_sent()).count() as u64
    }

    fn plan(&mut self, run: &str, path: &Path, rows: &Version) -> PlanReader {
        let mut scan: Vec<TestRow> = rows.values().cloned().collect();
        if !scan.is_empty() {
            let by = self.dice.roll(scan.len() as u64) as usize;
            scan.rotate_left(by);
        }
        let snapshot = self.store.snapshot().expect("a snapshot");
        try_plan(&snapshot, &scan, request(run), &TestMapper::usual(), path).expect("a plan");
        PlanReader::open(path, &state_key()).expect("the plan")
    }

    /// Process after process, until the log is sealed. While none is at work the model goes on.
    fn deliver(&mut self, plan: &PlanReader, planned_from: &Version, log: &Path) {
        loop {
            let steps =
                if self.sink.is_kind || self.dice.roll(3) > 0 { usize::MAX } else { self.dice.roll(80) as usize };
            let end = self.process(plan, planned_from, log, steps);
            self.journal.push(format!("{end:?}"));
            if end == End::Done {
                return;
            }
            if self.dice.roll(2) == 0 {
                self.model.change(&mut self.dice, &self.unsure);
            }
            if self.dice.roll(3) == 0 {
                // Too old, or the mapping changed: it is settled as far as it came.
                self.journal.push("given up".into());
                let run = &plan.header().run_id;
                if let Some((disk, _)) = super::disk::Disk::open(log, run) {
                    disk.seal();
                }
                return;
            }
        }
    }

    fn process(&mut self, plan: &PlanReader, planned_from: &Version, log: &Path, steps: usize) -> End {
        let Self { sink, dice, journal, phases, .. } = self;
        Process { plan, planned_from, log, phases, sink, dice, journal }.run(steps)
    }

    /// Settles, perhaps through a power cut.
    fn settle(&mut self, plan: &PlanReader, fates: &Told, log: &Path, run: &str) {
        let replay = Replay::read(log, run).expect("a log");
        let info = SettleInfo { run_id: run.to_owned(), log_digest: replay.digest(), log_len: replay.len() };
        let path = |name: &str| self.folder.path().join(name);
        let (state, before, after) = (path("state"), path("before"), path("after"));
        let is_cut = !self.sink.is_kind && self.dice.roll(6) == 0;
        if is_cut {
            copy(&state, &before);
        }
        settle(&self.store, plan, fates, info.clone()).expect("settled");
        if is_cut {
            copy(&state, &after);
            let renamed = self.dice.roll(2) == 0;
            self.journal.push(format!("power cut in settling, renamed: {renamed}"));
            self.leave(&state, &before, &after, renamed);
            self.store = Store::open_with(&state, state_key(), self.limits).expect("the store after the power cut");
            settle(&self.store, plan, fates, info).expect("settled again");
        }
        self.store.verify().expect("a sound snapshot");
    }

    /// What a power cut in settling leaves: before the rename the old state beside new files that may be cut, after it
    /// the new state beside the old files.
    fn leave(&mut self, state: &Path, before: &Path, after: &Path, renamed: bool) {
        let (stands, beside) = if renamed { (after, before) } else { (before, after) };
        copy(stands, state);
        for name in names(beside).into_iter().filter(|name| !stands.join(name).exists() && name != "MANIFEST") {
            let mut bytes = fs::read(beside.join(&name)).expect("a file");
            if !renamed {
                bytes.truncate(self.dice.roll(bytes.len() as u64 + 1) as usize);
            }
            fs::write(state.join(name), bytes).expect("written");
        }
        if !renamed && after.join("MANIFEST").exists() {
            let mut bytes = fs::read(after.join("MANIFEST")).expect("a manifest");
            bytes.truncate(self.dice.roll(bytes.len() as u64 + 1) as usize);
            fs::write(state.join("MANIFEST.tmp"), bytes).expect("written");
        }
    }
}

/// A life that fails tells what happened.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.journal.join("\n"));
        }
    }
}
