//! A stand-in of HubSpot's CRM API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes, the properties API, listing and single reads, and the
//! introspection of private apps; it has scopes, caps, unique and read-only properties, enumerations, multi-status
//! answers, rolling limits with their headers, and faults on demand (`settings`).
//!
//! | file | what is there |
//! |---|---|
//! | `settings` | what it alone can be told |
//! | `property` | definitions of properties and the check of a value |
//! | `record` | one record, packed |
//! | `store` | the records of the account |
//! | `batch` | how a batch changes them |
//! | `envelope` | the vendor's JSON |
//! | `routes` | the calls |
//!
//! It differs from HubSpot where nothing is documented: an unknown property refuses the whole batch, codes
//! of refused values other than `INVALID_EMAIL` and `PROPERTY_DOESNT_EXIST` are plausible names,
//! `lifecyclestage` may move backwards, secondary e-mail addresses do not exist, and upserts by `email`
//! keep the properties that they do not name.

mod batch;
mod envelope;
mod property;
mod record;
mod routes;
mod settings;
mod store;

use std::collections::BTreeSet;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, Sort, StandIn, Stopped, Told};
use envelope::Problem;
use store::Store;

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
    /// Calls in a day; 0: no limit.
    per_day: u64,
    /// Calls of this day.
    of_day: u64,
    store: Store,
}

impl StandIn for Account {
    const NAME: &'static str = "hubspot";
    const SETTINGS: &'static [Setting] = settings::SETTINGS;

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            common: Common::new("sandbox-token", 1),
            hub_id: 4_242_424,
            scopes: settings::every_scope(),
            per_day: 0,
            of_day: 0,
            store: Store::default(),
        })
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn sort(&self, call: &Call<'_>) -> Sort {
        if call.path.starts_with(&["crm", "v3", "objects"]) { Sort::Write } else { Sort::Read }
    }

    fn permit(&mut self, _call: &Call<'_>) -> Result<(), Answer> {
        if self.per_day > 0 && self.of_day >= self.per_day {
            return Err(Problem::throttled("DAILY", "You have reached your daily limit.").answer());
        }
        Ok(())
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        let problem = match why {
            Stopped::Stranger => {
                let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
                Problem::new(401, "INVALID_AUTHENTICATION", message)
            }
            Stopped::Limit => {
                let message = "You have reached your ten_secondly_rolling limit.";
                Problem::throttled("TEN_SECONDLY_ROLLING", message)
            }
            Stopped::Throttled => Problem::throttled("SECONDLY", "You have reached your secondly limit."),
            Stopped::Failed => Problem::new(500, "INTERNAL_ERROR", "internal error"),
        };
        problem.answer()
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        self.of_day += 1;
        self.call(call).unwrap_or_else(Problem::answer)
    }

    fn mark(&mut self, _call: &Call<'_>, answer: &mut Answer) {
        let window = &self.common.window;
        if window.cap() > 0 {
            answer.header("x-hubspot-ratelimit-max", &window.cap());
            answer.header("x-hubspot-ratelimit-remaining", &window.left());
            answer.header("x-hubspot-ratelimit-interval-milliseconds", &window.length().as_millis());
        }
        if self.per_day > 0 {
            answer.header("x-hubspot-ratelimit-daily", &self.per_day);
            answer.header("x-hubspot-ratelimit-daily-remaining", &self.per_day.saturating_sub(self.of_day));
        }
    }

    fn records(&mut self) -> Value {
        self.store.snapshot()
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        settings::set(self, told)
    }
}
