//! Settling: a delivered plan and the fates of its ops become the next snapshot.

use super::error::{FileError, SnapshotError};
use super::file::{FileEntry, sync_folder};
use super::manifest::{LastRun, Manifest, RowOrder, random_name, remove_if_there};
use super::merge::{BaseOrder, Merge};
use super::order::ScanOrder;
use super::sort::Sorter;
use super::store::{Rewrite, Snapshot, Store};
use crate::diff::{PlanCounts, PlanReader};

/// Of a run's rows: with more of them not in their place the base is written in their order.
const MOVED_PERCENT: u64 = 5;
/// With more of them not in their place, right after it was written so, it is written by key hash.
const RANDOM_PERCENT: u64 = 20;

/// What settling has to know of an op that was in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settle {
    /// The destination has it: the snapshot moves.
    Accepted,
    /// Rejected, deferred or never sent: the old state stays.
    Kept,
    /// Sent, fate unknown.
    InDoubt,
}

/// The final verdicts of a run.
pub trait Settlement: Sync {
    /// What became of op number `op`. Asked only for ops that a destination hears of.
    fn fate(&self, op: u64) -> Settle;

    /// The vendor's id of the record, where an answer gave it. Asked for in op order.
    ///
    /// # Errors
    /// What holds the ids cannot be read.
    fn remote_id(&self, op: u64) -> Result<Option<String>, FileError>;
}

/// Which run is settled, and on the strength of which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleInfo {
    /// The run.
    pub run_id: String,
    /// SHA-256 of the sealed acknowledgement log.
    pub log_digest: [u8; 32],
    /// Length of that log in bytes.
    pub log_len: u64,
}

/// What the snapshot holds after a settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Records accepted, in all.
    pub accepted: u64,
    /// Records in doubt, in all.
    pub in_doubt: u64,
    /// Bytes written; 0 when nothing changed.
    pub bytes_written: u64,
}

/// Merges a delivered plan into the snapshot and commits the result. Memory does not grow with the plan.
///
/// Settling the run that was settled last again changes nothing; neither does a plan without effect.
///
/// # Errors
/// The plan was made from another state of the snapshot, a file is damaged, or cannot be written. The old
/// state is untouched.
pub fn settle(
    store: &Store,
    plan: &PlanReader,
    replay: &dyn Settlement,
    info: SettleInfo,
) -> Result<Settled, SnapshotError> {
    let old = store.manifest();
    if old.last_run.as_ref().is_some_and(|last| last.run_id == info.run_id) {
        return Ok(Settled { accepted: old.accepted, in_doubt: old.in_doubt, bytes_written: 0 });
    }
    let header = plan.header();
    if header.base_id != old.id {
        return Err(SnapshotError::OtherBase {
            run: info.run_id,
            planned: header.base_id.clone(),
            present: old.id.clone(),
        });
    }
    let merge = Merge::new(store, plan, replay)?;
    let mut gathered = merge.gather()?;

    let mut new = Manifest::clone(&old);
    new.binding = Some(header.binding.clone());
    new.config_digest = Some(header.config_digest);
    new.fields.clone_from(&header.fields);
    let snapshot = &merge.snapshot;
    let was = old.growth.as_ref().map(|growth| (growth, snapshot.open_keys()));
    new.growth = std::mem::take(&mut gathered.open).settle(plan, was, &store.key)?;
    new.refreshed = std::mem::take(&mut gathered.unsent).settle(plan, &old.refreshed, snapshot.is_empty());
    let remaps = (header.remap || new.fields != old.fields) && !snapshot.is_empty();
    let overlay = snapshot.overlay().len() + gathered.effects.len() + gathered.new_records;
    let rewritten = if header.growing.is_none() { rewritten(store, snapshot, plan) } else { None };
    let base_order = match rewritten {
        None if remaps || overlay > snapshot.overlay_limit => {
            Some(if snapshot.by_hash() { BaseOrder::ByHash } else { BaseOrder::AsItIs })
        }
        rewritten => rewritten,
    };
    let arrives = matches!(base_order, Some(BaseOrder::ByArrival(_))) || snapshot.is_empty();
    // The rows of a part say nothing of the whole's order.
    if header.growing.is_none() {
        new.order = next_order(old.order, &plan.summary().counts, arrives, store.limits.overlay_entries);
    }
    if gathered.is_empty() && base_order.is_none() {
        let mut unsettled = new.clone();
        unsettled.order = old.order;
        // That the order is still what it was when the base was written is not worth a commit of its own.
        let dull = new.order == old.order || (old.order, new.order) == (RowOrder::Written, RowOrder::Repeats);
        if unsettled == *old && dull {
            return Ok(Settled { accepted: old.accepted, in_doubt: old.in_doubt, bytes_written: 0 });
        }
    }
    fail::fail_point!("settle::gathered", |_| std::process::abort());

    let mut written = NewFiles { store, files: Vec::new(), committed: false };
    if let Some(order) = base_order {
        let merged = merge.write_base(gathered.effects, order, remaps)?;
        written.files.extend(merged.files.files().cloned());
        new.next_ordinal = merged.files.records;
        new.segments.clear();
        new.base = Some(merged.files);
        (new.accepted, new.in_doubt) = (merged.accepted, merged.in_doubt);
    } else if !gathered.is_empty() {
        let all = old.segments.len() >= store.limits.segments;
        new.accepted = new.accepted.saturating_add_signed(gathered.accepted);
        new.in_doubt = new.in_doubt.saturating_add_signed(gathered.in_doubt);
        new.next_ordinal += gathered.new_records;
        let segment = merge.write_segment(gathered.effects, all)?;
        written.files.push(segment.clone());
        if all {
            new.segments.clear();
        }
        new.segments.push(segment);
    }
    new.id = random_name()?;
    new.last_run = Some(LastRun { run_id: info.run_id, log_digest: info.log_digest, log_len: info.log_len });

    fail::fail_point!("settle::written", |_| std::process::abort());
    sync_folder(&store.folder)?;
    let committed = new.commit(&store.folder);
    // One that failed behind its rename has come about all the same: its files are in use.
    let still_old = || matches!(Manifest::read(&store.folder), Ok(Some(now)) if now.id == old.id);
    written.committed = committed.is_ok() || !still_old();
    let bytes_written = committed? + written.files.iter().map(|file| file.bytes).sum::<u64>();
    fail::fail_point!("settle::committed", |_| std::process::abort());
    for file in old.files().filter(|file| !new.files().any(|kept| kept.name == file.name)) {
        remove_if_there(&store.folder.join(&file.name))?;
    }
    let settled = Settled { accepted: new.accepted, in_doubt: new.in_doubt, bytes_written };
    store.replace_manifest(new);
    Ok(settled)
}

/// The order in which the base is to be written anew, if that was decided when the run began.
fn rewritten(store: &Store, snapshot: &Snapshot, plan: &PlanReader) -> Option<BaseOrder> {
    match snapshot.rewrites()? {
        Rewrite::ByHash => Some(BaseOrder::ByHash),
        Rewrite::ByArrival => {
            let sorter = Sorter::new(store.folder.clone(), &store.key, store.limits.sort_bytes);
            match ScanOrder::open(plan.path(), &store.key, snapshot.base_id(), sorter) {
                Ok(order) => Some(BaseOrder::ByArrival(Box::new(order))),
                Err(error) => {
                    // Nothing depends on it: the rows are found again in the old order, if more slowly.
                    tracing::warn!(%error, "the order of the run's rows is not known: the snapshot keeps its own");
                    None
                }
            }
        }
    }
}

/// What the run shows of the rows' order; `arrives` says that its base is written in that order.
fn next_order(old: RowOrder, counts: &PlanCounts, arrives: bool, few: u64) -> RowOrder {
    let missed = |percent: u64| counts.rows > few && counts.misses * 100 > counts.rows * percent;
    match old {
        RowOrder::Random => RowOrder::Random,
        RowOrder::Written if missed(RANDOM_PERCENT) => RowOrder::Random,
        _ if arrives => RowOrder::Written,
        _ if missed(MOVED_PERCENT) => RowOrder::Moved,
        _ => RowOrder::Repeats,
    }
}

/// New files that no manifest lists yet: deleted when the commit does not come about.
struct NewFiles<'a> {
    store: &'a Store,
    files: Vec<FileEntry>,
    committed: bool,
}

impl Drop for NewFiles<'_> {
    fn drop(&mut self) {
        if !self.committed {
            for file in &self.files {
                // What stays is an orphan, and goes when the folder is next opened.
                let _ = remove_if_there(&self.store.folder.join(&file.name));
            }
        }
    }
}
