//! The contract of a destination: from a TOML table to verdicts.
//!
//! Reading ([`DestinationKind::account`](crate::DestinationKind::account), [`Account::sync`]) is pure; [`Prepared::open`]
//! may build clients but starts nothing; only the engine polls, retries, waits and spawns.

use std::sync::Arc;

use async_trait::async_trait;

use crate::batch::{Address, Batch, Delivery, Operation, Progress, SaveTicket, Ticket};
use crate::config::ConfigTable;
use crate::context::Kit;
use crate::facts::{AddressKind, Facts};
use crate::fault::Fault;
use crate::http::HttpAccount;
use crate::http::limit::Limiter;
use crate::preview::RequestPreview;
use crate::shape::SyncShape;
use crate::source::TypeClass;
use crate::value::{FieldValue, Value};

/// A checked `[destinations.X]`.
pub trait Account: Send + Sync {
    /// Reads the rest of a sync's `[into]`, which was checked against the kind's [`Object`](crate::Object). Problems go to
    /// the table; `None` where nothing can be made of it. No I/O.
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>>;

    /// What it has of an account over HTTP, where it is one with a single base URL.
    fn http(&self) -> Option<&HttpAccount> {
        None
    }

    /// Whether it points to a stand-in on this machine rather than to a live account.
    fn is_stand_in(&self) -> bool {
        self.http().is_some_and(HttpAccount::is_stand_in)
    }

    /// The hosts that are connected to, as `host:port`.
    fn hosts(&self) -> Vec<String> {
        self.http().map(HttpAccount::hosts).unwrap_or_default()
    }

    /// The limiter of its calls, where it has one: for forecasts.
    fn limiter(&self, kit: &Kit) -> Option<Arc<Limiter>> {
        self.http().map(|http| http.limiter(kit))
    }

    /// The same where a secret names the host. By default [`hosts`](Account::hosts).
    ///
    /// # Errors
    /// A secret that cannot be read.
    fn secret_hosts(&self, kit: &Kit) -> Result<Vec<String>, Fault> {
        let _ = kit;
        Ok(self.hosts())
    }
}

/// A checked destination of one sync, not yet connected.
pub trait Prepared: Send + Sync {
    /// What is true of an operation here.
    fn facts(&self, operation: Operation) -> Facts;

    /// The same in a run that sends `rows` rows, for destinations that take many another way than few. Only caps,
    /// evidence, concurrency and waits may be others than those of [`facts`](Prepared::facts).
    fn facts_for(&self, operation: Operation, rows: u64) -> Facts {
        let _ = rows;
        self.facts(operation)
    }

    /// For [`AddressKind::Hashes`](crate::AddressKind::Hashes): what a row with these fields is found by once it was
    /// sent, one a line; empty where nothing would find it. The fields themselves are gone by the time of a removal.
    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        let _ = fields;
        None
    }

    /// The object's name for the snapshot's manifest: `contacts`, a URL, a path.
    fn object(&self) -> String;

    /// Whether answers to writes tell the records' ids, so that rows of other syncs can refer to them. By default where
    /// some operation finds its record by them.
    fn gives_ids(&self) -> bool {
        Operation::ALL.iter().any(|operation| {
            let facts = self.facts(*operation);
            facts.max_rows > 0 && facts.address == AddressKind::RemoteId
        })
    }

    /// Whether records of `object` can be found by their field `by`: whether [`Destination::lookup`] knows them. Gives
    /// the scopes that it takes.
    ///
    /// # Errors
    /// Why not, as the end of a sentence (`has no object "User"`).
    fn check_lookup(&self, object: &str, by: &str) -> Result<Vec<String>, String> {
        let _ = (object, by);
        Err(String::from("cannot look records up"))
    }

    /// Builds the destination; starts nothing.
    ///
    /// # Errors
    /// A secret that cannot be read, a client that cannot be built.
    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault>;
}

/// A run, as a destination sees it.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run's id.
    pub id: String,
    /// The sync's name.
    pub sync: String,
    /// How many rows the plan sends, removals included.
    pub rows: u64,
    /// When it started (UTC).
    pub started: jiff::Timestamp,
}

/// What [`Destination::check`] found.
#[derive(Clone, Debug, Default)]
pub struct AccountReport {
    /// The account's lasting identity (`hubspot:12345`): bound into the snapshot.
    pub identity: String,
    /// Its name for people.
    pub label: String,
    /// Scopes that the sync needs and the credential lacks.
    pub missing: Vec<String>,
    /// Scopes that the credential has beyond need.
    pub excess: Vec<String>,
    /// What cannot be known here.
    pub unknowable: Vec<String>,
    /// The statements that give what the sync needs and no more, where the other side has such.
    pub grants: Vec<String>,
}

/// A field of an object at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectField {
    /// Its API name.
    pub name: String,
    /// The vendor's type name.
    pub native: String,
    /// The types of columns that fit, besides text, of which the vendor judges each value, and columns whose warehouse
    /// tells no types. None where all fit.
    pub accepts: Vec<TypeClass>,
    /// Allowed values of a choice field.
    pub choices: Vec<String>,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether its values are unique, so that rows can be matched by it.
    pub unique: bool,
}

impl ObjectField {
    /// A field that takes values of any type and can be written.
    pub fn new(name: impl Into<String>, native: impl Into<String>) -> Self {
        let (name, native, accepts) = (name.into(), native.into(), Vec::new());
        Self { name, native, accepts, choices: Vec::new(), writable: true, unique: false }
    }

    /// Whether a column of that type fits.
    pub fn takes(&self, class: &TypeClass) -> bool {
        use TypeClass as T;
        let fits = |accepted: &T| match (accepted, class) {
            (T::Array(accepted), T::Array(of)) => **accepted == T::Any || **of == T::Any || accepted == of,
            (accepted, class) => accepted == class,
        };
        self.accepts.is_empty() || matches!(class, T::Text | T::Any) || self.accepts.iter().any(fits)
    }
}

/// An object at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSchema {
    /// Its fields.
    pub fields: Vec<ObjectField>,
}

/// A question for existing records.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The object.
    pub object: String,
    /// The field to match.
    pub by: String,
    /// The values asked for: each once, none of them NULL, at most [`Lookup::MOST_VALUES`].
    pub values: Vec<Value>,
}

impl Lookup {
    /// The most values of one question; where the vendor takes fewer at once, a destination makes several calls of it.
    pub const MOST_VALUES: usize = 100;
}

/// An answer to a [`Lookup`]: a value that several records have gets several.
#[derive(Clone, Debug)]
pub struct Match {
    /// Place of the value asked for.
    pub value: usize,
    /// The record's id.
    pub remote_id: String,
}

/// A record read back.
#[derive(Clone, Debug)]
pub struct Found {
    /// Place of the address asked for.
    pub address: usize,
    /// The record's id.
    pub remote_id: Option<String>,
    /// Its fields.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// Whether a row whose answer was lost is at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    There {
        /// The record's id, where the answer gives it.
        remote_id: Option<String>,
    },
    /// It is not.
    Absent,
    /// It cannot be told.
    Unknown,
}

/// What a write may need besides its rows.
#[derive(Clone, Copy)]
pub struct Tickets<'a> {
    /// The session that [`begin`](Destination::begin) started, where there is one.
    pub session: Option<&'a Ticket>,
    /// Where the ticket of a job is kept before the next step of it.
    pub save: &'a dyn SaveTicket,
}

/// A destination: one object of one account.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Who are we there, and with which rights? Writes nothing.
    async fn check(&self) -> Result<AccountReport, Fault>;

    /// The object's fields, where the vendor tells.
    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        Ok(None)
    }

    /// Finds existing records, where [`Prepared::check_lookup`] says that it can. A value without an answer is one that
    /// no record has: what the vendor does not say is a fault.
    ///
    /// # Errors
    /// A fault says nothing of any value.
    async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        Err(Fault::config(format!("this destination cannot look up `{}`", query.object)))
    }

    /// Reads delivered records back; `None` where the vendor cannot.
    async fn read_back(&self, rows: &[Address]) -> Result<Option<Vec<Found>>, Fault> {
        let _ = rows;
        Ok(None)
    }

    /// Which rows of a batch whose answer was lost are there, in the batch's order. Asked no sooner than
    /// [`Facts::settle_after`] after the call, where [`Facts::read_back`] says that it can be. By default by their
    /// addresses.
    ///
    /// # Errors
    /// A fault says nothing of any row.
    async fn find_written(&self, run: &Run, batch: &Batch) -> Result<Vec<Presence>, Fault> {
        let _ = run;
        let addresses: Vec<Address> = batch.rows.iter().map(|row| row.address.clone()).collect();
        let Some(found) = self.read_back(&addresses).await? else {
            return Ok(vec![Presence::Unknown; batch.rows.len()]);
        };
        let absent = |address: &Address| if address.is_empty() { Presence::Unknown } else { Presence::Absent };
        let mut there: Vec<Presence> = addresses.iter().map(absent).collect();
        for Found { address, remote_id, .. } in found {
            if let Some(presence) = there.get_mut(address) {
                *presence = Presence::There { remote_id };
            }
        }
        Ok(there)
    }

    /// Starts a session, where the facts say that there is one.
    async fn begin(&self, run: &Run) -> Result<Option<Ticket>, Fault> {
        let _ = run;
        Ok(None)
    }

    /// Sends a batch. An empty batch makes no call.
    ///
    /// # Errors
    /// A fault speaks of the whole call; `Split` has the batch cut in two.
    async fn write(&self, run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault>;

    /// Commits a session: [`Delivery::Committed`] or a pending job.
    async fn finish(&self, run: &Run, session: &Ticket) -> Result<Delivery, Fault> {
        let _ = (run, session);
        Err(Fault::bug("finish on a destination without sessions"))
    }

    /// Asks after a job.
    ///
    /// # Errors
    /// A fault says nothing of any row and has the job asked after again, or the run stopped; `Split` ends a job that
    /// was done for some of its rows without telling which: it is cut in two and sent again, where that is safe.
    async fn poll(&self, run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let _ = (run, ticket, batch);
        Ok(Progress::Lost)
    }

    /// The requests that [`write`](Destination::write) would make, redacted.
    ///
    /// # Errors
    /// A batch that cannot be rendered.
    fn preview(&self, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault>;
}

/// A stand-in of a vendor's API.
#[async_trait]
pub trait SandboxKind: Send + Sync {
    /// The vendor's name on the command line.
    fn name(&self) -> &'static str;

    /// What it can be told (`--set key=value`), with one line each.
    fn settings(&self) -> Vec<(&'static str, &'static str)>;

    /// Serves on `listener` until the returned handle is dropped.
    ///
    /// # Errors
    /// A setting that is not known or has a wrong value.
    async fn start(
        &self,
        listener: tokio::net::TcpListener,
        settings: &[(String, String)],
    ) -> Result<Box<dyn Sandbox>, Fault>;
}

/// A running stand-in; dropping it stops it.
pub trait Sandbox: Send + Sync {
    /// Its base URL.
    fn url(&self) -> String;

    /// A credential that it accepts.
    fn token(&self) -> String;

    /// The keys of a `[destinations.X]` that points to it, as TOML, besides `type` and `base_url`. Its credential is
    /// `{ secret = "sandbox" }`.
    fn account(&self) -> String;

    /// How many API calls it has answered.
    fn calls(&self) -> u64;

    /// Its records: object → id → fields.
    fn records(&self) -> serde_json::Value;

    /// Changes a setting while it runs.
    ///
    /// # Errors
    /// A setting that is not known or has a wrong value.
    fn set(&self, key: &str, value: &str) -> Result<(), Fault>;

    /// Makes the tokens that it accepts expire: from now on [`token`](Sandbox::token) is another one, or clients have to ask
    /// for new access tokens.
    fn expire(&self);
}
