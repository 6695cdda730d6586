//! A stand-in of Stripe's API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes: creating, updating, reading, deleting, listing and searching
//! customers, the account, and charges (of which there are none). It has permissions, idempotency keys that replay
//! their first answer, a search that lags, a limit, and faults on demand.
//!
//! | file | what is there |
//! |---|---|
//! | `customers` | the customers, and the index of the search |
//! | `form` | parameters and their rules |
//! | `routes` | the calls |
//!
//! It differs from Stripe where nothing is documented: permissions other than `rak_customer_write` and
//! `rak_customer_read` are plausible names, a key is never still running (409), parts of an address that are not sent
//! stay, a deleted customer cannot be updated (404), and parameters that the destination never writes are unknown.

mod customers;
mod form;
mod routes;

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, StandIn, Stopped, Told};
use customers::Customers;
use form::{invalid, refusal};

/// What a restricted key for customers may do, with the account that it belongs to.
const RESTRICTED: [&str; 3] = ["rak_customer_write", "rak_customer_read", "rak_account_read"];

/// `backhaul sandbox stripe`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Account {
    common: Common,
    id: String,
    permissions: BTreeSet<String>,
    search_lag: Duration,
    customers: Customers,
    answered: routes::Answered,
}

impl StandIn for Account {
    const NAME: &'static str = "stripe";
    const SETTINGS: &'static [Setting] = &[
        ("token", "the API key; another one makes all others expire"),
        ("account", "the account's id"),
        ("permissions", "what the key may do, separated by commas; `all` for a secret key's rights"),
        ("search_lag", "milliseconds until a change can be found by the search"),
        ("forget_keys", "any value: idempotency keys are forgotten, as after 24 hours"),
        ("fail_next", "how many of the next writes are answered with 500, unapplied; kept under their idempotency key"),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            common: Common::new("rk_test_sandbox", 0),
            id: String::from("acct_sandbox"),
            permissions: RESTRICTED.map(str::to_owned).into(),
            ..Self::default()
        })
    }

    fn account(&self) -> String {
        String::from("key = { secret = \"sandbox\" }\n")
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn permit(&mut self, call: &Call<'_>) -> Result<(), Answer> {
        let permission = routes::permission(call);
        if permission.is_empty() || [permission, "all"].iter().any(|one| self.permissions.contains(*one)) {
            return Ok(());
        }
        let message = format!(
            "The provided key does not have the required permissions for this endpoint. \
             Having the '{permission}' permission would allow this request to continue."
        );
        Err(invalid(403, "", &message, None).into())
    }

    fn refuse(&mut self, call: &Call<'_>, why: Stopped) -> Answer {
        match why {
            Stopped::Stranger => invalid(401, "", "Invalid API Key provided", None).into(),
            Stopped::Limit | Stopped::Throttled => invalid(429, "rate_limit", "Too many requests", None).into(),
            Stopped::Failed => {
                let said = Err(refusal(500, "api_error", "", "An unknown error occurred", None));
                self.once(call, |_| said).unwrap_or_else(|refused| refused).into()
            }
        }
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        self.call(call).unwrap_or_else(|refused| refused).into()
    }

    fn records(&mut self) -> Value {
        self.customers.records()
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "account" => self.id = told.text(),
            "permissions" => self.permissions = told.texts(),
            "search_lag" => self.search_lag = told.millis()?,
            "forget_keys" => self.answered.clear(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
