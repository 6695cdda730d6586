//! One scan: prepare the model, answer questions about it, hand over its rows.

use std::sync::Arc;

use async_stream::try_stream;
use async_trait::async_trait;
use backhaul_kit::{
    Column, Fault, FaultClass, Model, Projection, Proof, Query, RowPage as _, Rows, Scan, Scanned, Schema,
};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::{AssertSqlSafe, Column as _, Executor as _, PgConnection, SqlSafeStr as _, Statement as _};

use super::super::wrap::Wrapped;
use super::copy::{CopyReader, Tuples};
use super::fault::{of_call, of_statement};
use super::page::{Field, Layout, TuplePage};
use super::session::{Server, begin, goodbye};
use super::types::{PgType, resolve};
use super::watch::Watch;

/// What proves that no row is missing.
const PROOF: Proof = Proof("the end mark of COPY, then the end of the command without an error");

/// An open scan.
pub(super) struct PgScan {
    /// `None` after a failure: the connection may then be out of step with its answers.
    conn: Option<PgConnection>,
    watch: Watch,
    model: Wrapped,
    schema: Schema,
    types: Vec<PgType>,
}

impl PgScan {
    /// Opens the connection and the snapshot, and prepares the model.
    pub(super) async fn open(server: Server, model: &Model) -> Result<Self, Fault> {
        let wrapped = Wrapped::new(model)?;
        let mut watch = Watch::start(server.clone(), model);
        let mut conn = watch.over(server.connect()).await??;
        let backend = watch.over(begin(&mut conn, model)).await?.map_err(|e| of_call(e, watch.place()))?;
        watch.backend(backend);
        let mut scan = Self { conn: Some(conn), watch, model: wrapped, schema: Schema::default(), types: Vec::new() };
        scan.prepare_model().await?;
        Ok(scan)
    }

    /// Alone the query must be one statement, so that no bracket of it closes one of ours; between our brackets it
    /// must be one that only reads.
    async fn prepare_model(&mut self) -> Result<(), Fault> {
        self.prepare(self.model.query().to_owned()).await?;
        let (columns, types) = self.prepare(self.model.select_unfiltered()).await?;
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        self.model.unique_columns(&names, |a, b| a == b)?;
        self.schema = Schema { columns };
        self.types = types;
        if let Some(bare) = self.model.select_bare_filter() {
            self.prepare_filter(bare).await?;
            self.prepare_filter(self.model.select_all()).await?;
        }
        self.plan().await
    }

    /// The filter must be one expression with brackets of ours and without.
    async fn prepare_filter(&mut self, statement: String) -> Result<(), Fault> {
        self.prepare(statement).await.map(|_| ()).map_err(|mut fault| {
            if fault.class == FaultClass::Config {
                fault.message = format!("{} in `where`: {}", fault.message, self.model.filter().unwrap_or_default());
            }
            fault
        })
    }

    /// Has the model planned: only then the server looks for the rights on its tables.
    async fn plan(&mut self) -> Result<(), Fault> {
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let statement = format!("EXPLAIN {}", self.model.select_all());
        let planned = self.watch.over(sqlx::query(AssertSqlSafe(statement.clone())).fetch_all(&mut conn)).await?;
        planned.map_err(|e| of_statement(e, self.watch.place(), &self.model, &statement))?;
        self.conn = Some(conn);
        Ok(())
    }

    /// Prepares one statement by the extended protocol, which refuses a second; gives its columns.
    async fn prepare(&mut self, statement: String) -> Result<(Vec<Column>, Vec<PgType>), Fault> {
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let sql = AssertSqlSafe(statement.clone()).into_sql_str();
        let prepared = self.watch.over((&mut conn).prepare(sql)).await?;
        let prepared = prepared.map_err(|e| of_statement(e, self.watch.place(), &self.model, &statement))?;
        let parameters = prepared.parameters().map_or(0, |p| p.either(<[_]>::len, |n| n));
        if parameters > 0 {
            return Err(self.model.refuse("has parameters ($1), which nobody fills"));
        }
        let oids: Vec<u32> = prepared.columns().iter().map(|c| c.type_info().oid().map_or(0, |oid| oid.0)).collect();
        let types = self.watch.over(resolve(&mut conn, &oids)).await?.map_err(|e| of_call(e, self.watch.place()))?;
        let column = |(column, of): (&sqlx::postgres::PgColumn, &PgType)| Column {
            name: column.name().to_owned(),
            class: of.wire.class(),
            native: of.name.clone(),
        };
        let columns = prepared.columns().iter().zip(&types).map(column).collect();
        self.conn = Some(conn);
        Ok((columns, types))
    }

    /// The answer to a question, by the same way as the rows.
    async fn answer(&mut self, statement: String) -> Result<Rows, Fault> {
        let (columns, types) = self.prepare(statement.clone()).await?;
        let fields = columns.iter().zip(types).map(|(column, of)| field(column, &of)).collect();
        let layout = Arc::new(Layout::new(fields, Vec::new(), 0)?);
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let mut rows = Vec::new();
        let mut copy = CopyOut::start(&mut conn, &self.watch, &self.model, &statement, columns.len()).await?;
        while let Some(tuples) = copy.next().await? {
            let page = TuplePage::new(tuples, layout.clone());
            for row in 0..page.rows() {
                rows.push(page.record(row)?);
            }
        }
        copy.rows()?;
        drop(copy);
        self.conn = Some(conn);
        Ok(Rows { columns, rows })
    }

    /// The layout and the statement of the projected rows, prepared.
    async fn project(&mut self, projection: Projection) -> Result<(Layout, String), Fault> {
        let places = self.model.places(&self.schema, &projection)?;
        let fields = places.into_iter().map(|at| field(&self.schema.columns[at], &self.types[at])).collect();
        let layout = Layout::new(fields, projection.key, projection.seed)?;
        let statement = self.model.select(&projection.columns);
        self.prepare(statement.clone()).await?;
        Ok((layout, statement))
    }
}

fn field(column: &Column, of: &PgType) -> Field {
    Field { name: column.name.clone(), native: column.native.clone(), wire: of.wire.clone() }
}

fn broken() -> Fault {
    Fault::transient("the connection of this scan was given up after an earlier failure")
}

#[async_trait]
impl Scan for PgScan {
    async fn columns(&mut self) -> Result<Schema, Fault> {
        Ok(self.schema.clone())
    }

    async fn check(&mut self, query: &Query) -> Result<Rows, Fault> {
        // Boxed: the driver's futures are large.
        Box::pin(self.answer(self.model.question(query))).await
    }

    fn pages(mut self: Box<Self>, projection: Projection) -> BoxStream<'static, Result<Scanned, Fault>> {
        Box::pin(try_stream! {
            let columns = projection.columns.len();
            let (layout, statement) = self.project(projection).await?;
            let layout = Arc::new(layout);
            // The connection lives in this stream: whoever drops the stream closes it.
            let mut conn = self.conn.take().ok_or_else(broken)?;
            let mut copy = CopyOut::start(&mut conn, &self.watch, &self.model, &statement, columns).await?;
            while let Some(tuples) = copy.next().await? {
                yield Scanned::Page(Box::new(TuplePage::new(tuples, layout.clone())));
            }
            let rows = copy.rows()?;
            drop(copy);
            goodbye(conn).await;
            yield Scanned::End { rows, proof: PROOF };
        })
    }
}

/// A running COPY.
struct CopyOut<'c> {
    stream: Option<BoxStream<'c, Result<Bytes, sqlx::Error>>>,
    reader: CopyReader,
    watch: &'c Watch,
    model: &'c Wrapped,
}

impl<'c> CopyOut<'c> {
    /// Starts to copy the rows of `statement`, which was prepared.
    async fn start(
        conn: &'c mut PgConnection,
        watch: &'c Watch,
        model: &'c Wrapped,
        statement: &str,
        columns: usize,
    ) -> Result<Self, Fault> {
        let copy = format!("COPY (\n{statement}\n) TO STDOUT (FORMAT binary)");
        let stream = watch.over(conn.copy_out_raw(&copy)).await?;
        let stream = stream.map_err(|e| of_statement(e, watch.place(), model, &copy))?;
        Ok(Self { stream: Some(stream), reader: CopyReader::new(columns), watch, model })
    }

    /// The next rows; `None` when the stream has ended.
    async fn next(&mut self) -> Result<Option<Tuples>, Fault> {
        // A row is a message: clocks are set only for the first of a page and where there is something to wait for.
        let mut ready = None;
        while let Some(stream) = &mut self.stream {
            let item = match ready.take() {
                Some(item) => item,
                None => self.watch.over(stream.next()).await?,
            };
            match item {
                Some(Ok(bytes)) => {
                    self.reader.push(&bytes)?;
                    if self.reader.is_full() {
                        return Ok(self.reader.take());
                    }
                    ready = stream.next().now_or_never();
                }
                Some(Err(error)) => return Err(of_statement(error, self.watch.place(), self.model, "")),
                None => self.stream = None,
            }
        }
        Ok(self.reader.take())
    }

    /// How many rows there were, if the scan was complete.
    fn rows(&self) -> Result<u64, Fault> {
        self.reader.finish()
    }
}
