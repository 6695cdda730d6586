//! One scan: prepare the model, answer questions about it, hand over its rows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_stream::try_stream;
use async_trait::async_trait;
use backhaul_kit::{
    Column, Fault, Model, Projection, Proof, Query, RowPage as _, Rows, Scan, Scanned, Schema, TakeRow, TypeClass,
    Value,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::sqlite::{SqliteQueryResult, SqliteRow, SqliteStatement, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, Decode, Either, Executor as _, Row as _, SqlSafeStr as _, Sqlite, SqliteConnection,
    Statement as _, TypeInfo as _, ValueRef as _,
};
use tokio::time::Instant;

use super::super::deadline::within;
use super::super::since::Dialect;
use super::super::value_page::{Layout, ValuePage};
use super::super::wrap::Wrapped;
use super::fault::of_call;
use super::guard::one_piece;

/// What proves that no row is missing.
const PROOF: Proof = Proof::of_all("SQLITE_DONE at the end of the statement");
/// How many steps of SQLite's machine lie between two looks whether the query is still wanted.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// An open scan.
pub(super) struct SqliteScan {
    conn: SqliteConnection,
    path: PathBuf,
    model: Wrapped,
    schema: Schema,
    deadline: Option<Instant>,
    /// Dropped with the scan: then nobody wants the query any more.
    wanted: Wanted,
}

/// Ends the running query when dropped.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl SqliteScan {
    /// Starts the snapshot and prepares the model.
    pub(super) async fn open(mut conn: SqliteConnection, path: PathBuf, model: &Model) -> Result<Self, Fault> {
        let deadline = model.timeout.map(|timeout| Instant::now() + timeout);
        let wrapped = Wrapped::new(model)?.since(model, Dialect::Sqlite);
        guard(&wrapped)?;
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let flag = wanted.0.clone();
        let failed = |e| of_call(e, &path);
        conn.lock_handle()
            .await
            .map_err(failed)?
            .set_progress_handler(STEPS_BETWEEN_LOOKS, move || flag.load(Ordering::Relaxed));
        // The first read pins the snapshot.
        for statement in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            conn.execute(statement).await.map_err(failed)?;
        }
        let mut scan = Self { conn, path, model: wrapped, schema: Schema::default(), deadline, wanted };
        scan.prepare_model().await?;
        Ok(scan)
    }

    /// Between our brackets the query must be one that only reads; only then is it prepared alone, for the names of
    /// its columns: a PRAGMA would act at once, and between brackets SQLite renames the second of two columns.
    async fn prepare_model(&mut self) -> Result<(), Fault> {
        let wrapped = self.prepare(self.model.select_all()).await?;
        let alone = self.prepare(self.model.query().to_owned()).await?;
        let names: Vec<&str> = alone.columns().iter().map(sqlx::Column::name).collect();
        self.model.unique_columns(&names, str::eq_ignore_ascii_case)?;
        self.schema = Schema { columns: columns(&wrapped) };
        Ok(())
    }

    async fn prepare(&mut self, statement: String) -> Result<SqliteStatement, Fault> {
        let prepared = (&mut self.conn).prepare(AssertSqlSafe(statement).into_sql_str()).await;
        let prepared = prepared.map_err(|e| self.model_fault(e))?;
        if prepared.parameters().is_some_and(|p| p.either(|types| !types.is_empty(), |n| n > 0)) {
            return Err(self.model.refuse("has parameters (?, :x, @x or $x), which nobody fills"));
        }
        Ok(prepared)
    }

    fn model_fault(&self, error: sqlx::Error) -> Fault {
        let mut fault = of_call(error, &self.path);
        fault.message = format!("model `{}`: {}", self.model.name(), fault.message);
        fault
    }

    async fn answer(&mut self, statement: String) -> Result<Rows, Fault> {
        let mut rows = Vec::new();
        let mut take = |row: &[Value]| {
            rows.push(row.to_vec());
            Ok(())
        };
        let (columns, _) = self.each_row(statement, &mut take).await?;
        Ok(Rows { columns, rows })
    }

    /// Gives the rows of a statement to `take`; returns their columns and how many they were.
    async fn each_row(&mut self, statement: String, take: &mut TakeRow<'_>) -> Result<(Vec<Column>, u64), Fault> {
        let columns = columns(&self.prepare(statement.clone()).await?);
        let mut rows = 0;
        let mut stream = run(&mut self.conn, statement);
        while let Some(item) = within(self.deadline, stream.next(), self.model.name()).await? {
            match item.map_err(|e| of_call(e, &self.path))? {
                Either::Left(_) => return Ok((columns, rows)),
                Either::Right(row) => {
                    take(&values(&row, columns.len())?)?;
                    rows += 1;
                }
            }
        }
        Err(incomplete())
    }

    /// Puts another model in the place of the scan's own.
    fn swap(&mut self, other: &mut (Wrapped, Schema)) {
        std::mem::swap(&mut self.model, &mut other.0);
        std::mem::swap(&mut self.schema, &mut other.1);
    }
}

/// Both texts of the operator must keep inside the brackets.
fn guard(model: &Wrapped) -> Result<(), Fault> {
    one_piece(model.query()).map_err(|refused| {
        let offset = model.offset(model.query(), refused.at);
        model.refuse(format!("has {}", refused.what)).remedy("write one SELECT").at_sql(offset)
    })?;
    model.filter().map_or(Ok(()), |filter| {
        one_piece(filter).map_err(|refused| model.refuse(format!("cannot have `where` with {}", refused.what)))
    })
}

fn columns(statement: &SqliteStatement) -> Vec<Column> {
    let column = |c: &sqlx::sqlite::SqliteColumn| Column {
        name: c.name().to_owned(),
        class: TypeClass::Any,
        native: c.type_info().name().to_lowercase(),
    };
    statement.columns().iter().map(column).collect()
}

fn run(
    conn: &mut SqliteConnection,
    statement: String,
) -> BoxStream<'_, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>> {
    conn.fetch_many(sqlx::query(AssertSqlSafe(statement)))
}

fn incomplete() -> Fault {
    Fault::transient("the rows ended before SQLite said that it was done")
}

fn values(row: &SqliteRow, count: usize) -> Result<Vec<Value>, Fault> {
    let unreadable = |e: &dyn std::fmt::Display| Fault::bug(format!("a value of SQLite could not be read: {e}"));
    (0..count)
        .map(|at| {
            let raw = row.try_get_raw(at).map_err(|e| unreadable(&e))?;
            value(raw).map_err(|e| unreadable(&e))
        })
        .collect()
}

/// The value by its own type, whatever its column declares.
fn value(raw: SqliteValueRef<'_>) -> Result<Value, sqlx::error::BoxDynError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => Value::Int(Decode::<Sqlite>::decode(raw)?),
        "REAL" => match Decode::<Sqlite>::decode(raw)? {
            number if f64::is_finite(number) => Value::Float(number),
            _ => Value::Invalid(String::from("an infinite number")),
        },
        "TEXT" => {
            let bytes: &[u8] = Decode::<Sqlite>::decode(raw)?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Invalid(String::from("text that is not UTF-8")),
            }
        }
        "BLOB" => Value::Bytes(Decode::<Sqlite>::decode(raw)?),
        other => return Err(format!("a type called {other}").into()),
    })
}

#[async_trait]
impl Scan for SqliteScan {
    async fn columns(&mut self) -> Result<Schema, Fault> {
        Ok(self.schema.clone())
    }

    async fn check(&mut self, query: &Query) -> Result<Rows, Fault> {
        self.answer(self.model.question(query)).await
    }

    async fn other_columns(&mut self, other: &Model) -> Result<Option<Schema>, Fault> {
        let wrapped = Wrapped::new(other)?;
        guard(&wrapped)?;
        let mut held = (wrapped, Schema::default());
        self.swap(&mut held);
        let prepared = self.prepare_model().await;
        self.swap(&mut held);
        prepared.map(|()| Some(held.1))
    }

    async fn other_rows(&mut self, other: &Model, columns: &[String], take: &mut TakeRow<'_>) -> Result<u64, Fault> {
        let wrapped = Wrapped::new(other)?;
        guard(&wrapped)?;
        let statement = wrapped.select(columns);
        let mut held = (wrapped, Schema::default());
        self.swap(&mut held);
        let read = self.each_row(statement, take).await;
        self.swap(&mut held);
        read.map(|(_, rows)| rows)
    }

    fn pages(mut self: Box<Self>, projection: Projection) -> BoxStream<'static, Result<Scanned, Fault>> {
        Box::pin(try_stream! {
            self.model.places(&self.schema, &projection)?;
            let (statement, proof) = (self.model.select(&projection.columns), self.model.proof(PROOF));
            self.prepare(statement.clone()).await?;
            let layout = Arc::new(Layout::of(projection));
            let Self { mut conn, path, model, deadline, wanted, .. } = *self;
            let mut page = ValuePage::new(layout.clone());
            let (mut rows, mut done) = (0, false);
            let mut stream = run(&mut conn, statement);
            while let Some(item) = within(deadline, stream.next(), model.name()).await? {
                match item.map_err(|e| of_call(e, &path))? {
                    Either::Left(_) => done = true,
                    Either::Right(row) => {
                        page.push(&values(&row, layout.columns.len())?)?;
                        rows += 1;
                        if page.is_full() {
                            let full = std::mem::replace(&mut page, ValuePage::new(layout.clone()));
                            yield Scanned::Page(Box::new(full));
                        }
                    }
                }
            }
            drop(stream);
            drop(wanted);
            if !done {
                Err(incomplete())?;
            }
            if page.rows() > 0 {
                yield Scanned::Page(Box::new(page));
            }
            yield Scanned::End { rows, proof };
        })
    }
}
