//! The source: the file, and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{Fault, Model, Scan, Source, SourceReport};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::fault::of_call;
use super::scan::SqliteScan;

/// A SQLite file.
pub(super) struct SqliteSource {
    path: PathBuf,
    busy_timeout: Duration,
}

impl SqliteSource {
    /// The source at `path`.
    pub(super) fn new(path: PathBuf, busy_timeout: Duration) -> Self {
        Self { path, busy_timeout }
    }

    /// Opens a connection that cannot write.
    async fn connect(&self) -> Result<SqliteConnection, Fault> {
        let shown = self.path.display();
        match tokio::fs::metadata(&self.path).await {
            Ok(file) if file.is_file() => {}
            Ok(_) => {
                return Err(Fault::config(format!("{shown} is not a file")).remedy("correct the warehouse's `path`"));
            }
            Err(e) => {
                return Err(Fault::config(format!("cannot open the SQLite file {shown}: {e}"))
                    .remedy("correct the warehouse's `path`, which is relative to the project"));
            }
        }
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(self.busy_timeout)
            .pragma("query_only", "1")
            .disable_statement_logging();
        let mut conn = SqliteConnection::connect_with(&options).await.map_err(|e| of_call(e, &self.path))?;
        let encoding: String =
            sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut conn).await.map_err(|e| of_call(e, &self.path))?;
        if encoding != "UTF-8" {
            return Err(Fault::config(format!("{shown} keeps its text as {encoding}, which cannot be read"))
                .remedy("make a copy of it in a database with PRAGMA encoding = 'UTF-8'"));
        }
        Ok(conn)
    }
}

#[async_trait]
impl Source for SqliteSource {
    async fn check(&self) -> Result<SourceReport, Fault> {
        let mut conn = self.connect().await?;
        let version: String = sqlx::query_scalar("SELECT sqlite_version() FROM (SELECT count(*) FROM sqlite_schema)")
            .fetch_one(&mut conn)
            .await
            .map_err(|e| of_call(e, &self.path))?;
        Ok(SourceReport { server: format!("SQLite {version}"), ..SourceReport::default() })
    }

    async fn open(&self, model: &Model) -> Result<Box<dyn Scan>, Fault> {
        let conn = self.connect().await?;
        Ok(Box::new(SqliteScan::open(conn, self.path.clone(), model).await?))
    }
}
