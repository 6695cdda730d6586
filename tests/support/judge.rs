//! The judge: the sink's journal against the history of the model. Backhaul's own logs are not asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use super::journal::{Applied, Change, Line};
use super::sink_process::Sink;

/// One version of the model: each key with the record that the destination should have for it.
pub(crate) type Version = BTreeMap<String, Value>;

/// What the journal says of a history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    /// Keys of the last version that the sink does not have.
    pub(crate) lost: BTreeSet<String>,
    /// Keys whose record at the sink is not that of the last version.
    pub(crate) stale: BTreeSet<String>,
    /// Keys at the sink that are not in the last version.
    pub(crate) left_over: BTreeSet<String>,
    /// Keys written with a record that they never had in the model.
    pub(crate) invented: BTreeSet<String>,
    /// Keys removed while they were in the model, in the version in force and in the one before it.
    pub(crate) false_removals: BTreeSet<String>,
    /// Rows written again though the sink had just that record by an earlier write.
    pub(crate) sent_again: u64,
}

impl Judgement {
    /// Compares a journal with the versions that the model had, in order. A version is in force from its mark
    /// in the journal on.
    pub(crate) fn of(sink: &Sink, history: &[Version]) -> Self {
        let mut follower = Follower::default();
        follower.read(&sink.journal(), history);
        follower.judge(history)
    }

    /// The sink has the last version of the model, by legitimate steps; rows may have been sent again.
    #[track_caller]
    pub(crate) fn assert_converged(&self) {
        let kinds = [
            ("lost", &self.lost),
            ("stale", &self.stale),
            ("left over", &self.left_over),
            ("invented", &self.invented),
            ("falsely removed", &self.false_removals),
        ];
        let wrong = kinds.iter().filter(|(_, keys)| !keys.is_empty());
        let told: Vec<String> = wrong
            .map(|(kind, keys)| format!("{} {kind}, such as {:?}", keys.len(), keys.iter().take(5).collect::<Vec<_>>()))
            .collect();
        assert!(told.is_empty(), "the sink and the model disagree: {}", told.join("; "));
    }

    /// As [`assert_converged`](Self::assert_converged), and no row was sent again.
    #[track_caller]
    pub(crate) fn assert_exact(&self) {
        self.assert_converged();
        assert_eq!(self.sent_again, 0, "rows were sent again that the sink already had");
    }
}

/// Follows a journal line by line: what the destination has, and what went wrong on the way there.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    records: HashMap<String, Value>,
    in_force: usize,
    /// Bytes of the journal that were read.
    read: usize,
    /// What no later line can mend: `invented`, `false_removals`, `sent_again`.
    so_far: Judgement,
}

impl Follower {
    /// Takes in what the journal has beyond what was read before. A line that is being written comes with the next.
    pub(crate) fn read(&mut self, journal: &Path, history: &[Version]) {
        let text = std::fs::read_to_string(journal).expect("the sink's journal");
        let new = &text[self.read..];
        let whole = &new[..new.rfind('\n').map_or(0, |end| end + 1)];
        self.read += whole.len();
        whole.lines().for_each(|line| self.take(parse(line), history));
    }

    /// Takes in one line; `history` has all versions up to the one in force.
    pub(crate) fn take(&mut self, line: Line, history: &[Version]) {
        let row = match line {
            Line::Version { version } => {
                self.in_force = version;
                return;
            }
            Line::Applied(row) => row,
        };
        match (row.body, row.change) {
            (Some(body), Change::Put) => {
                if history.iter().take(self.in_force + 1).all(|version| version.get(&row.key) != Some(&body)) {
                    self.so_far.invented.insert(row.key.clone());
                }
                if self.records.get(&row.key) == Some(&body) {
                    self.so_far.sent_again += 1;
                }
                self.records.insert(row.key, body);
            }
            _ => {
                self.records.remove(&row.key);
                let recent = history.iter().take(self.in_force + 1).rev().take(2);
                if recent.clone().count() > 0 && recent.clone().all(|version| version.contains_key(&row.key)) {
                    self.so_far.false_removals.insert(row.key);
                }
            }
        }
    }

    /// What is to be said if nothing more comes and the last version is in force.
    pub(crate) fn judge(&self, history: &[Version]) -> Judgement {
        let mut judgement = self.so_far.clone();
        let empty = Version::new();
        let last = history.last().unwrap_or(&empty);
        for (key, body) in last {
            match self.records.get(key) {
                None => judgement.lost.insert(key.clone()),
                Some(record) if record != body => judgement.stale.insert(key.clone()),
                Some(_) => false,
            };
        }
        judgement.left_over.extend(self.records.keys().filter(|key| !last.contains_key(*key)).cloned());
        judgement
    }
}

fn parse(line: &str) -> Line {
    serde_json::from_str(line).expect("a line of the journal")
}

/// The journal's lines.
pub(crate) fn read(journal: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(journal).expect("the sink's journal");
    text.lines().map(parse).collect()
}

/// The rows applied from the `from`-th on, in order.
pub(crate) fn applied_since(sink: &Sink, from: u64) -> Vec<Applied> {
    let rows = read(&sink.journal()).into_iter().filter_map(|line| match line {
        Line::Applied(row) if row.seq >= from => Some(row),
        _ => None,
    });
    rows.collect()
}

/// The keys of the rows with this change.
pub(crate) fn keys(rows: &[Applied], change: Change) -> BTreeSet<String> {
    rows.iter().filter(|row| row.change == change).map(|row| row.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(seq: u64, key: &str, plan: &str) -> Line {
        row(seq, key, Change::Put, Some(json!({ "id": key, "plan": plan })))
    }

    fn row(seq: u64, key: &str, change: Change, body: Option<Value>) -> Line {
        let (method, path) = ("POST".to_owned(), "/rows".to_owned());
        Line::Applied(Applied {
            seq,
            call: seq,
            method,
            path,
            change,
            key: key.to_owned(),
            body,
            idempotency_key: None,
        })
    }

    fn version(rows: &[(&str, &str)]) -> Version {
        rows.iter().map(|(key, plan)| ((*key).to_owned(), json!({ "id": key, "plan": plan }))).collect()
    }

    fn judge(lines: impl IntoIterator<Item = Line>, history: &[Version]) -> Judgement {
        let mut follower = Follower::default();
        lines.into_iter().for_each(|line| follower.take(line, history));
        follower.judge(history)
    }

    #[test]
    fn a_journal_that_follows_the_history_is_exact() {
        let history = [version(&[("1", "free"), ("2", "free")]), version(&[("1", "pro")])];
        let journal = [
            put(0, "1", "free"),
            put(1, "2", "free"),
            Line::Version { version: 1 },
            put(2, "1", "pro"),
            row(3, "2", Change::Delete, None),
        ];
        judge(journal, &history).assert_exact();
    }

    #[test]
    fn every_kind_of_wrong_is_named() {
        let history = [version(&[("1", "a"), ("2", "a"), ("3", "a")]), version(&[("1", "b"), ("2", "a"), ("3", "a")])];
        let journal = [
            put(0, "1", "a"),
            put(1, "2", "a"),
            put(2, "2", "a"),
            put(3, "3", "never"),
            put(4, "9", "a"),
            Line::Version { version: 1 },
            row(5, "2", Change::Delete, None),
        ];
        let judgement = judge(journal, &history);
        let only = |key: &str| BTreeSet::from([key.to_owned()]);
        assert_eq!(judgement.lost, only("2"));
        assert_eq!(judgement.stale, BTreeSet::from(["1".to_owned(), "3".to_owned()]));
        assert_eq!(judgement.left_over, only("9"));
        assert_eq!(judgement.invented, BTreeSet::from(["3".to_owned(), "9".to_owned()]));
        assert_eq!(judgement.false_removals, only("2"));
        assert_eq!(judgement.sent_again, 1);
    }

    #[test]
    fn a_version_that_is_not_yet_in_force_excuses_nothing() {
        let history = [version(&[("1", "a")]), version(&[("1", "b")])];
        let early = [put(0, "1", "b")];
        assert_eq!(judge(early, &history).invented, BTreeSet::from(["1".to_owned()]));
    }
}
