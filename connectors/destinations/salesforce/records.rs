//! Finding records that are there, by SOQL.

use std::collections::BTreeSet;

use backhaul_kit::http::Request;
use backhaul_kit::json::{items, text};
use backhaul_kit::{Batch, Fault, Lookup, Match, Operation, Prepared as _, Row, Value};
use reqwest::Method;
use serde_json::Value as Json;

use super::draft::Ids;
use super::send::SalesforceDestination;
use super::sync::ID;

/// Bytes of the values of one query: in its URL each may become three. No limit of Salesforce's was found; servers
/// commonly take 16,384.
const MAX_VALUES: usize = 4000;
/// The types of fields that hold numbers.
const NUMBERS: [&str; 5] = ["int", "long", "double", "currency", "percent"];

/// A value that records are asked for by, and the row that wants it.
pub(super) type Wanted = (usize, Value);

impl SalesforceDestination {
    /// Each record that has a value: two of one value are told as two.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let wanted: Vec<Wanted> = query.values.iter().cloned().enumerate().collect();
        let hits = self.query(&query.object, &query.by, &wanted).await?;
        Ok(hits.into_iter().map(|(value, remote_id)| Match { value, remote_id }).collect())
    }

    /// What is remembered of each row's record.
    pub(super) fn remembered(&self, batch: &Batch) -> Vec<Ids> {
        let if_id = |value: Option<String>| value.filter(|_| self.sync.by_id());
        let id = |row: &Row| match batch.operation {
            // Under its match value there may be another record by now.
            Operation::Update => if_id(row.match_value(self.sync.match_place).ok()),
            _ => row.address.remote_id.clone().or_else(|| if_id(row.address.match_value.clone())),
        };
        batch.rows.iter().map(|row| id(row).map(|id| vec![id])).collect()
    }

    /// The match values to look for where a row's record is not known: the old one, and the present one.
    pub(super) fn sought(&self, batch: &Batch, known: &[Ids]) -> Vec<Wanted> {
        let is_match = |field: &&Json| text(field, "name") == self.sync.match_name;
        let matched = self.described.get().and_then(|object| items(&object["fields"]).find(is_match));
        let is_number = matched.is_some_and(|field| NUMBERS.contains(&text(field, "type")));
        let value = |text: String| if is_number { Value::Number(text) } else { Value::Text(text) };
        let unknown = batch.rows.iter().zip(known).enumerate();
        let unknown = unknown.filter(|(_, (_, ids))| ids.is_none() && !self.sync.by_id());
        let values = unknown.flat_map(|(place, (row, _))| {
            let texts = [row.address.match_value.clone(), row.match_value(self.sync.match_place).ok()];
            BTreeSet::from(texts).into_iter().flatten().map(move |text| (place, value(text)))
        });
        values.collect()
    }

    /// Looks for the records of rows that are not known.
    pub(super) async fn find(&self, batch: &Batch, known: &mut [Ids]) -> Result<(), Fault> {
        let wanted = self.sought(batch, known);
        let hits = self.query(&self.sync.object, &self.sync.match_name, &wanted).await?;
        for (place, _) in &wanted {
            known[*place] = Some(hits.iter().filter(|(row, _)| row == place).map(|(_, id)| id.clone()).collect());
        }
        Ok(())
    }

    /// The queries for these values.
    pub(super) fn queries(&self, object: &str, by: &str, wanted: &[Wanted]) -> Result<Vec<Request>, Fault> {
        self.sync.check_lookup(object, by).map_err(|why| Fault::config(format!("Salesforce {why}")))?;
        let mut lists: Vec<String> = Vec::new();
        for literal in wanted.iter().map(|(_, value)| literal(value)) {
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

    /// The rows whose values were found, each with the id of a record that has one.
    async fn query(&self, object: &str, by: &str, wanted: &[Wanted]) -> Result<BTreeSet<(usize, String)>, Fault> {
        let mut hits = BTreeSet::new();
        let mut requests = self.queries(object, by, wanted)?;
        while let Some(request) = requests.pop() {
            let page = self.read(request).await?;
            let records = page["records"].as_array();
            for record in records.ok_or_else(|| Fault::transient("Salesforce's answer has no records"))? {
                let text = |name: &str| match record.get(name)? {
                    Json::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                let (Some(id), Some(own)) = (text(ID), text(by)) else { continue };
                hits.extend(wanted.iter().filter(|(_, value)| is(value, &own)).map(|(row, _)| (*row, id.clone())));
            }
            // The locator is all that is taken from the answer.
            if let Some(name) = page["nextRecordsUrl"].as_str().and_then(|url| url.rsplit('/').next()) {
                requests.push(self.sync.account.call(Method::GET, &["query", name])?);
            }
        }
        Ok(hits)
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Decimal(_) | Value::Number(_) | Value::Float(_))
}

/// A value as it stands in a query (SOQL and SOSL reference: reserved characters).
fn literal(value: &Value) -> String {
    let text = value.to_text();
    if is_number(value) {
        return text;
    }
    let escapes = [("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")];
    format!("'{}'", escapes.iter().fold(text, |text, (character, escaped)| text.replace(character, escaped)))
}

/// Whether Salesforce takes the text that a record has for this value.
fn is(value: &Value, own: &str) -> bool {
    let (text, number) = (value.to_text(), |text: &str| text.parse::<f64>().ok());
    if is_number(value) { number(&text) == number(own) } else { text.to_lowercase() == own.to_lowercase() }
}
