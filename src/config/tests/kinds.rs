//! Kinds of warehouses and destinations for tests, with the keys that real ones have. Nothing can be opened.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, ItemKind};
use backhaul_kit::{
    Account, AddressKind, Destination, DestinationKind, Facts, Fault, KindSchema, Kit, Mode, ModelQuery, Object,
    ObjectName, Operation, Prepared, Removed, Source, SourceKind, SyncShape, WarehouseConfig, WritePolicy,
};

use crate::config::Registry;

/// Three warehouses and two destinations.
pub(crate) static REGISTRY: Registry<'static> =
    Registry { warehouses: &[&Postgres, &Sqlite, &Files], destinations: &[&HUBSPOT, &HTTP] };

struct Postgres;
struct Sqlite;
struct Files;
struct Closed {
    keeps_snapshots: bool,
}
struct ClosedFolder;

impl WarehouseConfig for Closed {
    fn open(&self, _: Arc<Kit>) -> Result<Arc<dyn Source>, Fault> {
        Err(Fault::config("a warehouse of a test"))
    }

    fn keeps_snapshots(&self) -> bool {
        self.keeps_snapshots
    }
}

impl SourceKind for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn about(&self) -> &'static str {
        "a PostgreSQL database"
    }

    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>> {
        let url = table.required_secret("url");
        table.text("sslrootcert");
        url.map(|_| Box::new(Closed { keeps_snapshots: true }) as Box<dyn WarehouseConfig>)
    }

    fn json_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": "object", "required": ["url"], "properties": {
            "url": {"$ref": "#/$defs/Secret"}, "sslrootcert": {"type": "string"}
        }})
    }
}

impl SourceKind for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn about(&self) -> &'static str {
        "an SQLite file"
    }

    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>> {
        let path = table.required_text("path");
        path.map(|_| Box::new(Closed { keeps_snapshots: false }) as Box<dyn WarehouseConfig>)
    }

    fn json_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}})
    }
}

impl WarehouseConfig for ClosedFolder {
    fn check_query(&self, query: &ModelQuery) -> Result<(), Fault> {
        match query {
            ModelQuery::Files(pattern) if pattern.ends_with(".csv") => Ok(()),
            ModelQuery::Files(_) => Err(Fault::config("`files` must end in .csv").remedy("name files of CSV")),
            _ => Err(Fault::config("this warehouse knows no SQL").remedy("give the model `files`")),
        }
    }

    fn open(&self, _: Arc<Kit>) -> Result<Arc<dyn Source>, Fault> {
        Err(Fault::config("a warehouse of a test"))
    }
}

impl SourceKind for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn about(&self) -> &'static str {
        "a folder"
    }

    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>> {
        table.required_text("root").map(|_| Box::new(ClosedFolder) as Box<dyn WarehouseConfig>)
    }

    fn json_schema(&self) -> serde_json::Value {
        serde_json::json!({"type": "object", "required": ["root"], "properties": {"root": {"type": "string"}}})
    }
}

struct HubSpotAccount;
struct HttpAccount(String);

struct Ready {
    object: String,
    address: AddressKind,
    consent: &'static [&'static str],
}

impl Prepared for Ready {
    fn facts(&self, _: Operation) -> Facts {
        Facts { address: self.address, consent: self.consent, ..Facts::default() }
    }

    fn object(&self) -> String {
        self.object.clone()
    }

    fn gives_ids(&self) -> bool {
        self.address == AddressKind::MatchValue
    }

    fn check_lookup(&self, object: &str, _: &str) -> Result<Vec<String>, String> {
        match (self.address, object) {
            (AddressKind::MatchValue, "owners") => Ok(Vec::new()),
            (AddressKind::MatchValue, _) => Err(format!("has no object \"{object}\"")),
            _ => Err(String::from("cannot look records up")),
        }
    }

    fn open(&self, _: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Err(Fault::config("a destination of a test"))
    }
}

static HUBSPOT: DestinationKind = DestinationKind {
    name: "hubspot",
    title: "HubSpot",
    summary: "for tests",
    objects: &[Object {
        modes: &[Mode::Upsert, Mode::Update, Mode::Create, Mode::Audience],
        removed: &[Removed::Ignore, Removed::Archive, Removed::Clear],
        writes: &[WritePolicy::IfEmpty, WritePolicy::OnCreate],
        flat: true,
        ..Object::PLAIN
    }],
    proof: "docs only",
    validated: "",
    errors: &[],
    example: "",
    read: |table| {
        let token = table.required_secret("token");
        table.percent("quota");
        table.text("base_url");
        token.map(|_| Box::new(HubSpotAccount) as Box<dyn Account>)
    },
    schema: || KindSchema {
        account: serde_json::json!({"type": "object", "required": ["token"], "properties": {
            "token": {"$ref": "#/$defs/Secret"}, "quota": {"type": "string"}, "base_url": {"type": "string"}
        }}),
        into: serde_json::json!({"type": "object", "properties": {}}),
    },
    sandbox: None,
};

impl Account for HubSpotAccount {
    fn sync(&self, _: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        let object = shape.object.as_ref().map(|(object, _)| object.clone()).unwrap_or_default();
        Some(Arc::new(Ready { object, address: AddressKind::MatchValue, consent: &[] }))
    }
}

static HTTP: DestinationKind = DestinationKind {
    name: "http",
    title: "HTTP",
    summary: "for tests",
    objects: &[Object {
        name: ObjectName::Perhaps("any"),
        modes: &[Mode::Upsert, Mode::Update, Mode::Create, Mode::Audience, Mode::Append],
        removed: &[Removed::Ignore, Removed::Archive, Removed::Delete, Removed::Clear],
        writes: &[WritePolicy::IfEmpty, WritePolicy::OnCreate],
        ..Object::PLAIN
    }],
    proof: "docs only",
    validated: "",
    errors: &[],
    example: "",
    read: |table| {
        let url = table.required_text("url");
        if let Some(mut headers) = table.table("headers") {
            for (name, _) in headers.keys() {
                match headers.peek(&name) {
                    Some(ItemKind::Text(_)) if name != "Authorization" => drop(headers.text(&name)),
                    _ => drop(headers.secret(&name)),
                }
            }
            headers.finish();
        }
        url.map(|url| Box::new(HttpAccount(url)) as Box<dyn Account>)
    },
    schema: || KindSchema {
        account: serde_json::json!({"type": "object", "required": ["url"], "properties": {
            "url": {"type": "string"}, "headers": {"type": "object"}
        }}),
        into: serde_json::json!({"type": "object", "required": ["success"], "properties": {
            "path": {"type": "string"}, "success": {"type": "object"}
        }}),
    },
    sandbox: None,
};

impl Account for HttpAccount {
    fn sync(&self, into: &mut ConfigTable, _: &SyncShape) -> Option<Arc<dyn Prepared>> {
        let path = into.text("path").unwrap_or_default();
        if !into.has("success") {
            into.missing("success");
        }
        let mut success = into.table("success")?;
        let evidence = success.choice("evidence", &[("call", ()), ("row", ())]);
        success.finish();
        evidence.map(|()| {
            // The API of this path is an advertiser's.
            let consent: &[&str] = if path == "/audience" { &["ad_user_data", "ad_personalization"] } else { &[] };
            let object = format!("{}{path}", self.0);
            Arc::new(Ready { object, address: AddressKind::None, consent }) as Arc<dyn Prepared>
        })
    }
}
