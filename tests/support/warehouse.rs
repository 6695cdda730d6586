//! Where a test's model lives: a SQLite file, or a database of its own on a real PostgreSQL server.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::skipped;

/// The variable that names the server: the URL of a superuser. `tests/run` starts one and sets it.
const SERVER: &str = "BACKHAUL_TEST_POSTGRES";

/// Makes of each function, which takes a warehouse, one test on SQLite and one on PostgreSQL.
macro_rules! on_each_warehouse {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $test() {
                    super::$test(&$crate::support::warehouse::Warehouse::sqlite());
                }
            )+
        }
        mod postgres {
            $(
                #[test]
                fn $test() {
                    if let Some(warehouse) = $crate::support::warehouse::Warehouse::postgres() {
                        super::$test(&warehouse);
                    }
                }
            )+
        }
    };
}
pub(crate) use on_each_warehouse;

/// A warehouse; dropping it removes it.
pub(crate) enum Warehouse {
    /// A file.
    Sqlite {
        /// The folder it lies in.
        folder: TempDir,
    },
    /// A database.
    Postgres {
        /// The superuser's URL of the server's database `postgres`.
        server: String,
        /// The database of this test.
        database: String,
    },
}

impl Warehouse {
    /// An empty SQLite file.
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A file of its own with the same tables.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::sqlite();
        let (from, to) = (self.file().expect("a file"), copy.file().expect("a file"));
        std::fs::copy(from, to).expect("copied");
        copy
    }

    /// An empty database, or `None` and a word on the terminal where no server was named.
    pub(crate) fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var(SERVER) else {
            skipped(&format!("needs PostgreSQL: run tests/run, or set {SERVER} to the URL of a superuser"));
            return None;
        };
        let database = format!("whole_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        execute_postgres(&server, &format!("create database {database}"));
        Some(Self::Postgres { server, database })
    }

    /// Executes statements.
    pub(crate) fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite { .. } => execute_sqlite(&self.file().expect("a file"), sql),
            Self::Postgres { .. } => execute_postgres(&self.url().expect("a URL"), sql),
        }
    }

    /// Fails the test unless the query gives so many rows.
    pub(crate) fn assert_count(&self, query: &str, rows: usize) {
        let check = format!("create table counted (n bigint check (n = {rows}))");
        self.execute(&format!("{check}; insert into counted select count(*) from ({query}) as q; drop table counted;"));
    }

    /// The SQLite file.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite { folder } => Some(folder.path().join("warehouse.db")),
            Self::Postgres { .. } => None,
        }
    }

    /// The PostgreSQL URL, password included.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { server, database } => {
                let (base, _) = server.rsplit_once('/').expect("a URL that ends in a database's name");
                Some(format!("{base}/{database}"))
            }
        }
    }
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        if let Self::Postgres { server, database } = self {
            execute_postgres(server, &format!("drop database if exists {database} with (force)"));
        }
    }
}

fn block_on<T>(future: impl Future<Output = sqlx::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future).expect("statements that succeed")
}

fn execute_postgres(url: &str, sql: &str) {
    block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
        connection.close().await
    });
}

/// Executes statements on a SQLite file, which is made where it is missing.
pub(crate) fn execute_sqlite(file: &Path, sql: &str) {
    block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut connection: SqliteConnection = options.connect().await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
        connection.close().await
    });
}
