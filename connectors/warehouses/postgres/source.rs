//! The source: what it reports of itself, and how a scan begins.

use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{Fault, Model, Scan, SnapshotTables, Source, SourceReport};
use sqlx::{PgConnection, Row as _};

use super::config::Address;
use super::fault::of_call;
use super::pushdown::{PgTables, StateSchema};
use super::scan::PgScan;
use super::session::{Server, goodbye};

/// How long the questions of a check may take.
const CHECK: Duration = Duration::from_secs(30);

/// A PostgreSQL server.
pub(super) struct PgSource {
    address: Address,
    tables: PgTables,
}

impl PgSource {
    /// The source at an address, whose snapshots are kept in a schema.
    pub(super) fn new(address: Address, snapshots: StateSchema) -> Self {
        Self { tables: PgTables::new(address.clone(), snapshots), address }
    }
}

/// The role's own attributes.
const ROLE: &str = "\
    SELECT current_setting('server_version'), current_user::text,
           rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
    FROM pg_catalog.pg_roles WHERE rolname = current_user";

/// Tables and views outside of the server's own schemas and that of snapshots: how many can be read, how many written.
const TABLES: &str = "\
    SELECT count(*) FILTER (WHERE readable), count(*) FILTER (WHERE writable),
           min(name) FILTER (WHERE writable)
    FROM (
        SELECT c.oid::regclass::text AS name,
               has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable,
               has_schema_privilege(c.relnamespace, 'USAGE')
                   AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writable
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1)
    ) AS tables";

/// Schemas in which objects can be made.
const SCHEMAS: &str = "\
    SELECT nspname::text FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', $1) AND has_schema_privilege(oid, 'CREATE')
    ORDER BY 1";

#[async_trait]
impl Source for PgSource {
    async fn check(&self) -> Result<SourceReport, Fault> {
        let server = Server::at(&self.address)?;
        let mut conn = server.connect().await?;
        let Ok(report) = tokio::time::timeout(CHECK, report(&mut conn, self.tables.schema().name())).await else {
            let place = &server.place;
            return Err(Fault::transient(format!("PostgreSQL at {place} did not answer within {} s", CHECK.as_secs())));
        };
        let report = report.map_err(|e| of_call(e, &server.place))?;
        goodbye(conn).await;
        Ok(report)
    }

    async fn open(&self, model: &Model) -> Result<Box<dyn Scan>, Fault> {
        let server = Server::at(&self.address)?;
        // Boxed: the driver's futures are large.
        let scan = Box::pin(PgScan::open(server, model, self.tables.schema().clone())).await?;
        Ok(Box::new(scan))
    }

    fn snapshot_tables(&self) -> Option<&dyn SnapshotTables> {
        Some(&self.tables)
    }
}

/// Rights in the schema of snapshots are not in excess.
async fn report(conn: &mut PgConnection, snapshots: &str) -> Result<SourceReport, sqlx::Error> {
    let role = sqlx::query(ROLE).fetch_one(&mut *conn).await?;
    let mut report = SourceReport {
        server: format!("PostgreSQL {}", role.try_get::<String, _>(0)?),
        user: Some(role.try_get(1)?),
        ..SourceReport::default()
    };
    let attributes = ["SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"];
    for (i, attribute) in attributes.iter().enumerate() {
        if role.try_get(i + 2)? {
            report.excess.push((*attribute).to_owned());
        }
    }
    let tables = sqlx::query(TABLES).bind(snapshots).fetch_one(&mut *conn).await?;
    if tables.try_get::<i64, _>(0)? == 0 {
        report.missing.push(String::from("SELECT on any table or view"));
    }
    match (tables.try_get::<i64, _>(1)?, tables.try_get::<Option<String>, _>(2)?) {
        (0, _) | (_, None) => {}
        (1, Some(name)) => report.excess.push(format!("write rights on {name}")),
        (n, Some(name)) => report.excess.push(format!("write rights on {n} tables ({name} …)")),
    }
    for schema in sqlx::query(SCHEMAS).bind(snapshots).fetch_all(&mut *conn).await? {
        report.excess.push(format!("CREATE in schema {}", schema.try_get::<String, _>(0)?));
    }
    Ok(report)
}
