//! Making, changing, reading and removing a table. Each is one transaction on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use backhaul_kit::{
    Fault, FaultClass, Gone, NewTable, SnapshotTables, TableChange, TableCounts, TableEntries, TableState,
};
use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::super::config::Address;
use super::super::fault::of_call;
use super::super::lane::CopyOut;
use super::super::layout::{Field, Layout, Values};
use super::super::session::{Server, backend, goodbye};
use super::super::watch::Watch;
use super::columns::KeyColumn;
use super::compare::{RECORDED, canonical, malformed, recorded};
use super::entries::{DELETE, HEADER, INSERT, TRAILER, UPDATE, other_key, put_entry, stage_sql};
use super::schema::{Line, StateSchema};

/// How long the server may be silent before a second connection looks whether it works.
const SILENCE: Duration = Duration::from_secs(60);
/// So many bytes of entries are sent at a time.
const SEND_BYTES: usize = 64 << 10;
/// A table that took more new records than this is analysed at once: the comparison's plan depends on its size.
const ANALYSE_FROM: u64 = 10_000;

/// Settings of the role that are meant for queries do not end what must be written: the watch looks after it.
const BEGIN: &str = "\
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL lock_timeout = '60s'; \
    SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = '30min'";
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The snapshot tables of a PostgreSQL server.
pub(in super::super) struct PgTables {
    address: Address,
    schema: StateSchema,
}

/// A connection in a transaction.
struct Session {
    conn: PgConnection,
    watch: Watch,
}

impl PgTables {
    /// The tables in `schema` at an address.
    pub(in super::super) fn new(address: Address, schema: StateSchema) -> Self {
        Self { address, schema }
    }

    /// The schema.
    pub(in super::super) fn schema(&self) -> &StateSchema {
        &self.schema
    }

    async fn begin(&self, sql: &'static str) -> Result<Session, Fault> {
        let server = Server::at(&self.address)?;
        let mut watch = Watch::over_tables(server.clone(), SILENCE);
        let mut conn = watch.over(server.connect()).await??;
        let begun = async {
            conn.execute(sqlx::raw_sql(sql)).await?;
            backend(&mut conn).await
        };
        let backend = watch.over(begun).await?.map_err(|e| of_call(e, watch.place()))?;
        watch.backend(backend);
        Ok(Session { conn, watch })
    }

    /// The line of a table that is to be changed, locked.
    async fn line(&self, session: &mut Session, name: &str, lock: bool) -> Result<Option<Result<Line, Fault>>, Fault> {
        let Session { conn, watch } = session;
        watch.over(self.schema.line(conn, name, lock)).await?.map_err(|e| of_call(e, watch.place()))
    }

    async fn fill(&self, session: &mut Session, table: &NewTable, entries: TableEntries<'_>) -> Result<u64, Fault> {
        let Session { conn, watch } = &mut *session;
        watch.over(self.schema.check_rights(conn)).await?.map_err(|e| of_call(e, watch.place()))??;
        watch.over(self.schema.make(conn)).await?.map_err(|e| of_call(e, watch.place()))?;
        let key: Option<Vec<KeyColumn>> = table.shape.key.iter().map(|stored| KeyColumn::stored(stored)).collect();
        let key = key.ok_or_else(|| Fault::bug("a snapshot table of a type that it cannot have"))?;
        let name = self.schema.table(&table.name);
        let definitions: Vec<String> = (1..).zip(&key).map(|(i, of)| format!("key_{i} {}", of.definition())).collect();
        session
            .execute(&format!(
                "DROP TABLE IF EXISTS {name}; \
                 CREATE TABLE {name} ({}, key_check bigint NOT NULL, fingerprint bigint, in_doubt boolean NOT NULL, \
                 match_value bytea, remote_id bytea, fields bytea, PRIMARY KEY ({})) WITH (fillfactor = 90); \
                 COMMENT ON TABLE {name} IS 'backhaul: what sync {} has delivered'",
                definitions.join(", "),
                key_names("", key.len()),
                table.sync.replace('\'', "''"),
            ))
            .await?;
        session.stage(&key, entries).await?;
        let records = session.insert(&name, &key).await?;
        session.execute(&format!("ANALYZE {name}")).await?;
        let state = TableState {
            name: table.name.clone(),
            generation: table.generation.clone(),
            fingerprints: table.shape.fingerprints.clone(),
            records,
        };
        let line = Line { state, key, previous: None, run: None };
        let Session { conn, watch } = session;
        let written = watch.over(self.schema.write_line(conn, &line, Some(&table.sync))).await?;
        written.map_err(|e| of_call(e, watch.place()))?;
        Ok(records)
    }

    async fn change(
        &self,
        session: &mut Session,
        line: Line,
        change: &TableChange,
        entries: TableEntries<'_>,
    ) -> Result<(), Fault> {
        let (name, key) = (self.schema.table(&change.from.name), line.key);
        session.stage(&key, entries).await?;
        let done = TableCounts {
            deletes: session.delete(&name, &key).await?,
            updates: session.update(&name, &key, change).await?,
            inserts: session.insert(&name, &key).await?,
        };
        if done != change.expected {
            return Err(self.schema.not_it(&change.from.name, "has other records than backhaul wrote"));
        }
        if done.inserts >= ANALYSE_FROM {
            session.execute(&format!("ANALYZE {name}")).await?;
        }
        let state = TableState {
            name: change.from.name.clone(),
            generation: change.generation.clone(),
            fingerprints: change.fingerprints.clone(),
            records: (line.state.records + done.inserts).saturating_sub(done.deletes),
        };
        let line = Line { state, key, previous: Some(line.state.generation), run: Some(change.run.clone()) };
        let Session { conn, watch } = session;
        let written = watch.over(self.schema.write_line(conn, &line, None)).await?;
        written.map_err(|e| of_call(e, watch.place()))
    }
}

impl Session {
    async fn execute(&mut self, sql: &str) -> Result<u64, Fault> {
        let Self { conn, watch } = self;
        let done = watch.over(conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))).await?;
        done.map(|done| done.rows_affected()).map_err(|e| of_call(e, watch.place()))
    }

    async fn commit(mut self) -> Result<(), Fault> {
        self.execute("COMMIT").await?;
        goodbye(self.conn).await;
        Ok(())
    }

    /// Brings the entries into the stage.
    async fn stage(&mut self, key: &[KeyColumn], entries: TableEntries<'_>) -> Result<(), Fault> {
        self.execute(&stage_sql(key.len())).await?;
        let Self { conn, watch } = self;
        let failed = |e| of_call(e, watch.place());
        let mut copy = watch
            .over(conn.copy_in_raw("COPY pg_temp.backhaul_stage FROM STDIN (FORMAT binary)"))
            .await?
            .map_err(failed)?;
        let mut buffer = HEADER.to_vec();
        for entry in entries {
            // What was begun goes with the connection.
            put_entry(&entry?, key.len(), &mut buffer)?;
            if buffer.len() >= SEND_BYTES {
                watch.over(copy.send(buffer.as_slice())).await?.map_err(failed)?;
                buffer.clear();
            }
        }
        buffer.extend_from_slice(&TRAILER);
        watch.over(copy.send(buffer.as_slice())).await?.map_err(failed)?;
        watch.over(copy.finish()).await?.map_err(failed)?;
        self.execute("ANALYZE pg_temp.backhaul_stage").await.map(|_| ())
    }

    /// A statement whose keys are cast from text; keys that do not fit are told as such.
    async fn over_stage(&mut self, sql: &str) -> Result<u64, Fault> {
        self.execute(sql).await.map_err(|fault| match fault.class {
            FaultClass::Config if ["(22P02)", "(22003)", "(22007)"].iter().any(|code| fault.message.contains(code)) => {
                other_key().caused_by(fault)
            }
            _ => fault,
        })
    }

    async fn delete(&mut self, table: &str, key: &[KeyColumn]) -> Result<u64, Fault> {
        let same = same_key(key.len());
        self.over_stage(&format!("DELETE FROM {table} AS s USING {} AS e WHERE {same}", staged(key, DELETE))).await
    }

    async fn update(&mut self, table: &str, key: &[KeyColumn], change: &TableChange) -> Result<u64, Fault> {
        let (same, fields) = (same_key(key.len()), placed_fields(change.fields.as_deref()));
        if change.stale {
            let sql = format!(
                "UPDATE {table} AS s SET fingerprint = NULL, fields = {fields} \
                 WHERE NOT EXISTS (SELECT FROM {} AS e WHERE {same})",
                staged(key, UPDATE)
            );
            self.over_stage(&sql).await?;
        }
        let sql = format!(
            "UPDATE {table} AS s SET key_check = e.key_check, fingerprint = e.fingerprint, in_doubt = e.in_doubt, \
             match_value = e.match_value, remote_id = e.remote_id, fields = COALESCE(e.fields, {fields}) \
             FROM {} AS e WHERE {same}",
            staged(key, UPDATE)
        );
        self.over_stage(&sql).await
    }

    async fn insert(&mut self, table: &str, key: &[KeyColumn]) -> Result<u64, Fault> {
        let columns = "key_check, fingerprint, in_doubt, match_value, remote_id, fields";
        let keys = key_names("", key.len());
        let sql = format!(
            "INSERT INTO {table} ({keys}, {columns}) SELECT {keys}, {columns} FROM {} AS e",
            staged(key, INSERT)
        );
        self.over_stage(&sql).await
    }
}

fn key_names(of: &str, keys: usize) -> String {
    (1..=keys).map(|i| format!("{of}key_{i}")).collect::<Vec<_>>().join(", ")
}

/// The entries of one effect, their keys in the table's types.
fn staged(key: &[KeyColumn], effect: i16) -> String {
    let keys: Vec<String> = (1..).zip(key).map(|(i, of)| format!("key_{i}::{} AS key_{i}", of.stored_type())).collect();
    format!(
        "(SELECT {}, key_check, fingerprint, in_doubt, match_value, remote_id, fields \
         FROM pg_temp.backhaul_stage WHERE effect = {effect})",
        keys.join(", ")
    )
}

fn same_key(keys: usize) -> String {
    (1..=keys).map(|i| format!("s.key_{i} = e.key_{i}")).collect::<Vec<_>>().join(" AND ")
}

/// The field hashes of `s` at their new places.
fn placed_fields(places: Option<&[Option<usize>]>) -> String {
    let Some(places) = places else { return String::from("s.fields") };
    let parts: Vec<String> = places
        .iter()
        .map(|place| match place {
            Some(place) => format!("substring(s.fields FROM {} FOR 4)", 4 * place + 1),
            None => String::from("'\\x00000000'::bytea"),
        })
        .collect();
    if parts.is_empty() { String::from("NULL::bytea") } else { parts.join(" || ") }
}

#[async_trait]
impl SnapshotTables for PgTables {
    fn name(&self, sync: &str, owner: &str) -> String {
        StateSchema::table_name(sync, owner)
    }

    async fn check(&self) -> Result<(), Fault> {
        let mut session = Box::pin(self.begin(BEGIN_READING)).await?;
        let Session { conn, watch } = &mut session;
        watch.over(self.schema.check_rights(conn)).await?.map_err(|e| of_call(e, watch.place()))??;
        goodbye(session.conn).await;
        Ok(())
    }

    async fn create(&self, table: &NewTable, entries: TableEntries<'_>) -> Result<u64, Fault> {
        // Boxed, here and below: the driver's futures are large.
        let mut session = Box::pin(self.begin(BEGIN)).await?;
        let records = Box::pin(self.fill(&mut session, table, entries)).await?;
        Box::pin(session.commit()).await?;
        Ok(records)
    }

    async fn apply(&self, change: &TableChange, entries: TableEntries<'_>) -> Result<String, Fault> {
        let mut session = Box::pin(self.begin(BEGIN)).await?;
        let line = Box::pin(self.line(&mut session, &change.from.name, true)).await?;
        if let Some(Ok(line)) = &line
            && line.run.as_ref() == Some(&change.run)
            && line.previous.as_ref() == Some(&change.from.generation)
        {
            return Ok(line.state.generation.clone());
        }
        let line = self.schema.expect(line, &change.from)?;
        Box::pin(self.change(&mut session, line, change, entries)).await?;
        Box::pin(session.commit()).await?;
        Ok(change.generation.clone())
    }

    async fn records(&self, state: &TableState) -> Result<BoxStream<'static, Result<Vec<Gone>, Fault>>, Fault> {
        let mut session = Box::pin(self.begin(BEGIN_READING)).await?;
        let line = Box::pin(self.line(&mut session, &state.name, false)).await?;
        let Line { key, .. } = self.schema.expect(line, state)?;
        let (schema, state) = (self.schema.clone(), state.clone());
        Ok(Box::pin(try_stream! {
            let Session { mut conn, watch } = session;
            let statement = format!(
                "SELECT key_check, fingerprint, in_doubt, match_value, remote_id, fields, {} FROM {}",
                key_names("", key.len()),
                schema.table(&state.name)
            );
            let fields = RECORDED.into_iter().chain(key.iter().map(|column| column.wire.clone())).map(Field::of_table);
            let layout = Arc::new(Layout::new(fields.collect(), Vec::new(), 0)?);
            let mut copy = CopyOut::start(&mut conn, &watch, None, &statement, layout).await?;
            while let Some(tuples) = copy.next().await? {
                let mut records = Vec::with_capacity(tuples.ends.len());
                for tuple in tuples.iter() {
                    let fields: Vec<Option<&[u8]>> = Values::of(tuple).collect();
                    let (record, parts) = fields.split_at_checked(RECORDED.len()).ok_or_else(malformed)?;
                    let record = recorded(record)?.ok_or_else(malformed)?;
                    records.push(Gone { key: canonical(&key, parts)?, record, claims: [None; 2] });
                }
                yield records;
            }
            if copy.rows()? != state.records {
                Err(schema.not_it(&state.name, "has another number of records than backhaul wrote"))?;
            }
            drop(copy);
            goodbye(conn).await;
        }))
    }

    async fn remove(&self, name: &str) -> Result<(), Fault> {
        let mut session = Box::pin(self.begin(BEGIN)).await?;
        if Box::pin(self.line(&mut session, name, true)).await?.is_none() {
            goodbye(session.conn).await;
            return Ok(());
        }
        session.execute(&format!("DROP TABLE IF EXISTS {}", self.schema.table(name))).await?;
        let Session { conn, watch } = &mut session;
        let forgotten = watch.over(self.schema.forget_line(conn, name)).await?;
        forgotten.map_err(|e| of_call(e, watch.place()))?;
        Box::pin(session.commit()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_hashes_are_brought_to_their_new_places() {
        assert_eq!(placed_fields(None), "s.fields");
        assert_eq!(placed_fields(Some(&[Some(1), None])), "substring(s.fields FROM 5 FOR 4) || '\\x00000000'::bytea");
        assert_eq!(placed_fields(Some(&[])), "NULL::bytea");
    }
}
