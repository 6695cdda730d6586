//! Reading: calls that change nothing, and the ids of records that are there.

use std::collections::HashMap;

use backhaul_kit::http::Request;
use backhaul_kit::{Fault, Lookup, Match, Value};
use reqwest::Method;
use serde_json::Value as Json;

use super::answer;
use super::object::{EXTERNAL_ID, Object};
use super::send::ZendeskDestination;

/// External ids that are looked for in a call: of the 100 that Zendesk takes, as many as fit into a URL where they are
/// long.
const LOOKED_UP: usize = 25;

/// Whether records of `object` are looked up by their field `by`.
pub(super) fn is_looked_up(object: &str, by: &str) -> bool {
    by == EXTERNAL_ID && Object::named(object).is_some_and(|object| !object.is_tickets())
}

impl ZendeskDestination {
    /// The JSON of a call that only reads; `None` where there is nothing of the kind.
    pub(super) async fn ask(&self, request: Request) -> Result<Option<Json>, Fault> {
        let answer = self.http.ask(request).await?;
        self.steer(&answer);
        if answer.status.as_u16() == 404 {
            return Ok(None);
        }
        answer::refused(&answer, 0).map_err(Fault::not_applied)?;
        answer.json().map(Some).ok_or_else(|| Fault::transient("Zendesk's answer is not JSON"))
    }

    /// A call that only reads.
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Request, Fault> {
        let mut request = self.sync.account.call(Method::GET, path)?;
        if !query.is_empty() {
            request.url.query_pairs_mut().extend_pairs(query);
        }
        Ok(request)
    }

    /// The JSON of what is always there.
    pub(super) async fn read(&self, request: Request) -> Result<Json, Fault> {
        let nothing = || Fault::config("Zendesk's API is not there").remedy("check `subdomain` and `base_url`");
        self.ask(request).await?.ok_or_else(nothing)
    }

    /// The calls that look for records by their external ids.
    pub(super) fn look_ups(&self, query: &Lookup) -> Result<Vec<Request>, Fault> {
        if !is_looked_up(&query.object, &query.by) {
            return Err(Fault::config(format!("Zendesk's `{}` are not looked up by `{}`", query.object, query.by))
                .remedy("users and organizations are looked up by external_id"));
        }
        let asked: Vec<String> = query.values.iter().map(Value::to_text).filter(|text| can_be_asked(text)).collect();
        let call = |ids: &[String]| self.get(&[&query.object, "show_many"], &[("external_ids", &ids.join(","))]);
        asked.chunks(LOOKED_UP).map(call).collect()
    }

    /// Users or organizations by their external ids, of which no two have the same.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let mut found = HashMap::new();
        for call in self.look_ups(query)? {
            let json = self.read(call).await?;
            let records = json[&query.object].as_array();
            for record in records.ok_or_else(|| Fault::transient("Zendesk's answer to a look-up is unreadable"))? {
                let (external_id, id) = (record[EXTERNAL_ID].as_str(), record["id"].as_u64());
                // A deleted user is not active.
                if let (Some(external_id), Some(id), true) = (external_id, id, record["active"] != false) {
                    found.insert(external_id.to_lowercase(), id);
                }
            }
        }
        let told = |text: String| match found.get(&text.to_lowercase()) {
            Some(id) => Match::One(id.to_string()),
            None if text.is_empty() || can_be_asked(&text) => Match::Absent,
            None => Match::Untold,
        };
        Ok(query.values.iter().map(|value| told(value.to_text())).collect())
    }
}

/// Whether Zendesk can be asked for an external id.
fn can_be_asked(external_id: &str) -> bool {
    !external_id.is_empty() && !external_id.contains(',')
}
