//! `[warehouses.X]` with `type = "postgres"`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, Secret, SecretRef};
use backhaul_kit::{Fault, Kit, ModelQuery, Source, SourceKind, WarehouseConfig};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use super::super::keys;
use super::super::wrap::{quote, quoted_parts};
use super::pushdown::StateSchema;
use super::source::PgSource;

/// How long to wait for a connection where the operator says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where snapshots are kept where the operator says nothing.
const STATE_SCHEMA: &str = "backhaul";
/// The longest name of the server, in bytes.
const MAX_NAME: usize = 63;

/// The kind `postgres`.
#[derive(Clone, Copy, Debug)]
pub struct PostgresKind;

/// The keys of the table.
#[derive(Clone, Debug, JsonSchema)]
struct PgConfig {
    /// `postgres://user:password@host:5432/database`; `sslmode`, `options` and the other parameters of
    /// PostgreSQL's connection URLs work.
    #[schemars(schema_with = "keys::secret")]
    url: SecretRef,
    /// A PEM file with the certificate authority of the server, where it is not a public one; relative to the project.
    sslrootcert: Option<PathBuf>,
    /// How this program calls itself in `pg_stat_activity`. Default `backhaul`.
    application_name: Option<String>,
    /// How long to wait for a connection. Default `10s`.
    #[schemars(with = "Option<keys::DurationText>")]
    connect_timeout: Option<Duration>,
    /// The schema in which syncs with `diff = "warehouse"` keep their snapshots. Default `backhaul`.
    #[schemars(length(min = 1, max = 63))]
    state_schema: Option<String>,
}

impl SourceKind for PostgresKind {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn about(&self) -> &'static str {
        "PostgreSQL, by binary COPY in one read-only snapshot"
    }

    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>> {
        let before = table.problems().errors();
        let url = table.required_secret("url");
        let sslrootcert = table.text("sslrootcert").map(PathBuf::from);
        let application_name = table.text("application_name");
        let connect_timeout = table.duration("connect_timeout");
        let state_schema = state_schema(table);
        if table.problems().errors() > before {
            return None;
        }
        Some(Box::new(PgConfig { url: url?, sslrootcert, application_name, connect_timeout, state_schema }))
    }

    fn json_schema(&self) -> serde_json::Value {
        schemars::schema_for!(PgConfig).to_value()
    }
}

impl WarehouseConfig for PgConfig {
    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Source>, Fault> {
        let address = self.address(&kit);
        address.options()?;
        let snapshots = self.state_schema.clone().unwrap_or_else(|| String::from(STATE_SCHEMA));
        Ok(Arc::new(PgSource::new(address, StateSchema::new(snapshots))))
    }

    fn keeps_snapshots(&self) -> bool {
        true
    }

    fn grants(&self, user: &str, models: &[(&str, &ModelQuery)]) -> Vec<String> {
        let user = quote(user);
        let (mut schemas, mut tables, mut queries) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for (model, query) in models {
            match query {
                ModelQuery::Table(name) => {
                    let Ok(parts) = quoted_parts(model, name) else { continue };
                    if let [schema, _] = parts.as_slice() {
                        schemas.insert(format!("GRANT USAGE ON SCHEMA {schema} TO {user};"));
                    }
                    tables.insert(format!("GRANT SELECT ON {} TO {user};", parts.join(".")));
                }
                // Which views and tables a query names, and not what lies behind them, only its author can say.
                ModelQuery::Sql(_) => {
                    queries
                        .push(format!("-- model {model}: USAGE and SELECT on the tables and views that its SQL names"));
                }
                ModelQuery::Files(_) => {}
            }
        }
        schemas.into_iter().chain(tables).chain(queries).collect()
    }

    fn hosts(&self, kit: &Kit) -> Result<Vec<String>, Fault> {
        Ok(vec![place(&self.address(kit).options()?)])
    }
}

impl PgConfig {
    fn address(&self, kit: &Kit) -> Address {
        let mut address = Address::new(kit, &self.url, self.sslrootcert.as_deref(), self.connect_timeout);
        address.application_name.clone_from(&self.application_name);
        address
    }
}

/// A name that the server takes, outside of its own schemas.
fn state_schema(table: &mut ConfigTable) -> Option<String> {
    let (name, span) = table.text_at("state_schema")?;
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') || name.starts_with("pg_") {
        table.problems().push(
            Problem::error("bad-schema", "`state_schema` is not a name that a schema can have")
                .at(&span)
                .remedy("1 to 63 bytes, not beginning with `pg_`, as \"backhaul\""),
        );
        return None;
    }
    Some(name)
}

/// Where the server is; the URL is read at every connection, so that a rotated password is found.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    url: Secret,
    sslrootcert: Option<PathBuf>,
    application_name: Option<String>,
    /// How long to wait for a connection.
    pub(super) connect_timeout: Duration,
}

impl Address {
    /// A server by its URL. `sslrootcert` is a file of the project; `None` waits the usual time for a connection.
    pub(crate) fn new(
        kit: &Kit,
        url: &SecretRef,
        sslrootcert: Option<&Path>,
        connect_timeout: Option<Duration>,
    ) -> Self {
        Self {
            url: kit.secret(url),
            sslrootcert: sslrootcert.map(|path| kit.secrets.project_path(path)),
            application_name: None,
            connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        }
    }

    /// The driver's options.
    ///
    /// # Errors
    /// `Auth` where the secret cannot be read, `Config` where it is not a URL of PostgreSQL.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, Fault> {
        let url = self.url.reveal()?;
        let url = url.expose_secret();
        let malformed = || {
            Fault::config(format!("the URL ({}) is not one of PostgreSQL", self.url.reference()))
                .remedy("write postgres://user:password@host:5432/database, with %-codes for special characters")
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(malformed());
        }
        // The driver's text of the error may quote parts of the URL.
        let options = PgConnectOptions::from_str(&known_parameters(url)).map_err(|_| malformed())?;
        let mut options = options.disable_statement_logging();
        if let Some(name) = &self.application_name {
            options = options.application_name(name);
        } else if options.get_application_name().is_none() {
            options = options.application_name("backhaul");
        }
        if let Some(path) = &self.sslrootcert {
            if let Err(e) = std::fs::metadata(path) {
                return Err(Fault::config(format!("cannot read `sslrootcert` {}: {e}", path.display())));
            }
            options = options.ssl_root_cert(path);
        }
        Ok(options)
    }
}

/// Parameters of a URL that the driver knows, beside `options[…]`.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The URL without the parameters that the driver does not know: it would log them with their values.
fn known_parameters(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else { return url.to_owned() };
    let known = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        let known = PARAMETERS.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B");
        if !known && !name.is_empty() {
            tracing::warn!(parameter = name, "a parameter of the URL is not known and has no effect");
        }
        known
    };
    let pairs: Vec<&str> = query.split('&').filter(known).collect();
    format!("{address}?{}", pairs.join("&"))
}

/// Host and port, or the socket, for messages.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => format!("{}:{}", socket.display(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;
    use backhaul_kit::FaultClass;
    use backhaul_kit::config::Secrets;

    #[test]
    fn the_reader_and_the_schema_have_the_same_keys() {
        testing::assert_keys_match_schema(&PostgresKind);
    }

    #[test]
    fn a_table_is_read_or_its_problems_are_found() {
        assert!(testing::problems(&PostgresKind, "url = { env = \"WAREHOUSE\" }\nconnect_timeout = \"5s\"").is_empty());
        let codes = |text: &str| testing::problems(&PostgresKind, text).iter().map(|p| p.code).collect::<Vec<_>>();
        assert_eq!(codes(""), ["missing-key"]);
        assert_eq!(codes("url = \"postgres://u:canary@h/d\""), ["inline-secret"]);
        assert_eq!(codes("url = { env = \"X\" }\nstate_schema = \"pg_x\""), ["bad-schema"]);
        assert_eq!(codes("url = { env = \"X\" }\nsslrotcert = \"ca.pem\""), ["unknown-key"]);
    }

    #[test]
    fn unknown_parameters_never_reach_the_driver() {
        assert_eq!(
            known_parameters("postgres://h/d?sslmode=require&pasword=canary&options[search_path]=marts"),
            "postgres://h/d?sslmode=require&options[search_path]=marts"
        );
        assert_eq!(known_parameters("postgres://h/d"), "postgres://h/d");
    }

    #[test]
    fn optional_keys_are_optional_in_the_schema() {
        let schema = PostgresKind.json_schema();
        assert_eq!(schema["required"], serde_json::json!(["url"]));
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        assert!(validator.is_valid(&serde_json::json!({ "url": { "env": "X" }, "connect_timeout": "5s" })));
        assert!(!validator.is_valid(&serde_json::json!({ "url": "postgres://u:p@h/d" })));
        assert!(!validator.is_valid(&serde_json::json!({ "url": { "env": "X" }, "connect_timeout": "soon" })));
    }

    #[test]
    fn a_url_that_is_none_is_not_echoed() {
        let folder = tempfile::tempdir().expect("a folder");
        for url in ["mysql://u:canary@h/d", "canary", "postgres://u:canary@h:port/d", "postgres://u:canary@h/d?port=x"]
        {
            std::fs::write(folder.path().join("url"), url).expect("written");
            let (mut table, _) = testing::table("url = { file = \"url\" }");
            let config = PostgresKind.parse(&mut table).expect("parsed");
            let Err(fault) = config.open(Kit::new(Secrets::from_env(folder.path()))) else { panic!("{url} was taken") };
            assert_eq!(fault.class, FaultClass::Config);
            assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
        }
    }
}
