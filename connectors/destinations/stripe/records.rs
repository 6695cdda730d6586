//! Finding customers that are there.

use backhaul_kit::http::Request;
use backhaul_kit::{Fault, Reason, Verdict};
use reqwest::Method;
use serde_json::Value;

use super::answer::{self, Said};
use super::send::StripeDestination;
use super::sync::{CUSTOMERS, Finder};
use super::wire::{Customer, Found};

/// What a search found.
#[derive(Debug)]
pub(super) enum Search {
    /// Nothing; which proves nothing of the last hour.
    Nothing,
    /// This customer, which is there now.
    One(String),
    /// The row cannot be sent.
    Refused(Verdict),
}

impl StripeDestination {
    /// The search for a value of the match key; none where customers are found by their ids.
    pub(super) fn search_call(&self, value: &str) -> Result<Option<Request>, Fault> {
        let Finder::Metadata(key) = &self.sync.finder else { return Ok(None) };
        let mut request = self.sync.account.call(Method::GET, &[CUSTOMERS, "search"])?;
        let query = format!("metadata['{}']:'{}'", quoted(key), quoted(value));
        // The most that a page has: the index is not exact about case, so that there can be more than one.
        request.url.query_pairs_mut().append_pair("query", &query).append_pair("limit", "100");
        Ok(Some(request))
    }

    /// The customer whose metadata has `value` under the match key.
    pub(super) async fn find(&self, value: &str) -> Result<Search, Fault> {
        let Some(search) = self.search_call(value)? else { return Ok(Search::Nothing) };
        let answer = self.http.ask(search).await?;
        if let Some(said) = answer::refusal(&answer, &self.sync.params).map_err(Fault::not_applied)? {
            return Ok(Search::Refused(said.verdict()));
        }
        let found: Found = answer.json().ok_or_else(|| Fault::transient("Stripe's search answer is unreadable"))?;
        let mut there = None;
        for candidate in found.data.into_iter().filter(|customer| self.is_of(customer, value)) {
            // The index lags: only what the customer itself says now counts.
            if !self.read(&candidate.id).await?.is_some_and(|customer| self.is_of(&customer, value)) {
                continue;
            }
            if there.replace(candidate.id).is_some() {
                let text = "several customers have this value in their metadata: leave it on one of them";
                return Ok(Search::Refused(Verdict::Rejected(Reason::new("AMBIGUOUS_MATCH", text))));
            }
        }
        Ok(there.map_or(Search::Nothing, Search::One))
    }

    /// Whether a customer has this match value.
    pub(super) fn is_of(&self, customer: &Customer, value: &str) -> bool {
        match &self.sync.finder {
            Finder::Metadata(key) => customer.metadata.get(key).and_then(Value::as_str) == Some(value),
            Finder::Id => customer.id == value,
        }
    }

    /// The customer as it is now; `None` where it is not there or was deleted.
    pub(super) async fn read(&self, id: &str) -> Result<Option<Customer>, Fault> {
        let request = self.sync.account.call(Method::GET, &[CUSTOMERS, id])?;
        let answer = self.http.ask(request).await?;
        match answer::refusal(&answer, &self.sync.params).map_err(Fault::not_applied)? {
            Some(Said::Gone(_)) => return Ok(None),
            Some(Said::Verdict(_)) => return Err(Fault::config("Stripe refused to read a customer")),
            None => {}
        }
        let customer: Customer = answer.json().ok_or_else(|| Fault::transient("Stripe's customer is unreadable"))?;
        Ok(Some(customer).filter(|customer| customer.id == id && !customer.deleted))
    }
}

/// A text inside the quotes of a search.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
