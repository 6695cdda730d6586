//! The schema of snapshots: its names, the rights that it takes, and the table `snapshots`, which says in which
//! state every table is.

use backhaul_kit::{Fault, TableState};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};
use xxhash_rust::xxh3::xxh3_64;

use super::super::super::wrap::quote;
use super::columns::KeyColumn;
use super::compare::malformed;

/// The version of the tables' columns. Raised with any change of them.
pub(super) const FORMAT: i32 = 1;
/// The longest name of the server, in bytes.
const MAX_NAME: usize = 63;
/// A number that nothing else locks: `backhaul` in ASCII. Held while the schema is looked after.
const LOCK: i64 = i64::from_be_bytes(*b"backhaul");

/// The schema in which snapshots are kept.
#[derive(Clone, Debug)]
pub(in super::super) struct StateSchema(String);

/// A line of `snapshots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Line {
    /// The table as it is.
    pub(super) state: TableState,
    /// The columns of its key.
    pub(in super::super) key: Vec<KeyColumn>,
    /// The generation before this one.
    pub(super) previous: Option<String>,
    /// The run that made this one.
    pub(super) run: Option<String>,
}

/// What the role may do here.
struct Rights {
    role: String,
    database: String,
    schema_exists: bool,
    schema_rights: bool,
    may_create_schemas: bool,
    temporary: bool,
}

impl StateSchema {
    /// The schema of that name.
    pub(in super::super) fn new(name: String) -> Self {
        Self(name)
    }

    /// Its name.
    pub(in super::super) fn name(&self) -> &str {
        &self.0
    }

    /// The name of a sync's table: the sync's own for people, and what tells two state folders apart.
    pub(super) fn table_name(sync: &str, owner: &str) -> String {
        let tail = format!("_{:016x}", xxh3_64(format!("{owner}/{sync}").as_bytes()));
        let room = MAX_NAME - "snap_".len() - tail.len();
        let mut end = sync.len().min(room);
        while !sync.is_char_boundary(end) {
            end -= 1;
        }
        format!("snap_{}{tail}", &sync[..end])
    }

    /// A table of the schema, quoted.
    pub(in super::super) fn table(&self, name: &str) -> String {
        format!("{}.{}", quote(&self.0), quote(name))
    }

    fn lines(&self) -> String {
        self.table("snapshots")
    }

    /// The line of a table; `None` where it or the table is not there. `lock` keeps others from changing it.
    pub(in super::super) async fn line(
        &self,
        conn: &mut PgConnection,
        name: &str,
        lock: bool,
    ) -> Result<Option<Result<Line, Fault>>, sqlx::Error> {
        let sql = format!(
            "SELECT format, generation, fingerprints, records, key_types, previous, run FROM {} \
             WHERE name = $1 AND to_regclass($2) IS NOT NULL{}",
            self.lines(),
            if lock { " FOR UPDATE" } else { "" }
        );
        let found = sqlx::query(AssertSqlSafe(sql)).bind(name).bind(self.table(name)).fetch_optional(conn).await;
        let row = match found {
            // There is no `snapshots` yet, or no schema.
            Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P01" | "3F000")) => return Ok(None),
            found => found?,
        };
        let Some(row) = row else { return Ok(None) };
        let format: i32 = row.try_get(0)?;
        if format != FORMAT {
            let message =
                format!("snapshot table {} has format {format}, this program knows {FORMAT}", self.table(name));
            return Ok(Some(Err(
                Fault::config(message).remedy("use the version of backhaul that made it, or a newer one")
            )));
        }
        let records: i64 = row.try_get(3)?;
        let types: String = row.try_get(4)?;
        let state = TableState {
            name: name.to_owned(),
            generation: row.try_get(1)?,
            fingerprints: row.try_get(2)?,
            records: u64::try_from(records).unwrap_or(0),
        };
        let key: Option<Vec<KeyColumn>> = types.split(',').map(KeyColumn::stored).collect();
        let (previous, run) = (row.try_get(5)?, row.try_get(6)?);
        Ok(Some(key.map(|key| Line { state, key, previous, run }).ok_or_else(malformed)))
    }

    /// The line of a table that must be in this state.
    pub(in super::super) fn expect(
        &self,
        line: Option<Result<Line, Fault>>,
        state: &TableState,
    ) -> Result<Line, Fault> {
        let Some(line) = line else { return Err(self.not_it(&state.name, "is not there")) };
        let line = line?;
        if line.state.generation != state.generation {
            return Err(self.not_it(&state.name, "is in another state than the state folder says"));
        }
        Ok(line)
    }

    /// The table and the state folder do not belong together.
    pub(in super::super) fn not_it(&self, name: &str, what: &str) -> Fault {
        Fault::config(format!("snapshot table {} {what}: nothing was compared with it", self.table(name))).remedy(
            "restore the schema and the state folder from backups of one moment, or put back the `state_schema` and \
             the database of before; without them `backhaul state rebuild SYNC --yes`: every row is then sent again, \
             and rows that left the model are not removed",
        )
    }

    /// Makes the line of a new table, or changes that of one that is there.
    pub(super) async fn write_line(
        &self,
        conn: &mut PgConnection,
        line: &Line,
        sync: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        let sql = match sync {
            Some(_) => format!(
                "INSERT INTO {} (name, generation, fingerprints, records, key_types, previous, run, format, sync) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO UPDATE SET \
                 generation = EXCLUDED.generation, fingerprints = EXCLUDED.fingerprints, records = EXCLUDED.records, \
                 key_types = EXCLUDED.key_types, previous = EXCLUDED.previous, run = EXCLUDED.run, \
                 format = EXCLUDED.format, sync = EXCLUDED.sync, changed = pg_catalog.now()",
                self.lines()
            ),
            None => format!(
                "UPDATE {} SET generation = $2, fingerprints = $3, records = $4, key_types = $5, previous = $6, \
                 run = $7, format = $8, sync = COALESCE($9, sync), changed = pg_catalog.now() WHERE name = $1",
                self.lines()
            ),
        };
        let Line { state, key, previous, run } = line;
        sqlx::query(AssertSqlSafe(sql))
            .bind(&state.name)
            .bind(&state.generation)
            .bind(&state.fingerprints)
            .bind(i64::try_from(state.records).unwrap_or(i64::MAX))
            .bind(super::query::key_types(key))
            .bind(previous)
            .bind(run)
            .bind(FORMAT)
            .bind(sync)
            .execute(conn)
            .await
            .map(|_| ())
    }

    /// Removes the line of a table.
    pub(super) async fn forget_line(&self, conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
        let sql = format!("DELETE FROM {} WHERE name = $1", self.lines());
        sqlx::query(AssertSqlSafe(sql)).bind(name).execute(conn).await.map(|_| ())
    }

    /// Makes the schema and the table `snapshots` where they are not there. In a transaction that may write.
    pub(super) async fn make(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (schema, lines) = (quote(&self.0), self.lines());
        let exists: bool = sqlx::query_scalar(
            "SELECT pg_catalog.pg_advisory_xact_lock($1) IS NULL OR to_regnamespace($2) IS NOT NULL",
        )
        .bind(LOCK)
        .bind(&schema)
        .fetch_one(&mut *conn)
        .await?;
        if !exists {
            conn.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))).await?;
        }
        let known: bool =
            sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&lines).fetch_one(&mut *conn).await?;
        if !known {
            let sql = format!(
                "CREATE TABLE {lines} (name text PRIMARY KEY, sync text NOT NULL, format integer NOT NULL, \
                 generation text NOT NULL, previous text, run text, fingerprints text NOT NULL, key_types text NOT NULL, \
                 records bigint NOT NULL, changed timestamptz NOT NULL DEFAULT pg_catalog.now()); \
                 COMMENT ON TABLE {lines} IS 'backhaul: the state of every snapshot table in this schema'"
            );
            conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        }
        Ok(())
    }

    /// Refuses a role that cannot keep snapshots here, with the statements that let it.
    pub(super) async fn check_rights(&self, conn: &mut PgConnection) -> Result<Result<(), Fault>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT current_user::text, current_database()::text, to_regnamespace($1) IS NOT NULL, \
             CASE WHEN to_regnamespace($1) IS NOT NULL THEN has_schema_privilege(to_regnamespace($1)::oid, 'USAGE') \
             AND has_schema_privilege(to_regnamespace($1)::oid, 'CREATE') ELSE false END, \
             has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY')",
        )
        .bind(quote(&self.0))
        .fetch_one(conn)
        .await?;
        let rights = Rights {
            role: row.try_get(0)?,
            database: row.try_get(1)?,
            schema_exists: row.try_get(2)?,
            schema_rights: row.try_get(3)?,
            may_create_schemas: row.try_get(4)?,
            temporary: row.try_get(5)?,
        };
        Ok(self.judge(&rights))
    }

    fn judge(&self, rights: &Rights) -> Result<(), Fault> {
        let (schema, role) = (quote(&self.0), quote(&rights.role));
        let mut grants = Vec::new();
        if !rights.schema_exists && !rights.may_create_schemas {
            grants.push(format!("CREATE SCHEMA {schema} AUTHORIZATION {role};"));
        }
        if rights.schema_exists && !rights.schema_rights {
            grants.push(format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};"));
        }
        if !rights.temporary {
            grants.push(format!("GRANT TEMPORARY ON DATABASE {} TO {role};", quote(&rights.database)));
        }
        if grants.is_empty() {
            return Ok(());
        }
        let message =
            format!("the role {role} cannot keep snapshots in schema {schema}, which `diff = \"warehouse\"` needs");
        Err(Fault::auth(message).remedy(format!("as an administrator of the database: {}", grants.join(" "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_tables_fit_and_differ() {
        let long = "x".repeat(64);
        for sync in ["customers-api", long.as_str(), "é".repeat(40).as_str()] {
            let name = StateSchema::table_name(sync, "owner");
            assert!(name.len() <= MAX_NAME && name.starts_with("snap_"), "{name}");
            assert_ne!(name, StateSchema::table_name(sync, "another"));
        }
        assert_ne!(StateSchema::table_name(&long, "o"), StateSchema::table_name(&format!("{long}y"), "o"));
        assert_eq!(StateSchema::new("a\"b".into()).table("t"), "\"a\"\"b\".\"t\"");
    }

    #[test]
    fn what_is_missing_is_told_as_statements() {
        let schema = StateSchema::new("backhaul".into());
        let rights = |schema_exists, schema_rights, may_create_schemas, temporary| Rights {
            role: "reader".into(),
            database: "dwh".into(),
            schema_exists,
            schema_rights,
            may_create_schemas,
            temporary,
        };
        assert!(schema.judge(&rights(true, true, false, true)).is_ok());
        assert!(schema.judge(&rights(false, false, true, true)).is_ok());
        let remedy = |rights| schema.judge(&rights).expect_err("refused").remedy_text().to_owned();
        assert!(
            remedy(rights(false, false, false, true)).contains("CREATE SCHEMA \"backhaul\" AUTHORIZATION \"reader\";")
        );
        let both = remedy(rights(true, false, true, false));
        assert!(both.contains("GRANT USAGE, CREATE ON SCHEMA \"backhaul\" TO \"reader\";"), "{both}");
        assert!(both.contains("GRANT TEMPORARY ON DATABASE \"dwh\" TO \"reader\";"), "{both}");
    }
}
