//! The destination: one transaction a batch.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, KeyHash, Mode, ObjectSchema, Operation, Outcomes, Presence,
    Reason, RequestPreview, Row, Run, Tickets, Verdict,
};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::database::{Action, Database, Entries, Entry, Failure, Work};
use super::draft::{Draft, DraftRow, Group};
use super::sync::SqlSync;
use super::table::{Column, Table};

/// The server ends a statement first; this is for a server that does not answer at all.
const GRACE: Duration = Duration::from_secs(5);

/// One table of a server.
pub(super) struct SqlDestination<D: Database> {
    sync: SqlSync,
    database: D,
    /// Connections between two batches.
    idle: Mutex<Vec<D::Connection>>,
    /// The table as it was when it was first needed.
    table: OnceCell<Table>,
    /// The table of operations is there.
    operations: OnceCell<()>,
    /// Entries of earlier runs are gone.
    pruned: AtomicBool,
}

impl<D: Database> SqlDestination<D> {
    pub(super) fn new(sync: SqlSync, database: D) -> Self {
        Self {
            sync,
            database,
            idle: Mutex::default(),
            table: OnceCell::new(),
            operations: OnceCell::new(),
            pruned: AtomicBool::new(false),
        }
    }

    /// A step of a call, unless the server falls silent.
    async fn bounded<T>(&self, step: impl Future<Output = T>) -> Result<T, Fault> {
        timeout(self.sync.account.timeout + GRACE, step).await.map_err(|_| {
            Fault::transient("the server did not answer in time").remedy("check the server, or raise `timeout`")
        })
    }

    fn pooled(&self) -> Option<D::Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, connection: D::Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// A connection for questions.
    async fn ask(&self) -> Result<D::Connection, Fault> {
        self.database.connect().await
    }

    /// A connection in a transaction. One that has waited may be dead by now: a new one is tried then.
    async fn begin(&self) -> Result<D::Connection, Fault> {
        while let Some(mut connection) = self.pooled() {
            if matches!(self.bounded(self.database.begin(&mut connection)).await, Ok(Ok(()))) {
                return Ok(connection);
            }
            // What ended this one has ended the others.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let mut connection = self.database.connect().await?;
        self.bounded(self.database.begin(&mut connection)).await??;
        Ok(connection)
    }

    /// Takes a transaction back. Where that fails, the server does it when the connection closes.
    async fn roll_back(&self, mut connection: D::Connection) {
        if matches!(self.bounded(self.database.rollback(&mut connection)).await, Ok(Ok(()))) {
            self.give_back(connection);
        }
    }

    async fn inspect(&self) -> Result<Table, Fault> {
        let mut connection = self.ask().await?;
        let table = self.bounded(self.database.table(&mut connection, &self.sync.table)).await??;
        self.give_back(connection);
        Ok(table)
    }

    async fn deliver(&self, run: &Run, batch: &Batch) -> Result<Outcomes, Fault> {
        let table = self.table.get_or_try_init(|| self.inspect()).await?;
        if self.sync.operations.is_some() {
            self.operations.get_or_try_init(|| self.make_operations()).await?;
        }
        let columns = table.columns_of(&self.sync)?;
        let mut draft = Draft::of::<D>(&self.sync, &columns, batch);
        let mut outcomes = Outcomes::of(batch);
        for (place, reason) in std::mem::take(&mut draft.refused) {
            outcomes.set_at(place, Verdict::Rejected(reason))?;
        }
        if draft.groups.is_empty() {
            return Ok(outcomes);
        }
        let mut connection = self.begin().await?;
        let applied = self.bounded(self.apply(&mut connection, run, batch, (table, &columns), &draft)).await?;
        let verdicts = match applied {
            Ok(verdicts) => verdicts,
            Err(failure) => {
                self.roll_back(connection).await;
                return refused(failure, &draft, outcomes);
            }
        };
        match timeout(self.sync.account.timeout + GRACE, self.database.commit(&mut connection)).await {
            Ok(Ok(())) => self.give_back(connection),
            Ok(Err(failure)) => return refused(failure, &draft, outcomes),
            Err(_) => return Err(Fault::ambiguous("the server did not answer COMMIT in time")),
        }
        if self.sync.operations.is_some() {
            self.pruned.store(true, Ordering::Relaxed);
        }
        for (place, verdict) in verdicts {
            outcomes.set_at(place, verdict)?;
        }
        Ok(outcomes)
    }

    /// Every statement of the batch but COMMIT.
    async fn apply(
        &self,
        connection: &mut D::Connection,
        run: &Run,
        batch: &Batch,
        (table, columns): (&Table, &[&Column]),
        draft: &Draft<D::Cell>,
    ) -> Result<Vec<(usize, Verdict)>, Failure> {
        let mut verdicts = Vec::with_capacity(draft.len());
        for group in &draft.groups {
            let work = self.work(table, columns, group, batch.operation)?;
            let missed = self.database.write(connection, &work).await?;
            let missed = match batch.operation {
                Operation::Move => self.follow(connection, &work, missed).await?,
                _ => missed,
            };
            let mut gone = missed.into_iter().peekable();
            for (at, row) in group.rows.iter().enumerate() {
                let verdict = match gone.next_if_eq(&at) {
                    None => Verdict::Written { remote_id: None },
                    Some(_) if batch.operation.is_removal() => Verdict::Unchanged,
                    Some(_) => Verdict::Rejected(Reason::new("NOT_FOUND", "no row has this match value")),
                };
                verdicts.push((row.place, verdict));
            }
        }
        if let Some(operations) = &self.sync.operations {
            let done = verdicts.iter().filter(|(_, verdict)| !matches!(verdict, Verdict::Rejected(_)));
            let entries = done.filter_map(|(place, _)| batch.rows.get(*place)).map(entry).collect();
            let entries = Entries { table: operations, sync: &run.sync, run: &run.id, entries };
            self.database.record(connection, &entries).await?;
            if !self.pruned.load(Ordering::Relaxed) {
                self.database.prune(connection, &entries).await?;
            }
        }
        Ok(verdicts)
    }

    fn work<'a>(
        &self,
        table: &'a Table,
        columns: &[&'a Column],
        group: &'a Group<D::Cell>,
        operation: Operation,
    ) -> Result<Work<'a, D::Cell>, Fault> {
        let action = match operation {
            Operation::Upsert => Action::Upsert,
            Operation::Append => Action::Insert,
            Operation::Update | Operation::Move => Action::Update,
            Operation::Delete => Action::Delete,
            Operation::Clear => Action::Clear,
            other => return Err(Fault::bug(format!("`{}` is no write of tables", other.as_str()))),
        };
        Ok(Work {
            table,
            action,
            columns: group.columns.iter().filter_map(|at| columns.get(*at).copied()).collect(),
            writes: group.columns.iter().filter_map(|at| self.sync.writes.get(*at).copied()).collect(),
            matched: self.sync.match_place.and_then(|at| columns.get(at).copied()),
            rows: group.rows.iter().collect(),
        })
    }

    /// Rows that were to move and are not at their old value: a repeated move finds them at the new one, and an
    /// `upsert` makes those that are nowhere. Returns the places of those that are still not found.
    async fn follow(
        &self,
        connection: &mut D::Connection,
        work: &Work<'_, D::Cell>,
        missed: Vec<usize>,
    ) -> Result<Vec<usize>, Failure> {
        if missed.is_empty() {
            return Ok(missed);
        }
        let at = work.columns.iter().position(|column| work.matched.is_some_and(|matched| matched.name == column.name));
        let moved: Vec<DraftRow<D::Cell>> = missed
            .iter()
            .filter_map(|place| work.rows.get(*place))
            .map(|row| DraftRow { address: at.and_then(|at| row.cells.get(at).cloned()), ..(*row).clone() })
            .collect();
        let action = if self.sync.mode == Mode::Upsert { Action::Upsert } else { Action::Update };
        let (columns, writes) = (work.columns.clone(), work.writes.clone());
        let again = Work { action, columns, writes, rows: moved.iter().collect(), ..*work };
        let nowhere = self.database.write(connection, &again).await?;
        Ok(nowhere.into_iter().filter_map(|at| missed.get(at).copied()).collect())
    }

    async fn make_operations(&self) -> Result<(), Fault> {
        let Some(name) = &self.sync.operations else { return Ok(()) };
        let mut connection = self.ask().await?;
        self.bounded(self.database.make_operations(&mut connection, name)).await??;
        self.give_back(connection);
        Ok(())
    }

    /// Which ops of the batch were committed.
    async fn committed(&self, run: &Run, batch: &Batch) -> Result<HashSet<i64>, Fault> {
        let Some(operations) = &self.sync.operations else { return Ok(HashSet::new()) };
        self.operations.get_or_try_init(|| self.make_operations()).await?;
        let entries = batch.rows.iter().map(entry).collect();
        let entries = Entries { table: operations, sync: &run.sync, run: &run.id, entries };
        let mut connection = self.begin().await?;
        let recorded = self.bounded(self.database.recorded(&mut connection, &entries)).await?;
        self.roll_back(connection).await;
        match recorded {
            Ok(ops) => Ok(ops.into_iter().collect()),
            Err(Failure::Call(fault)) => Err(fault),
            Err(Failure::Row(reason)) => {
                Err(Fault::transient(format!("the table of operations cannot be asked ({})", reason.code)))
            }
        }
    }
}

/// The batch was not applied, unless the fault says that it may have been. A row that is alone is rejected with its
/// reason; several are cut in two.
fn refused<C: Clone>(failure: Failure, draft: &Draft<C>, mut outcomes: Outcomes) -> Result<Outcomes, Fault> {
    let reason = match failure {
        Failure::Call(fault) => return Err(fault),
        Failure::Row(reason) => reason,
    };
    let rows: Vec<&DraftRow<C>> = draft.groups.iter().flat_map(|group| &group.rows).take(2).collect();
    if let [row] = rows.as_slice() {
        outcomes.set_at(row.place, Verdict::Rejected(reason))?;
        return Ok(outcomes);
    }
    Err(Fault::split(format!("the server refused {} rows together ({})", draft.len(), reason.code)))
}

fn entry(row: &Row) -> Entry {
    Entry {
        op: row.op.cast_signed(),
        key: format!("{:032x}", KeyHash::of(&row.key, 0).0),
        fingerprint: row.fingerprint.cast_signed(),
    }
}

#[async_trait]
impl<D: Database> Destination for SqlDestination<D> {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let mut connection = self.ask().await?;
        let report = self.bounded(self.database.report(&mut connection, &self.sync)).await??;
        self.database.close(connection).await;
        Ok(report)
    }

    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        let mut connection = self.ask().await?;
        let table = self.bounded(self.database.table(&mut connection, &self.sync.table)).await??;
        self.database.close(connection).await;
        // A field that is not there is told by whoever knows where it stands.
        if self.sync.columns.iter().all(|name| table.column(name).is_some()) {
            table.check(&self.sync)?;
        }
        Ok(Some(table.schema()))
    }

    async fn find_written(&self, run: &Run, batch: &Batch) -> Result<Vec<Presence>, Fault> {
        if self.sync.operations.is_none() {
            return Ok(vec![Presence::Unknown; batch.rows.len()]);
        }
        let committed = self.committed(run, batch).await?;
        let presence = |row: &Row| match committed.contains(&row.op.cast_signed()) {
            true => Presence::There { remote_id: None },
            false => Presence::Absent,
        };
        Ok(batch.rows.iter().map(presence).collect())
    }

    async fn write(&self, run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        if batch.rows.is_empty() {
            return Ok(Delivery::Settled(Outcomes::of(batch)));
        }
        // Boxed: the driver's futures are large.
        Box::pin(self.deliver(run, batch)).await.map(Delivery::Settled)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let unseen;
        let table = match self.table.get() {
            Some(table) => table,
            // Without asking the server: types are not known, and casts to them not shown.
            None => {
                unseen = Table::unseen(&self.sync);
                &unseen
            }
        };
        let columns = table.columns_of(&self.sync)?;
        let draft = Draft::of::<D>(&self.sync, &columns, batch);
        if let Some((_, reason)) = draft.refused.first() {
            return Err(Fault::config(format!("this row cannot be written: {}", reason.text)));
        }
        draft
            .groups
            .iter()
            .map(|group| self.work(table, &columns, group, batch.operation).map(|work| preview::<D>(&work)))
            .collect()
    }
}

fn preview<D: Database>(work: &Work<'_, D::Cell>) -> RequestPreview {
    let statement = D::statement(work);
    let mut body = statement.clone();
    for row in &work.rows {
        let cells: Vec<String> = row.cells.iter().chain(&row.address).map(D::shown).collect();
        body.push_str(&format!("\n-- {}", cells.join(", ")));
    }
    let method = statement.split(' ').next().unwrap_or_default().to_owned();
    RequestPreview { method, target: work.table.name.to_string(), headers: Vec::new(), body }
}
