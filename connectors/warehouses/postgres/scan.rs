//! One scan: prepare the model, answer questions about it, hand over its rows.

use std::sync::Arc;

use async_stream::try_stream;
use async_trait::async_trait;
use backhaul_kit::{
    Column, Compared, Fault, FaultClass, Gone, Model, Projection, Proof, Query, RowPage as _, Rows, Scan, Scanned,
    Schema, TableScan, TableShape, TakeRow, Value,
};
use futures_util::future::try_join_all;
use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, PgConnection, SqlSafeStr as _, Statement as _};

use super::super::since::Dialect;
use super::super::wrap::Wrapped;
use super::fault::{of_call, of_statement};
use super::lane::{CopyOut, Lane, Lanes};
use super::layout::{Field, Layout};
use super::page::TuplePage;
use super::pushdown::{Comparison, KeyColumn, Splitter, StateSchema, fingerprints, holders};
use super::ranges::{self, Range};
use super::session::{Server, begin, export, goodbye, join, replaced};
use super::types::{PgType, resolve};
use super::watch::Watch;

/// What proves that no row is missing.
const PROOF: Proof = Proof::of_all("the end mark of COPY, then the end of the command without an error");

/// Claims that one question asks for: some 400 KB of SQL.
const CLAIMS_AT_ONCE: usize = 20_000;
/// The first version of the server that hashes rows.
const ROW_HASHES: u32 = 140_000;

/// An open scan.
pub(super) struct PgScan {
    /// `None` after a failure: the connection may then be out of step with its answers.
    conn: Option<PgConnection>,
    watch: Watch,
    wanted: Model,
    model: Arc<Wrapped>,
    schema: Schema,
    types: Vec<PgType>,
    /// Where snapshot tables are.
    snapshots: StateSchema,
    /// The server's version, as 150004.
    version: u32,
}

impl PgScan {
    /// Opens the connection and the snapshot, and prepares the model.
    pub(super) async fn open(server: Server, model: &Model, snapshots: StateSchema) -> Result<Self, Fault> {
        let wrapped = Wrapped::new(model)?.since(model, Dialect::Postgres);
        let mut watch = Watch::start(server, model);
        let mut conn = watch.connect().await?;
        let backend = watch.over(begin(&mut conn, model)).await?.map_err(|e| of_call(e, watch.place()))?;
        watch.backend(backend);
        let version = conn.server_version_num().unwrap_or(0);
        let mut scan = Self {
            conn: Some(conn),
            watch,
            wanted: model.clone(),
            model: Arc::new(wrapped),
            schema: Schema::default(),
            types: Vec::new(),
            snapshots,
            version,
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
        let (columns, types) = self.prepare(statement.clone()).await?;
        let fields = columns.iter().zip(types).map(|(column, of)| field(column, &of)).collect();
        let layout = Arc::new(Layout::new(fields, Vec::new(), 0)?);
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let mut copy = CopyOut::start(&mut conn, &self.watch, Some(&self.model), &statement, layout.clone()).await?;
        while let Some(tuples) = copy.next().await? {
            let page = TuplePage::new(tuples, layout.clone(), 0);
            for row in 0..page.rows() {
                take(&page.record(row)?)?;
            }
        }
        let rows = copy.rows()?;
        drop(copy);
        self.conn = Some(conn);
        Ok((columns, rows))
    }

    /// Puts another model in the place of the scan's own.
    fn swap(&mut self, other: &mut Prepared) {
        std::mem::swap(&mut self.model, &mut other.model);
        std::mem::swap(&mut self.schema, &mut other.schema);
        std::mem::swap(&mut self.types, &mut other.types);
    }

    fn fields(&self, projection: &Projection) -> Result<Vec<Field>, Fault> {
        let places = self.model.places(&self.schema, projection)?;
        Ok(places.into_iter().map(|at| field(&self.schema.columns[at], &self.types[at])).collect())
    }

    /// The layout of the projected rows, and the lanes that hand them over.
    async fn project(mut self, projection: Projection) -> Result<(Arc<Layout>, Vec<Lane>), Fault> {
        let fingerprinted = projection.fingerprinted;
        let layout =
            Layout::new(self.fields(&projection)?, projection.key, projection.seed)?.fingerprinting(fingerprinted);
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

    /// The statement that compares, prepared, and what reads its rows. The table must be in the expected state,
    /// in the snapshot of the data that the statement will see.
    async fn prepare_comparison(
        &mut self,
        projection: &Projection,
        table: &TableScan,
    ) -> Result<(Splitter, String), Fault> {
        let fields = self.fields(projection)?;
        let layout = Layout::new(fields.clone(), projection.key.clone(), projection.seed)?;
        let shape = self.table_shape(projection)?;
        let mut conn = self.conn.take().ok_or_else(broken)?;
        let line = self.watch.over(self.snapshots.line(&mut conn, &table.state.name, false)).await?;
        let line = self.snapshots.expect(line.map_err(|e| of_call(e, self.watch.place()))?, &table.state)?;
        self.conn = Some(conn);
        let name = self.snapshots.table(&table.state.name);
        let counted = self.answer(format!("SELECT pg_catalog.count(*) FROM {name}")).await?;
        if counted.rows.as_slice() != [vec![Value::Int(i64::try_from(table.state.records).unwrap_or(-1))]] {
            return Err(self.snapshots.not_it(&table.state.name, "has another number of records than backhaul wrote"));
        }
        let key: Vec<&str> = line.key.iter().map(KeyColumn::stored_type).collect();
        if key != shape.key {
            return Err(super::pushdown::other_key());
        }
        let comparison = Comparison {
            model: &self.model,
            fields: &fields,
            key: &projection.key,
            table: &name,
            all: table.all,
            renewed: shape.fingerprints != table.state.fingerprints,
        };
        let sql = comparison.sql();
        self.prepare(sql.clone()).await?;
        Ok((Splitter::new(layout, fields.len(), line.key), sql))
    }

    /// Those of the claims that records beyond the ones that gave them hold too. `claims` are sorted; one that
    /// several records gave stands there as often.
    async fn shared(&mut self, table: &TableScan, claims: &[i64]) -> Result<Vec<u64>, Fault> {
        let name = self.snapshots.table(&table.state.name);
        let mut shared = Vec::new();
        for row in self.answer(holders(&name, claims)).await?.rows {
            let [Value::Int(claim), Value::Int(held)] = row.as_slice() else {
                return Err(Fault::bug("a count of claims that are no numbers"));
            };
            let given = claims.partition_point(|c| c <= claim) - claims.partition_point(|c| c < claim);
            if usize::try_from(*held).is_ok_and(|held| held > given) {
                shared.push(u64::from_ne_bytes(claim.to_ne_bytes()));
            }
        }
        Ok(shared)
    }
}

/// A model and what was found out about it.
struct Prepared {
    model: Arc<Wrapped>,
    schema: Schema,
    types: Vec<PgType>,
}

impl Prepared {
    /// A model that is yet to be prepared.
    fn unprepared(model: &Model) -> Result<Self, Fault> {
        Ok(Self { model: Arc::new(Wrapped::new(model)?), schema: Schema::default(), types: Vec::new() })
    }
}

/// Adds the claims of these records.
fn note_claims(gone: &[Gone], claims: &mut Vec<i64>) {
    let all = gone.iter().flat_map(|record| record.claims).flatten();
    claims.extend(all.map(|claim| i64::from_ne_bytes(claim.to_ne_bytes())));
}

/// How many claims the next question takes, of those that are left: equal ones are asked for together.
fn next_claims(claims: &[i64]) -> usize {
    match claims.get(CLAIMS_AT_ONCE) {
        None => claims.len(),
        Some(next) => claims.partition_point(|claim| claim <= next),
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

    async fn other_columns(&mut self, other: &Model) -> Result<Option<Schema>, Fault> {
        let mut held = Prepared::unprepared(other)?;
        self.swap(&mut held);
        let prepared = Box::pin(self.prepare_model()).await;
        self.swap(&mut held);
        prepared.map(|()| Some(held.schema))
    }

    async fn other_rows(&mut self, other: &Model, columns: &[String], take: &mut TakeRow<'_>) -> Result<u64, Fault> {
        let mut held = Prepared::unprepared(other)?;
        let statement = held.model.select(columns);
        self.swap(&mut held);
        let read = Box::pin(self.each_row(statement, take)).await;
        self.swap(&mut held);
        read.map(|(_, rows)| rows)
    }

    fn pages(self: Box<Self>, projection: Projection) -> BoxStream<'static, Result<Scanned, Fault>> {
        Box::pin(try_stream! {
            let proof = self.model.proof(PROOF);
            let (layout, lanes) = Box::pin(self.project(projection)).await?;
            let mut lanes = Lanes::start(lanes, &layout);
            while let Some(page) = lanes.next().await? {
                yield Scanned::Page(Box::new(page));
            }
            let rows = lanes.rows();
            yield Scanned::End { rows, proof };
        })
    }

    fn table_shape(&self, projection: &Projection) -> Result<TableShape, Fault> {
        if self.version < ROW_HASHES {
            return Err(Fault::config("this server cannot compare rows: `diff = \"warehouse\"` needs PostgreSQL 14")
                .remedy("set `diff = \"local\"`"));
        }
        let fields = self.fields(projection)?;
        let key = projection.key.iter().map(|place| KeyColumn::of(&fields[*place]));
        let key = key.map(|column| column.map(|column| column.stored_type().to_owned())).collect::<Result<_, _>>()?;
        Ok(TableShape { key, fingerprints: fingerprints(&fields, self.version / 10_000) })
    }

    fn compared(
        mut self: Box<Self>,
        projection: Projection,
        table: TableScan,
    ) -> BoxStream<'static, Result<Compared, Fault>> {
        Box::pin(try_stream! {
            let (splitter, statement) = Box::pin(self.prepare_comparison(&projection, &table)).await?;
            let mut conn = self.conn.take().ok_or_else(broken)?;
            let (mut gone, mut claims) = (0, Vec::new());
            let mut copy =
                CopyOut::start(&mut conn, &self.watch, Some(&self.model), &statement, splitter.tuples()?).await?;
            while let Some(tuples) = copy.next().await? {
                let (page, records) = splitter.split(&tuples)?;
                gone += records.len() as u64;
                if page.rows.rows() > 0 {
                    yield Compared::Page(page);
                }
                if table.removals && !records.is_empty() {
                    note_claims(&records, &mut claims);
                    yield Compared::Gone(records);
                }
            }
            copy.rows()?;
            drop(copy);
            self.conn = Some(conn);
            claims.sort_unstable();
            let mut rest = claims.as_slice();
            while !rest.is_empty() {
                let (asked, later) = rest.split_at(next_claims(rest));
                rest = later;
                yield Compared::Shared(Box::pin(self.shared(&table, asked)).await?);
            }
            if let Some(conn) = self.conn.take() {
                goodbye(conn).await;
            }
            yield Compared::End { records: table.state.records, gone, proof: PROOF };
        })
    }
}
