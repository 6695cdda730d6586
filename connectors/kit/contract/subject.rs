//! What every destination must answer.

use std::sync::Arc;

use async_trait::async_trait;

use super::run;
use crate::batch::{Batch, Delivery, Operation, Outcomes, Progress, Row, SaveTicket, Ticket, Verdict};
use crate::context::Kit;
use crate::destination::{Destination, Prepared, Tickets};
use crate::facts::Session;
use crate::fault::Fault;
use crate::find;

/// A destination under test.
pub trait Subject: Send + Sync {
    /// The destination of a sync, as its configuration makes it. `url` is where the stand-in listens (nobody
    /// listens there in tests that must make no call).
    fn prepare(&self, url: &str) -> Arc<dyn Prepared>;

    /// The kit to open it with. Every secret of it must hold [`CANARY`].
    fn kit(&self) -> Arc<Kit>;

    /// The operations to test.
    fn operations(&self) -> Vec<Operation>;

    /// A row that fits the sync, for `operation`; its op number is `op` and no two of them share a key.
    fn row(&self, operation: Operation, op: u64) -> Row;
}

/// The secret that must not show.
pub const CANARY: &str = "canary-58d1-secret";

/// Where nobody listens: the discard port.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

/// Op numbers begin here, so that a place in the batch is never an op number.
pub(super) const FIRST_OP: u64 = 700;

/// Keeps no ticket.
#[derive(Clone, Copy, Debug)]
struct NoTickets;

/// Outside a session, and without keeping tickets.
pub const NO_TICKETS: Tickets<'static> = Tickets { session: None, save: &NoTickets };

#[async_trait]
impl SaveTicket for NoTickets {
    async fn save(&self, _ticket: &Ticket) -> Result<(), Fault> {
        Ok(())
    }
}

/// As many rows as asked for, or as a call takes.
pub(super) fn batch(subject: &impl Subject, prepared: &dyn Prepared, operation: Operation, rows: usize) -> Batch {
    let rows = rows.min(prepared.facts(operation).max_rows) as u64;
    let rows = (0..rows).map(|n| subject.row(operation, FIRST_OP + n)).collect();
    Batch { operation, seq: 0, last: true, rows }
}

pub(super) fn open(subject: &impl Subject, prepared: &dyn Prepared) -> Arc<dyn Destination> {
    prepared.open(subject.kit()).expect("the destination opens without a call")
}

/// How often a job is asked after before it counts as one that never ends.
const ASKED: usize = 5;

/// Writes one batch, within a session where the facts want one; a job is asked after until it has ended.
pub(super) async fn write(
    destination: &dyn Destination,
    prepared: &dyn Prepared,
    batch: &Batch,
) -> Result<Delivery, Fault> {
    let session = match prepared.facts(batch.operation).session {
        Session::None => None,
        Session::AnyOrder | Session::Ordered => destination.begin(&run()).await?,
    };
    let tickets = Tickets { session: session.as_ref(), ..NO_TICKETS };
    let (sent, found) = look_up(destination, batch).await?;
    let ticket = match destination.write(&run(), &sent, tickets).await? {
        Delivery::Pending(ticket) => ticket,
        Delivery::Settled(outcomes) => return Ok(Delivery::Settled(together(batch, found, outcomes)?)),
        other => return Ok(other),
    };
    for _ in 0..ASKED {
        match destination.poll(&run(), &ticket, &sent).await? {
            Progress::Running { .. } => {}
            Progress::Done(outcomes) => return Ok(Delivery::Settled(together(batch, found, outcomes)?)),
            Progress::Lost => return Ok(Delivery::Settled(Outcomes::of(batch))),
        }
    }
    panic!("the job does not end");
}

/// Looks for the records of a batch, as whoever writes it does: what is left to be sent, and what is known of the rest.
///
/// # Errors
/// As [`find::records`].
pub async fn look_up(destination: &dyn Destination, batch: &Batch) -> Result<(Batch, Vec<(Row, Verdict)>), Fault> {
    let mut sent = batch.clone();
    let found = find::records(destination, &mut sent).await?;
    Ok((sent, found))
}

/// The verdicts of a whole batch: on rows that looking for their records was enough for, and on those that were sent.
///
/// # Errors
/// Verdicts on other rows, or two on one.
pub fn together(batch: &Batch, found: Vec<(Row, Verdict)>, sent: Outcomes) -> Result<Outcomes, Fault> {
    let mut all = Outcomes::of(batch);
    let found = found.into_iter().map(|(row, verdict)| (row.op, verdict));
    let known = sent.into_vec().into_iter().chain(found).filter(|(_, verdict)| *verdict != Verdict::Unknown);
    for (op, verdict) in known {
        all.set(op, verdict)?;
    }
    Ok(all)
}

/// The verdicts of a settled delivery. Panics unless they are of the batch's rows, one each, in order.
pub(super) fn verdicts(batch: &Batch, delivery: Delivery) -> Vec<Verdict> {
    let Delivery::Settled(outcomes) = delivery else { panic!("expected settled rows, got {delivery:?}") };
    let (ops, verdicts): (Vec<u64>, Vec<Verdict>) = outcomes.into_vec().into_iter().unzip();
    let sent: Vec<u64> = batch.rows.iter().map(|row| row.op).collect();
    assert_eq!(ops, sent, "every row of the batch has one verdict, and no other row has");
    verdicts
}

/// Caps and concurrency are at least one, and the answer is the same each time.
pub fn facts_are_sane(subject: &impl Subject) {
    let prepared = subject.prepare(NOWHERE);
    assert!(!subject.operations().is_empty(), "a destination has operations");
    assert!(!prepared.object().is_empty(), "the object has a name");
    for operation in subject.operations() {
        let facts = prepared.facts(operation);
        assert!(facts.max_rows >= 1, "{operation:?}: a call takes rows");
        assert!(facts.max_bytes.is_none_or(|bytes| bytes > 0), "{operation:?}: a call takes bytes");
        assert!(facts.concurrency >= 1, "{operation:?}: a call may be made");
        assert_eq!(facts.max_rows, prepared.facts(operation).max_rows, "{operation:?}: facts do not change");
        let row = subject.row(operation, FIRST_OP);
        assert_eq!(row.op, FIRST_OP, "the row has the op number that was asked for");
        assert_ne!(row.key, subject.row(operation, FIRST_OP + 1).key, "two rows have two keys");
    }
}

/// An empty batch is settled or staged without a call.
pub async fn an_empty_batch_changes_nothing(subject: impl Subject) {
    let prepared = subject.prepare(NOWHERE);
    let destination = open(&subject, &*prepared);
    for operation in subject.operations() {
        let empty = Batch { operation, seq: 0, last: true, rows: Vec::new() };
        match write(&*destination, &*prepared, &empty).await {
            Ok(Delivery::Settled(outcomes)) => assert_eq!(outcomes.into_vec().len(), 0, "{operation:?}"),
            Ok(Delivery::Staged) => {}
            other => panic!("{operation:?}: an empty batch came to {other:?}"),
        }
    }
}

/// No secret stands in a preview, nor in what the destination says of itself.
pub fn a_preview_shows_no_secret(subject: &impl Subject) {
    let prepared = subject.prepare(NOWHERE);
    let destination = open(subject, &*prepared);
    for operation in subject.operations() {
        let batch = batch(subject, &*prepared, operation, 2);
        let preview = find::preview(&*destination, &run(), &batch).expect("the batch can be rendered");
        assert!(!format!("{preview:?}").contains(CANARY), "{operation:?}: a secret in {preview:?}");
    }
}

/// Rendering is pure.
pub fn a_preview_is_the_same_twice(subject: &impl Subject) {
    let prepared = subject.prepare(NOWHERE);
    let (one, other) = (open(subject, &*prepared), open(subject, &*prepared));
    for operation in subject.operations() {
        let batch = batch(subject, &*prepared, operation, 2);
        let first = find::preview(&*one, &run(), &batch).expect("the batch can be rendered");
        let second = find::preview(&*other, &run(), &batch).expect("the batch can be rendered");
        assert_eq!(first, second, "{operation:?}");
    }
}
