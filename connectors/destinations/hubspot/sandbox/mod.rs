//! A stand-in of HubSpot's CRM API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes, the properties API, listing and single reads, and the
//! introspection of private apps; it has scopes, caps, unique and read-only properties, enumerations, multi-status
//! answers, rolling limits with their headers, and faults on demand.
//!
//! | file | what is there |
//! |---|---|
//! | `property` | definitions of properties and the check of a value |
//! | `object` | an object of the account: its properties and records |
//! | `routes` | the calls that change no records |
//! | `batch` | batch calls, and how they change the records |
//! | `problem` | the vendor's errors |
//!
//! It differs from HubSpot where nothing is documented: an unknown property refuses the whole batch, codes
//! of refused values other than `INVALID_EMAIL` and `PROPERTY_DOESNT_EXIST` are plausible names,
//! `lifecyclestage` may move backwards, secondary e-mail addresses do not exist, and upserts by `email`
//! keep the properties that they do not name.

mod batch;
mod object;
mod problem;
mod property;
mod routes;

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Value, json};

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, Sort, StandIn, Stopped, Told, Window};
use object::Object;
use problem::Problem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `backhaul sandbox hubspot`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// All state of a running stand-in.
#[derive(Debug)]
struct Account {
    common: Common,
    hub_id: u64,
    scopes: BTreeSet<String>,
    /// The limit of a day.
    day: Window,
    objects: Vec<Object>,
}

impl StandIn for Account {
    const NAME: &'static str = "hubspot";
    const SETTINGS: &'static [Setting] = &[
        ("hub_id", "the account's id"),
        ("scopes", "what the token may do, separated by commas; `all` for everything"),
        ("objects", "custom objects to add, as `2-100=machine`, separated by commas"),
        ("properties", "properties to add, as `contacts.plan:enumeration:free|pro,contacts.customer_id:string:unique`"),
        ("per_day", "the limit of a day; 0 for none"),
        (
            "reject",
            "values to refuse, as `INVALID_OWNER:owner=7`, separated by commas, or a share of the rows, as `1%`; empty for none",
        ),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            common: Common::new("sandbox-token", 1),
            hub_id: 4_242_424,
            scopes: routes::every_scope(),
            day: Window::fixed(),
            objects: object::standard().into(),
        })
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn sort(&self, call: &Call<'_>) -> Sort {
        if call.path.starts_with(&["crm", "v3", "objects"]) { Sort::Write } else { Sort::Read }
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        let stranger = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
        self.refused(match why {
            Stopped::Stranger => Problem::new(401, "INVALID_AUTHENTICATION", stranger),
            Stopped::Limit => Problem::reached("TEN_SECONDLY_ROLLING"),
            Stopped::Throttled => Problem::reached("SECONDLY"),
            Stopped::Failed => Problem::new(500, "INTERNAL_ERROR", "internal error"),
        })
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        let said = if self.day.admit() { self.call(call) } else { Err(Problem::reached("DAILY")) };
        said.map_or_else(|problem| self.refused(problem), Answer::from)
    }

    fn mark(&mut self, _call: &Call<'_>, answer: &mut Answer) {
        let (window, day) = (&self.common.window, &self.day);
        if window.cap() > 0 {
            answer.header("x-hubspot-ratelimit-max", &window.cap());
            answer.header("x-hubspot-ratelimit-remaining", &window.left());
            answer.header("x-hubspot-ratelimit-interval-milliseconds", &window.length().as_millis());
        }
        if day.cap() > 0 {
            answer.header("x-hubspot-ratelimit-daily", &day.cap());
            answer.header("x-hubspot-ratelimit-daily-remaining", &day.left());
        }
    }

    fn records(&mut self) -> Value {
        self.objects.iter().map(|object| (object.names[0].clone(), object.records())).collect()
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "hub_id" => self.hub_id = told.number()?,
            "scopes" if told.value == "all" => self.scopes = routes::every_scope(),
            "scopes" => self.scopes = told.texts(),
            "objects" => told.each(|item| self.add_object(item))?,
            "properties" => told.each(|item| self.add_property(item))?,
            "per_day" => self.day.limit(told.number()?, DAY),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Account {
    /// The answer of a refused call. Ids count up, so that two answers can be told apart.
    fn refused(&self, Problem(status, mut body): Problem) -> Answer {
        body["correlationId"] = json!(format!("00000000-0000-4000-8000-{:012x}", self.common.calls));
        (status, body).into()
    }

    /// Adds a custom object, as `2-100=machine`; `None` for an impossible or a taken one.
    fn add_object(&mut self, text: &str) -> Option<()> {
        let (id, name) = text.split_once('=')?;
        let number = id.strip_prefix("2-").filter(|number| number.parse::<u64>().is_ok());
        if number.is_none() || name.is_empty() || self.place(id).is_some() {
            return None;
        }
        self.objects.push(Object::new([id.to_owned(), format!("p{}_{name}", self.hub_id)], "custom", "CUSTOM_OBJECT"));
        Some(())
    }

    /// Adds a property, as `contacts.plan:enumeration:free|pro`; `None` for an impossible or a taken one.
    fn add_property(&mut self, text: &str) -> Option<()> {
        let (object, definition) = text.split_once('.')?;
        let place = self.place(object)?;
        self.objects[place].add_property(property::read(definition)?)
    }

    /// Which object it is that has a name.
    fn place(&self, name: &str) -> Option<usize> {
        self.objects.iter().position(|object| object.names.iter().any(|known| known == name))
    }
}
