//! Reading: calls that change nothing, and the ids of records that are there.

use std::collections::HashMap;

use backhaul_kit::Fault;
use backhaul_kit::destination::{Lookup, Match};
use backhaul_kit::http::Request;
use reqwest::Method;
use serde_json::Value;

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
    pub(super) async fn ask(&self, request: Request) -> Result<Option<Value>, Fault> {
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
    pub(super) async fn read(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Fault> {
        let nothing = || Fault::config("Zendesk's API is not there").remedy("check `subdomain` and `base_url`");
        self.ask(self.get(path, query)?).await?.ok_or_else(nothing)
    }

    /// Lists of external ids, each for one call.
    pub(super) fn lists(values: &[String]) -> impl Iterator<Item = String> {
        values.chunks(LOOKED_UP).map(|values| values.join(","))
    }

    /// The ids of records, by their external ids in lower case.
    pub(super) async fn find(&self, object: &Object, values: &[String]) -> Result<HashMap<String, u64>, Fault> {
        let mut found = HashMap::new();
        for list in Self::lists(values) {
            let json = self.read(&[object.name, "show_many"], &[("external_ids", &list)]).await?;
            let records = json[object.name].as_array();
            for record in records.ok_or_else(|| Fault::transient("Zendesk's answer to a look-up is unreadable"))? {
                let (external_id, id) = (record[EXTERNAL_ID].as_str(), record["id"].as_u64());
                // A deleted user is not active.
                if let (Some(external_id), Some(id), true) = (external_id, id, record["active"] != false) {
                    found.insert(external_id.to_lowercase(), id);
                }
            }
        }
        Ok(found)
    }

    /// Users or organizations by their external ids.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let object = Object::named(&query.object).filter(|_| is_looked_up(&query.object, &query.by));
        let Some(object) = object else {
            return Err(Fault::config(format!("Zendesk's `{}` are not looked up by `{}`", query.object, query.by))
                .remedy("users and organizations are looked up by external_id"));
        };
        let values: Vec<String> = query.values.iter().map(|value| value.to_text().to_lowercase()).collect();
        let asked = values.iter().filter(|value| !value.is_empty() && !value.contains(',')).cloned();
        let found = self.find(object, &asked.collect::<Vec<_>>()).await?;
        let id = |(value, text): (usize, &String)| Some(Match { value, remote_id: found.get(text)?.to_string() });
        Ok(values.iter().enumerate().filter_map(id).collect())
    }
}
