//! One scan: prepare the model, answer questions about it, hand over its rows.

use std::sync::Arc;

use async_stream::try_stream;
use async_trait::async_trait;
use backhaul_kit::{
    Column, Fault, FaultClass, Model, Projection, Proof, Query, RowPage as _, Rows, Scan, Scanned, Schema,
};
use futures_util::future::try_join_all;
use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, PgConnection, SqlSafeStr as _, Statement as _};

use super::super::wrap::Wrapped;
use super::fault::{of_call, of_statement};
use super::lane::{CopyOut, Lane, Lanes};
use super::layout::{Field, Layout};
use super::page::TuplePage;
use super::ranges::{self, Range};
use super::session::{Server, begin, export, join, replaced};
use super::types::{PgType, resolve};
use super::watch::Watch;

/// What proves that no row is missing.
const PROOF: Proof = Proof("the end mark of COPY, then the end of the command without an error");

/// An open scan.
pub(super) struct PgScan {
    /// `None` after a failure: the connection may then be out of step with its answers.
    conn: Option<PgConnection>,
    watch: Watch,
    wanted: Model,
    model: Arc<Wrapped>,
    schema: Schema,
    types: Vec<PgType>,
}

impl PgScan {
    /// Opens the connection and the snapshot, and prepares the model.
    pub(super) async fn open(server: Server, model: &Model) -> Result<Self, Fault> {
        let wrapped = Wrapped::new(model)?;
        let mut watch = Watch::start(server, model);
        let mut conn = watch.connect().await?;
        let backend = watch.over(begin(&mut conn, model)).await?.map_err(|e| of_call(e, watch.place()))?;
        watch.backend(backend);
        let mut scan = Self {
            conn: Some(conn),
            watch,
            wanted: model.clone(),
            model: Arc::new(wrapped),
            schema: Schema::default(),
            types: Vec::new(),
        };
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
        self.plan().await?;
        self.is_unchanged().await
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
        self.explain(&self.model.select_all()).await.map(drop)
    }

    /// Preparing may have waited for somebody who replaced a table; from here on nobody can.
    async fn is_unchanged(&mut self) -> Result<(), Fault> {
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let replaced = self.watch.over(replaced(&mut conn)).await?.map_err(|e| of_call(e, self.watch.place()))?;
        self.conn = Some(conn);
        match replaced {
            None => Ok(()),
            Some(table) => {
                let model = self.model.name();
                Err(Fault::transient(format!("table {table} was replaced while the scan of model `{model}` began"))
                    .remedy("run again: nothing was applied"))
            }
        }
    }

    /// The lines of a statement's plan.
    async fn explain(&mut self, statement: &str) -> Result<Vec<String>, Fault> {
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let statement = format!("EXPLAIN {statement}");
        let planned =
            self.watch.over(sqlx::query_scalar(AssertSqlSafe(statement.clone())).fetch_all(&mut conn)).await?;
        let lines = planned.map_err(|e| of_statement(e, self.watch.place(), &self.model, &statement))?;
        self.conn = Some(conn);
        Ok(lines)
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
        let mut copy = CopyOut::start(&mut conn, &self.watch, &self.model, &statement, layout.clone()).await?;
        while let Some(tuples) = copy.next().await? {
            let page = TuplePage::new(tuples, layout.clone(), 0);
            for row in 0..page.rows() {
                rows.push(page.record(row)?);
            }
        }
        copy.rows()?;
        drop(copy);
        self.conn = Some(conn);
        Ok(Rows { columns, rows })
    }

    /// The layout of the projected rows, and the lanes that hand them over.
    async fn project(mut self, projection: Projection) -> Result<(Arc<Layout>, Vec<Lane>), Fault> {
        let places = self.model.places(&self.schema, &projection)?;
        let fields = places.into_iter().map(|at| field(&self.schema.columns[at], &self.types[at])).collect();
        let layout = Layout::new(fields, projection.key, projection.seed)?;
        let mut statements = self.parts(&projection.columns).await?;
        let first = if statements.is_empty() { self.model.select(&projection.columns) } else { statements.remove(0) };
        self.prepare(first.clone()).await?;
        let mut lanes = self.open_lanes(statements).await?;
        let conn = self.conn.take().ok_or_else(broken)?;
        lanes.push(Lane { number: 0, conn, watch: self.watch, model: self.model, statement: first });
        Ok((Arc::new(layout), lanes))
    }

    /// One statement for each of the ranges of blocks that together are the model; none where it is to be read whole.
    async fn parts(&mut self, columns: &[String]) -> Result<Vec<String>, Fault> {
        let Some(name) = self.model.table().filter(|_| self.wanted.parallel) else { return Ok(Vec::new()) };
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let found = self.watch.over(ranges::of_table(&mut conn, name)).await?;
        let found = found.map_err(|e| of_call(e, self.watch.place()))?;
        self.conn = Some(conn);
        let Some((table, ranges)) = found else { return Ok(Vec::new()) };
        let part = |range: &Range| self.model.select_part(&table, columns, &range.condition());
        let parts: Vec<String> = ranges.iter().map(part).collect();
        let Some(first) = parts.first() else { return Ok(parts) };
        // An index that serves `where` may be cheaper.
        let plan = self.explain(first).await?;
        Ok(if plan.iter().any(|line| line.contains("Tid Range Scan")) { parts } else { Vec::new() })
    }

    /// Lanes from the second on, in the snapshot of this scan's connection.
    async fn open_lanes(&mut self, statements: Vec<String>) -> Result<Vec<Lane>, Fault> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let snapshot = self.watch.over(export(&mut conn)).await?.map_err(|e| of_call(e, self.watch.place()))?;
        self.conn = Some(conn);
        tracing::debug!(model = %self.model.name(), lanes = statements.len() + 1, "scanning in parallel");
        let lanes =
            statements.into_iter().enumerate().map(|(i, statement)| self.open_lane(i + 1, statement, &snapshot));
        try_join_all(lanes).await
    }

    async fn open_lane(&self, number: usize, statement: String, snapshot: &str) -> Result<Lane, Fault> {
        let mut watch = self.watch.another();
        let mut conn = watch.connect().await?;
        let joined = watch.over(join(&mut conn, &self.wanted, snapshot)).await?;
        watch.backend(joined.map_err(|e| of_call(e, watch.place()))?);
        // Prepared, the statement holds its table: it stays what it is until the lane has ended.
        let prepared = watch.over((&mut conn).prepare(AssertSqlSafe(statement.clone()).into_sql_str())).await?;
        prepared.map_err(|e| of_statement(e, watch.place(), &self.model, &statement))?;
        Ok(Lane { number, conn, watch, model: self.model.clone(), statement })
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

    fn pages(self: Box<Self>, projection: Projection) -> BoxStream<'static, Result<Scanned, Fault>> {
        Box::pin(try_stream! {
            let (layout, lanes) = Box::pin(self.project(projection)).await?;
            let mut lanes = Lanes::start(lanes, &layout);
            while let Some(page) = lanes.next().await? {
                yield Scanned::Page(Box::new(page));
            }
            let rows = lanes.rows();
            yield Scanned::End { rows, proof: PROOF };
        })
    }
}
