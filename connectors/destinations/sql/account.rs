//! `[destinations.X]` of `type = "postgres"` and `type = "mariadb"`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::{Account, Destination, Fault, Kit, Prepared, SyncShape};
use serde_json::json;

use super::postgres::Postgres;
use super::send::SqlDestination;
use super::sync::SqlSync;

/// How long a transaction may take where the operator says nothing.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Transactions at once where the operator says nothing.
const CONCURRENCY: u64 = 4;

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

/// A checked account.
#[derive(Clone, Debug)]
pub(super) struct SqlAccount {
    pub(super) dialect: Dialect,
    pub(super) url: SecretRef,
    /// A file of the project with the certificate authority.
    pub(super) sslrootcert: Option<PathBuf>,
    pub(super) connect_timeout: Option<Duration>,
    /// How long a transaction may take.
    pub(super) timeout: Duration,
    /// Transactions at once.
    pub(super) concurrency: usize,
}

impl SqlAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable, dialect: Dialect) -> Option<Self> {
        let url = table.required_secret("url");
        let sslrootcert = table.text("sslrootcert").map(PathBuf::from);
        let connect_timeout = table.duration("connect_timeout");
        let timeout = table.duration("timeout").unwrap_or(TIMEOUT);
        let concurrency = table.number("concurrency", 1).unwrap_or(CONCURRENCY);
        if dialect == Dialect::MariaDb && !cfg!(feature = "mariadb") {
            let message = "this build of backhaul has no destination of `type = \"mariadb\"`";
            let remedy = "use a released program, or build one: cargo build --release --features mariadb";
            table.problems().refuse("not-in-this-build", table.span(), message, remedy);
        }
        let concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX);
        Some(Self { dialect, url: url?, sslrootcert, connect_timeout, timeout, concurrency })
    }

    /// Opens the destination of a sync; makes no connection.
    pub(super) fn open(&self, sync: SqlSync, kit: &Kit) -> Result<Arc<dyn Destination>, Fault> {
        match self.dialect {
            Dialect::Postgres => Ok(Arc::new(SqlDestination::new(sync, Postgres::new(self, kit)?))),
            #[cfg(feature = "mariadb")]
            Dialect::MariaDb => Ok(Arc::new(SqlDestination::new(sync, super::mariadb::MariaDb::new(self, kit)?))),
            #[cfg(not(feature = "mariadb"))]
            Dialect::MariaDb => Err(Fault::bug("a destination that is not in this build was configured")),
        }
    }
}

impl Account for SqlAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(SqlSync::read(self, into, shape)?))
    }

    fn secret_hosts(&self, kit: &Kit) -> Result<Vec<String>, Fault> {
        match self.dialect {
            Dialect::Postgres => Postgres::new(self, kit)?.host().map(|host| vec![host]),
            #[cfg(feature = "mariadb")]
            Dialect::MariaDb => super::mariadb::MariaDb::new(self, kit)?.host().map(|host| vec![host]),
            #[cfg(not(feature = "mariadb"))]
            Dialect::MariaDb => Ok(Vec::new()),
        }
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema(dialect: Dialect) -> serde_json::Value {
    let url = match dialect {
        Dialect::Postgres => "postgres://user:password@host:5432/database, by reference; `sslmode` and the like work.",
        Dialect::MariaDb => "mariadb://user:password@host:3306/database, by reference; `ssl-mode` and the like work.",
    };
    json!({
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": schema::secret(url),
            "sslrootcert": schema::text("A PEM file with the server's certificate authority, where it is not a public one."),
            "connect_timeout": schema::text("How long to wait for a connection. Default \"10s\"."),
            "timeout": schema::text("How long a transaction may take. Default \"30s\"."),
            "concurrency": schema::count("Transactions at once. Default 4.")
        }
    })
}
