//! The server of an account, and how connections to it are opened.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use backhaul_kit::config::Secret;
use backhaul_kit::{Fault, Kit};
use secrecy::ExposeSecret as _;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::super::account::SqlAccount;
use super::{Connection, fault};

/// How long to wait for a connection where the operator says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to say goodbye.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

/// A MariaDB server.
pub(in super::super) struct MariaDb {
    url: Secret,
    sslrootcert: Option<PathBuf>,
    connect_timeout: Duration,
    /// Settings of every connection.
    settings: String,
}

impl MariaDb {
    /// The server of an account.
    ///
    /// # Errors
    /// A URL that cannot be read or is none of MariaDB.
    pub(in super::super) fn new(account: &SqlAccount, kit: &Kit) -> Result<Self, Fault> {
        let seconds = account.timeout.as_secs().clamp(1, 31_536_000);
        // Strict: what does not fit is refused, not cut. Committed reads: an entry of the table of operations is seen as
        // soon as it is there, and ranges are not locked. Moments go without an offset.
        let settings = format!(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
             NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', innodb_lock_wait_timeout = {seconds}, \
             lock_wait_timeout = {seconds}, max_statement_time = {seconds}, \
             idle_write_transaction_timeout = {seconds}; \
             SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
        );
        let server = Self {
            url: kit.secret(&account.url),
            sslrootcert: account.sslrootcert.as_ref().map(|path| kit.secrets.project_path(path)),
            connect_timeout: account.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            settings,
        };
        server.options()?;
        Ok(server)
    }

    /// The driver's options. The URL is read at every connection, so that a rotated password is found.
    fn options(&self) -> Result<MySqlConnectOptions, Fault> {
        let url = self.url.reveal()?;
        let url = url.expose_secret();
        let malformed = || {
            Fault::config(format!("the URL ({}) is not one of MariaDB", self.url.reference()))
                .remedy("write mariadb://user:password@host:3306/database, with %-codes for special characters")
        };
        if !url.starts_with("mariadb://") && !url.starts_with("mysql://") {
            return Err(malformed());
        }
        // The driver's text of the error may quote parts of the URL.
        let options = MySqlConnectOptions::from_str(url).map_err(|_| malformed())?;
        let mut options = options.disable_statement_logging();
        if let Some(path) = &self.sslrootcert {
            if let Err(e) = std::fs::metadata(path) {
                return Err(Fault::config(format!("cannot read `sslrootcert` {}: {e}", path.display())));
            }
            options = options.ssl_ca(path);
        }
        Ok(options)
    }

    /// `host:port` of the URL.
    pub(in super::super) fn host(&self) -> Result<String, Fault> {
        self.options().map(|options| place(&options))
    }

    /// Opens a connection with pinned settings.
    pub(super) async fn open(&self) -> Result<Connection, Fault> {
        let options = self.options()?;
        let place = place(&options);
        let Ok(connected) = tokio::time::timeout(self.connect_timeout, options.connect()).await else {
            let seconds = self.connect_timeout.as_secs_f32();
            return Err(Fault::transient(format!("MariaDB at {place} did not answer within {seconds} s"))
                .remedy("check host, port, network and firewall, or raise `connect_timeout`"));
        };
        let failed = |error: sqlx::Error| fault::of_call(&error, &place);
        let mut inner = connected.map_err(failed)?;
        sqlx::raw_sql(AssertSqlSafe(self.settings.clone())).execute(&mut inner).await.map_err(failed)?;
        let max_packet = sqlx::query_scalar::<_, i64>("SELECT CAST(@@max_allowed_packet AS SIGNED)");
        let max_packet = max_packet.fetch_one(&mut inner).await.map_err(failed)?;
        Ok(Connection { inner, place, max_packet: usize::try_from(max_packet).unwrap_or(1 << 20) })
    }
}

/// Host and port, or the socket.
fn place(options: &MySqlConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}
