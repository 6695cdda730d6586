//! How a connection is made: keys that every account over HTTP has.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};

use super::client::HttpOptions;
use super::reach::{Reach, host_and_port};
use crate::config::{ConfigTable, Problem, Secret, SecretRef, schema};
use crate::context::Kit;

/// `timeout`, `proxy`, `ca_bundle` and `private_hosts`, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpKeys {
    /// The time after which a call counts as unanswered.
    pub timeout: Option<Duration>,
    proxy: Option<ProxyKeys>,
    ca_bundle: Option<PathBuf>,
    private_hosts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProxyKeys {
    url: Url,
    login: Option<(String, SecretRef)>,
}

/// A proxy through which calls go (`CONNECT` for https).
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its address.
    pub url: Url,
    /// User and password, where it asks for them.
    pub login: Option<(String, Secret)>,
}

impl HttpKeys {
    /// Reads them; problems go to the table.
    pub fn read(table: &mut ConfigTable) -> Self {
        Self { timeout: table.duration("timeout"), ..Self::connection(table) }
    }

    /// The same without `timeout`, for accounts that have other words for it.
    pub fn connection(table: &mut ConfigTable) -> Self {
        Self {
            timeout: None,
            proxy: table.table("proxy").and_then(ProxyKeys::read),
            ca_bundle: table.text("ca_bundle").map(PathBuf::from),
            private_hosts: table.texts_at("private_hosts").unwrap_or_default().into_iter().map(|(h, _)| h).collect(),
        }
    }

    /// The time after which a call counts as unanswered: 60 seconds where nothing is said.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(HttpOptions::default().timeout)
    }

    /// With handles that read secrets and files when the client is built.
    pub fn options(&self, kit: &Kit) -> HttpOptions {
        let proxy = self.proxy.as_ref().map(|proxy| Proxy {
            url: proxy.url.clone(),
            login: proxy.login.as_ref().map(|(user, password)| (user.clone(), kit.secret(password))),
        });
        let within = proxy.iter().filter_map(|proxy| proxy.url.host_str()).map(str::to_owned);
        HttpOptions {
            first_byte_timeout: self.timeout(),
            timeout: self.timeout(),
            reach: Reach::and(self.private_hosts.iter().cloned().chain(within)),
            proxy,
            ca_bundle: self.ca_bundle.as_ref().map(|path| kit.secret(&SecretRef::File(path.clone()))),
            ..HttpOptions::default()
        }
    }

    /// The hosts that are really connected to, of those that are called.
    pub fn hosts(&self, called: Vec<String>) -> Vec<String> {
        self.proxy.as_ref().map_or(called, |proxy| vec![host_and_port(&proxy.url)])
    }
}

impl ProxyKeys {
    fn read(mut table: ConfigTable) -> Option<Self> {
        let address = table.required_text_at("url");
        let user = table.text("user");
        let password = table.secret("password");
        if user.is_some() != password.is_some() {
            let message = format!("`{}` needs `user` and `password`, or neither", table.path());
            let remedy = "give both, or none for a proxy that asks for no login";
            table.problems().refuse("contradiction", table.span(), message, remedy);
        }
        let (text, span) = address?;
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if url.is_none() {
            let message = format!("`{}` is not the URL of a proxy", table.path_of("url"));
            let problem = Problem::error("bad-url", message).at(&span).masked();
            table
                .problems()
                .push(problem.remedy("write it as \"http://proxy.example.com:3128\"; a login has keys of its own"));
        }
        table.finish();
        Some(Self { url: url?, login: user.zip(password) })
    }
}

/// The JSON Schema of an account: the vendor's `own` properties, and those that all accounts over HTTP share. `live` is
/// where the API is when `base_url` is left out.
pub fn account_schema(live: &str, own: Value, required: &[&str]) -> Value {
    let mut properties = connection_schema();
    properties["quota"] = json!({
        "description": "Share of the account's limits that backhaul may use. Default \"100%\"; where it is written, the limits hold for a stand-in too.",
        "type": "string",
        "pattern": "^[0-9.]+ *%$"
    });
    properties["base_url"] = json!({
        "description": format!("Where the API is; a loopback address means a stand-in. Default {live}."),
        "type": "string",
        "format": "uri"
    });
    properties["timeout"] = schema::text("How long a call may take. Default \"60s\".");
    if let (Value::Object(all), Value::Object(own)) = (&mut properties, own) {
        all.extend(own);
    }
    json!({ "properties": properties, "required": required })
}

/// The JSON Schemas of `proxy`, `ca_bundle` and `private_hosts`.
pub fn connection_schema() -> Value {
    json!({
        "proxy": {
            "description": "The proxy through which calls go. Proxies that the environment names are not used.",
            "type": "object",
            "properties": {
                "url": { "type": "string", "format": "uri", "description": "As \"http://proxy.example.com:3128\"" },
                "user": { "type": "string" },
                "password": { "$ref": "#/$defs/Secret" }
            },
            "required": ["url"],
            "additionalProperties": false
        },
        "ca_bundle": schema::text("A PEM file of certificate authorities that are trusted besides the system's."),
        "private_hosts": {
            "description": "Hosts inside the own network that may be connected to.",
            "type": "array",
            "items": { "type": "string" }
        }
    })
}
