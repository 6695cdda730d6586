//! The calls of the stand-in.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Account;
use super::form::{self, Params, Refusal, invalid, refusal};
use crate::destinations::stand_in::{Call, form as read, quoted};

/// Customers on a page, where the call does not say.
const PAGE: usize = 10;

/// Answers by idempotency key: what was asked, and what was said.
pub(super) type Answered = HashMap<String, (String, Params, Said)>;

/// A status and a body; both arms are answers.
pub(super) type Said = Result<(u16, Value), Refusal>;

/// What a key must be allowed for a call; empty for no such call.
pub(super) fn permission(call: &Call<'_>) -> &'static str {
    match (call.path, call.method) {
        (["v1", "account"], "GET") => "rak_account_read",
        (["v1", "charges"], "GET") => "rak_charge_read",
        (["v1", "customers", ..], "GET") => "rak_customer_read",
        (["v1", "customers", ..], _) => "rak_customer_write",
        _ => "",
    }
}

impl Account {
    pub(super) fn call(&mut self, call: &Call<'_>) -> Said {
        let found = |kind: &str, data: Vec<Value>, has_more: bool| {
            let url = format!("/{}", call.path.join("/"));
            Ok((200, json!({ "object": kind, "data": data, "has_more": has_more, "url": url })))
        };
        match (call.method, call.path) {
            ("GET", ["v1", "account"]) => Ok((200, json!({ "id": self.id, "object": "account" }))),
            ("GET", ["v1", "charges"]) => found("list", Vec::new(), false),
            ("GET", ["v1", "customers"]) => {
                let limit = call.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE);
                let (data, has_more) = self.customers.list(limit);
                found("list", data, has_more)
            }
            ("GET", ["v1", "customers", "search"]) => {
                let (key, value) = parsed(call.query("query").unwrap_or_default())
                    .ok_or_else(|| invalid(400, "", "We were unable to parse your search query", Some("query")))?;
                found("search_result", self.customers.search(&key, &value, self.search_lag), false)
            }
            ("GET", ["v1", "customers", id]) => {
                let place = self.customers.place(id).ok_or_else(|| missing(id))?;
                Ok((200, self.customers.json(place)))
            }
            ("POST", ["v1", "customers"]) => self.once(call, |account| account.write(None, read(call.body))),
            ("POST", ["v1", "customers", id]) => self.once(call, |account| account.write(Some(id), read(call.body))),
            ("DELETE", ["v1", "customers", id]) => {
                let place = self.customers.place(id).filter(|place| self.customers.values(*place).is_some());
                let place = place.ok_or_else(|| missing(id))?;
                self.customers.delete(place);
                Ok((200, self.customers.json(place)))
            }
            _ => {
                let message = format!("Unrecognized request URL (/{}).", call.path.join("/"));
                Err(invalid(404, "", &message, None))
            }
        }
    }

    /// Says it once for an idempotency key, and the same again for all that follow.
    pub(super) fn once(&mut self, call: &Call<'_>, say: impl FnOnce(&mut Self) -> Said) -> Said {
        let (path, params) = (call.path.join("/"), read(call.body));
        let Some(key) = call.header("idempotency-key") else { return say(self) };
        if let Some((before, with, said)) = self.answered.get(key) {
            if (before, with) != (&path, &params) {
                let message = "Keys for idempotent requests can only be used with the same parameters \
                               they were first used with.";
                return Err(refusal(400, "idempotency_error", "", message, None));
            }
            return said.clone();
        }
        let said = say(self);
        // What fails validation is not kept.
        if said.as_ref().map_or_else(|(status, _)| *status >= 500, |_| true) {
            self.answered.insert(key.to_owned(), (path, params, said.clone()));
        }
        said
    }

    /// Creates or updates a customer.
    fn write(&mut self, id: Option<&str>, params: Params) -> Said {
        let nothing = Params::new();
        let place = id.map(|id| self.customers.place(id).ok_or_else(|| missing(id))).transpose()?;
        let there = match (place, id) {
            (Some(place), Some(id)) => self.customers.values(place).ok_or_else(|| missing(id))?,
            _ => &nothing,
        };
        form::check(&params, there, &self.common.rejects)?;
        let place = place.unwrap_or_else(|| self.customers.create());
        self.customers.update(place, params);
        Ok((200, self.customers.json(place)))
    }
}

fn missing(id: &str) -> Refusal {
    invalid(404, "resource_missing", &format!("No such customer: '{id}'"), Some("id"))
}

/// `metadata['KEY']:'VALUE'`.
fn parsed(query: &str) -> Option<(String, String)> {
    let (key, rest) = quoted(query.strip_prefix("metadata[")?)?;
    let (value, rest) = quoted(rest.strip_prefix("]:")?)?;
    rest.is_empty().then_some((key, value))
}
