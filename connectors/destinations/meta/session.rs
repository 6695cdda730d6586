//! Sessions: numbers that tie the batches of one operation of a run together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use backhaul_kit::{Batch, Operation, Run};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

/// What a call does. A changed person is taken out as it was and put in as it is: two calls, in two sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Remove,
    Add,
}

/// The open sessions: of removals and of additions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<[Option<Open>; 2]>);

#[derive(Debug)]
struct Open {
    run: String,
    operation: Operation,
    id: u64,
    next: u64,
}

impl Sessions {
    /// Where the next call belongs, in Meta's words. A session begins with the first batch of an operation, and its
    /// number is made of that batch: a call that is made again has its old place, and a run that goes on in another
    /// process begins another session as soon as it sends anything else.
    pub(super) fn place(&self, run: &Run, batch: &Batch, verb: Verb) -> Value {
        let slot = &mut self.lock()[verb as usize];
        let open = slot.take_if(|open| open.run == run.id && open.operation == batch.operation);
        let open = open.unwrap_or_else(|| {
            let ops: Vec<String> = batch.rows.iter().map(|row| row.op.to_string()).collect();
            let parts = [&run.sync, &run.id, batch.operation.as_str(), &format!("{verb:?}"), &ops.join(",")];
            // 53 bits are what every reader of JSON holds exactly.
            let id = (xxh3_64(parts.join("\n").as_bytes()) >> 11).max(1);
            Open { run: run.id.clone(), operation: batch.operation, id, next: 1 }
        });
        let Open { id, next, .. } = slot.insert(open);
        // How many rows each operation has is not known: the estimate is of all together.
        json!({ "session_id": id, "batch_seq": next, "last_batch_flag": batch.last, "estimated_num_total": run.rows })
    }

    /// A call was answered. After the last one its session is over: what is sent again in parts begins another.
    pub(super) fn answered(&self, verb: Verb, last: bool) {
        let slot = &mut self.lock()[verb as usize];
        slot.take_if(|_| last);
        slot.iter_mut().for_each(|open| open.next += 1);
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Open>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
