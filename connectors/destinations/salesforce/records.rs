//! Finding records that are there, by SOQL.

use backhaul_kit::http::Request;
use backhaul_kit::json::{items, text};
use backhaul_kit::{Fault, Lookup, Match, Prepared as _, Value};
use reqwest::Method;
use serde_json::Value as Json;

use super::send::SalesforceDestination;
use super::sync::ID;

/// Bytes of the values of one query: in its URL each may become three. No limit of Salesforce's was found; servers
/// commonly take 16,384.
const MAX_VALUES: usize = 4000;
/// The types of fields that hold numbers.
const NUMBERS: [&str; 5] = ["int", "long", "double", "currency", "percent"];

impl SalesforceDestination {
    /// The records that have these values.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let (mut matches, mut requests) = (vec![Match::Absent; query.values.len()], self.queries(query)?);
        let is_number = self.is_number(query);
        let wanted: Vec<_> = query.values.iter().map(|value| compared(&value.to_text(), is_number)).collect();
        while let Some(request) = requests.pop() {
            let page = self.http.read(request).await?;
            let records = page["records"].as_array();
            for record in records.ok_or_else(|| Fault::transient("Salesforce's answer has no records"))? {
                let text = |name: &str| match record.get(name)? {
                    Json::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                let (Some(id), Some(own)) = (text(ID), text(&query.by)) else { continue };
                let own = compared(&own, is_number);
                let is_it = |value: &Option<String>| own.is_some() && *value == own;
                for (known, _) in matches.iter_mut().zip(&wanted).filter(|(_, value)| is_it(value)) {
                    *known = known.clone().and(Match::One(id.clone()));
                }
            }
            // The locator is all that is taken from the answer.
            if let Some(name) = page["nextRecordsUrl"].as_str().and_then(|url| url.rsplit('/').next()) {
                requests.push(self.sync.account.call(Method::GET, &["query", name])?);
            }
        }
        Ok(matches)
    }

    /// The queries for these values.
    pub(super) fn queries(&self, query: &Lookup) -> Result<Vec<Request>, Fault> {
        let Lookup { object, by, values } = query;
        self.sync.check_lookup(object, by).map_err(|why| Fault::config(format!("Salesforce {why}")))?;
        let (mut lists, is_number) = (Vec::<String>::new(), self.is_number(query));
        for literal in values.iter().filter_map(|value| literal(value.to_text(), is_number)) {
            match lists.last_mut().filter(|list| list.len() + literal.len() < MAX_VALUES) {
                Some(list) => *list = format!("{list},{literal}"),
                None => lists.push(literal),
            }
        }
        let select = if by == ID { String::from(ID) } else { format!("{ID}, {by}") };
        let query = |values: String| {
            let soql = format!("SELECT {select} FROM {object} WHERE {by} IN ({values})");
            let mut request = self.sync.account.call(Method::GET, &["query"])?;
            request.url.query_pairs_mut().append_pair("q", &soql);
            Ok(request)
        };
        lists.into_iter().map(query).collect()
    }

    /// Whether all values are numbers, or the field is known to hold numbers.
    fn is_number(&self, Lookup { object, by, values }: &Lookup) -> bool {
        let known = self.described.get().filter(|_| *object == self.sync.matched.object);
        let mut fields = known.into_iter().flat_map(|object| items(&object["fields"]));
        let number = |value| matches!(value, &Value::Int(_) | Value::Decimal(_) | Value::Number(_) | Value::Float(_));
        values.iter().all(number)
            || fields.any(|field| text(field, "name") == by && NUMBERS.contains(&text(field, "type")))
    }
}

/// What Salesforce compares of a text: of numbers the number (of what is none nothing), else all but the case.
fn compared(text: &str, is_number: bool) -> Option<String> {
    let number = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(|number| number.to_string());
    if is_number { number() } else { Some(text.to_lowercase()) }
}

/// A value as it stands in a query (SOQL and SOSL reference: reserved characters); none for what no field of numbers has.
fn literal(text: String, is_number: bool) -> Option<String> {
    if is_number {
        return compared(&text, true).map(|_| text);
    }
    let escapes = [("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")];
    Some(format!("'{}'", escapes.iter().fold(text, |text, (character, escaped)| text.replace(character, escaped))))
}
