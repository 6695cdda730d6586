//! One sync that is killed again and again: its model, its destination, and the judge beside them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::kind::{Kind, RUN};
use crate::support::customers::{Customer, Customers};
use crate::support::dice::Dice;
use crate::support::journal::{Applied, Change, Line};
use crate::support::judge::{Follower, Judgement};
use crate::support::program::Finished;
use crate::support::project::Project;
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// SIGKILL.
const KILLED: Option<i32> = Some(9);
/// Commands that a killed run may need to its end: it goes on, rows in doubt go out, held plans are approved.
const COMMANDS: usize = 6;

/// A sync and everything around it.
pub(super) struct World {
    kind: Kind,
    warehouse: Warehouse,
    customers: Customers,
    sink: Sink,
    project: Project,
    follower: Follower,
    /// Files of changes that were read, by path, with their time.
    files: HashMap<PathBuf, SystemTime>,
    next_id: i64,
    sent_again_at_kill: u64,
}

impl World {
    /// The model is in the warehouse and nothing was sent.
    pub(super) fn new(kind: Kind, (warehouse, customers): &(Warehouse, Customers), held: bool) -> Self {
        let (warehouse, customers, sink) = (warehouse.copy(), customers.clone(), Sink::start());
        let project = kind.project(&warehouse, &sink, held);
        sink.version(0);
        let next_id = customers.rows.len() as i64 + 1;
        let (follower, files) = (Follower::default(), HashMap::new());
        Self { kind, warehouse, customers, sink, project, follower, files, next_id, sent_again_at_kill: 0 }
    }

    /// Kills a run when it comes by the failpoint for the `nth` time. Where a run comes by less often, the next one
    /// is killed at half of that.
    pub(super) fn kill(&mut self, failpoint: &str, mut nth: u64, dice: &mut Dice) {
        self.sent_again_at_kill = self.judge().sent_again;
        loop {
            let ended = if failpoint.starts_with("approve::") {
                self.backhaul(&RUN).expect(5);
                let approval = self.approval();
                self.killed_at(failpoint, nth, &approval.each_ref().map(String::as_str))
            } else {
                self.killed_at(failpoint, nth, &RUN)
            };
            if ended.signal == KILLED {
                return;
            }
            assert!(nth > 1, "no run comes by {failpoint}:\n{}{}", ended.stdout, ended.stderr);
            nth /= 2;
            self.finish();
            self.change(dice);
        }
    }

    fn killed_at(&mut self, failpoint: &str, nth: u64, arguments: &[&str]) -> Finished {
        self.project.set_variable("FAILPOINT_KILL", &format!("{failpoint}={nth}"));
        let ended = self.backhaul(arguments);
        self.project.set_variable("FAILPOINT_KILL", "");
        ended
    }

    /// Runs until a run has nothing left to do.
    pub(super) fn finish(&mut self) {
        let mut arguments = RUN.map(str::to_owned).to_vec();
        for _ in 0..COMMANDS {
            let ended = self.backhaul(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            let was_run = arguments[0] == "run";
            arguments = RUN.map(str::to_owned).to_vec();
            match ended.code {
                Some(0) if was_run => return,
                Some(75) if self.kind == Kind::Held => self.release_doubt(),
                // Rows in doubt go out with the next run.
                Some(0 | 75) => {}
                Some(5) if was_run => arguments = self.approval().to_vec(),
                _ => drop(ended.expect(0)),
            }
        }
        panic!("it does not come to its end in {COMMANDS} commands");
    }

    /// What the destination lacks is held and listed, and nothing was sent a second time. Then somebody has it sent.
    fn release_doubt(&mut self) {
        let list = ["rejects", "list", RUN[1], "--limit", "100000", "--reveal", "--output", "json"];
        let listed = self.project.backhaul(&list).expect(0).json();
        let rejects = listed["rejects"].as_array().expect("a list").iter();
        let held: HashSet<&str> = rejects
            .filter(|reject| reject["class"] == "in_doubt")
            .map(|reject| reject["key"].as_str().expect("a key"))
            .collect();
        let judgement = self.judge();
        let mut missing = judgement.lost.iter().chain(&judgement.stale);
        assert_eq!(missing.find(|key| !held.contains(key.as_str())), None, "lacking at the destination and not listed");
        assert_eq!(judgement.sent_again, self.sent_again_at_kill, "rows were sent again that should be held");
        self.project.backhaul(&["rejects", "resolve", RUN[1], "--all", "--as", "resend"]).expect(0);
    }

    /// `approve` of the plan that is held.
    fn approval(&self) -> [String; 4] {
        let listed = self.project.backhaul(&["runs", "--output", "json"]).expect(0).json();
        let held = &listed["runs"][0];
        let text = |name: &str| held[name].as_str().expect("a run that is held").to_owned();
        ["approve".to_owned(), text("id"), "--plan-hash".to_owned(), text("plan_hash")]
    }

    /// Changes, adds and removes some rows.
    pub(super) fn change(&mut self, dice: &mut Dice) {
        let word = format!("plan {}", dice.below(1 << 32));
        let ids: Vec<i64> = self.customers.rows.keys().copied().collect();
        let from = usize::try_from(dice.below(ids.len() as u64 / 2)).expect("a place");
        let count = usize::try_from(200 + dice.below(300)).expect("a number");
        self.customers.set_plan(ids[from..].iter().copied().take(count), &word);
        // Fewer than the guards hold.
        self.customers.remove(ids.iter().copied().filter(|id| id % 97 == from as i64 % 97).take(40));
        self.customers.add(self.next_id..self.next_id + 60);
        self.next_id += 60;
        self.publish();
    }

    /// Takes back about half of what differs from `before`, and leaves the rest.
    pub(super) fn take_back(&mut self, before: &[(i64, Customer)], dice: &mut Dice) {
        let known: HashMap<i64, &Customer> = before.iter().map(|(id, row)| (*id, row)).collect();
        let added: Vec<i64> = self.customers.rows.keys().copied().filter(|id| !known.contains_key(id)).collect();
        for (id, row) in before {
            if self.customers.rows.get(id) != Some(row) && dice.below(2) == 0 {
                self.customers.rows.insert(*id, row.clone());
            }
        }
        self.customers.remove(added.into_iter().filter(|_| dice.below(2) == 0));
        self.publish();
    }

    /// The model as it is.
    pub(super) fn rows(&self) -> Vec<(i64, Customer)> {
        self.customers.rows.iter().map(|(id, row)| (*id, row.clone())).collect()
    }

    fn publish(&mut self) {
        self.customers.publish(&self.warehouse, Some(&self.sink));
        if self.kind == Kind::File {
            let version = self.customers.history().len() - 1;
            self.follower.take(Line::Version { version }, self.customers.history());
        }
    }

    fn backhaul(&mut self, arguments: &[&str]) -> Finished {
        let ended = self.project.backhaul(arguments);
        if self.kind == Kind::File {
            self.read_files();
        } else {
            self.follower.read(&self.sink.journal(), self.customers.history());
        }
        ended
    }

    /// Takes in the files of changes that are new, or that were replaced.
    fn read_files(&mut self) {
        let mut new: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(self.project.path("out")).into_iter().flatten().flatten() {
            let (path, meta) = (entry.path(), entry.metadata().expect("a file"));
            let made = meta.modified().expect("a time");
            let is_data = path.extension().is_some_and(|ending| ending == "jsonl");
            if is_data && self.files.get(&path) != Some(&made) {
                new.push((made, path));
            }
        }
        new.sort();
        for (made, path) in new {
            for line in lines_of(&path) {
                self.follower.take(line, self.customers.history());
            }
            self.files.insert(path, made);
        }
    }

    /// What the destination says. Rows that left the model count as left over only where they are to be removed.
    pub(super) fn judge(&self) -> Judgement {
        let mut judgement = self.follower.judge(self.customers.history());
        if !self.kind.removes() {
            judgement.left_over.clear();
        }
        judgement
    }

    /// Nothing is left to send, and no run has left a file.
    pub(super) fn assert_at_rest(&mut self) {
        let before = (self.sink.stats(), self.files.clone());
        self.backhaul(&RUN).expect(0);
        assert_eq!((self.sink.stats(), self.files.clone()), before, "something was left to send");
        let runs = self.project.state().join("syncs").join(RUN[1]).join("runs");
        assert_eq!(std::fs::read_dir(runs).into_iter().flatten().count(), 0, "runs left files");
        self.project.backhaul(&["state", "verify"]).expect(0);
    }
}

/// The rows of a file of changes.
fn lines_of(file: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(file).expect("a file of changes");
    assert!(text.ends_with('\n'), "{} is not whole", file.display());
    let line = |line: &str| {
        let mut body: Value = serde_json::from_str(line).expect("JSON");
        let op = body.as_object_mut().and_then(|row| row.remove("op")).expect("an op");
        let change = if op == "remove" { Change::Delete } else { Change::Put };
        Line::Applied(Applied {
            seq: 0,
            call: 0,
            method: String::new(),
            path: file.display().to_string(),
            change,
            key: body["id"].to_string(),
            body: (change == Change::Put).then_some(body),
            idempotency_key: None,
        })
    };
    text.lines().map(line).collect()
}
