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
        let (mut matches, of_numbers) = (vec![Match::Absent; query.values.len()], self.is_of_numbers(query));
        let mut requests = self.queries(query)?;
        while let Some(request) = requests.pop() {
            let page = self.read(request).await?;
            let records = page["records"].as_array();
            for record in records.ok_or_else(|| Fault::transient("Salesforce's answer has no records"))? {
                let text = |name: &str| match record.get(name)? {
                    Json::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                let (Some(id), Some(own)) = (text(ID), text(&query.by)) else { continue };
                for (known, value) in matches.iter_mut().zip(&query.values) {
                    if is(value, of_numbers, &own) {
                        *known = known.clone().and(Match::One(id.clone()));
                    }
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
        let (of_numbers, mut lists) = (self.is_of_numbers(query), Vec::<String>::new());
        for literal in values.iter().filter_map(|value| literal(value, of_numbers)) {
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

    /// Whether the field that is asked by is known to hold numbers.
    fn is_of_numbers(&self, query: &Lookup) -> bool {
        let fields =
            self.described.get().filter(|_| query.object == self.sync.matched.object).map(|object| &object["fields"]);
        let mut field = fields.into_iter().flat_map(items).filter(|field| text(field, "name") == query.by);
        field.any(|field| NUMBERS.contains(&text(field, "type")))
    }
}

/// The number that a value is compared as, where it is one or its field holds numbers.
fn number(value: &Value, of_numbers: bool) -> Option<Option<f64>> {
    let is_number = matches!(value, Value::Int(_) | Value::Decimal(_) | Value::Number(_) | Value::Float(_));
    (is_number || of_numbers).then(|| value.to_text().parse().ok().filter(|number: &f64| number.is_finite()))
}

/// A value as it stands in a query (SOQL and SOSL reference: reserved characters); none for what no field of numbers has.
fn literal(value: &Value, of_numbers: bool) -> Option<String> {
    let text = value.to_text();
    if let Some(number) = number(value, of_numbers) {
        return number.map(|_| text);
    }
    let escapes = [("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")];
    Some(format!("'{}'", escapes.iter().fold(text, |text, (character, escaped)| text.replace(character, escaped))))
}

/// Whether Salesforce takes the text that a record has for this value.
fn is(value: &Value, of_numbers: bool, own: &str) -> bool {
    match number(value, of_numbers) {
        Some(number) => number.is_some() && number == own.parse().ok(),
        None => value.to_text().to_lowercase() == own.to_lowercase(),
    }
}
