//! Finding records that are there, by SOQL.

use backhaul_kit::http::Request;
use backhaul_kit::{Batch, Fault, Lookup, Match, Operation, Presence, Row, ValueRef};
use reqwest::Method;
use serde_json::Value;

use super::draft::{Target, match_value};
use super::send::SalesforceDestination;
use super::sync::{ID, is_name};
use super::wire::Page;

/// Characters of a query, as it stands in the URL. No limit of Salesforce's was found; servers commonly take 16,384.
const MAX_QUERY: usize = 12_000;

/// A value that records are asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The row that wants it.
    row: usize,
    /// As it is compared with what comes back.
    text: String,
    /// Whether it stands in a query as it is, as numbers do.
    bare: bool,
}

impl Wanted {
    /// As it stands in a query (SOQL and SOSL reference: reserved characters).
    fn literal(&self) -> String {
        if self.bare {
            return self.text.clone();
        }
        let text = self.text.replace('\\', "\\\\").replace('\'', "\\'");
        format!("'{}'", text.replace('\n', "\\n").replace('\r', "\\r"))
    }

    /// Whether Salesforce takes a value for this one.
    fn is(&self, value: &str) -> bool {
        let number = |text: &str| text.parse::<f64>().ok();
        if self.bare { number(&self.text) == number(value) } else { self.text.to_lowercase() == value.to_lowercase() }
    }
}

impl SalesforceDestination {
    /// Each record that has a value: two of one value are told as two.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let wanted = |(row, value): (usize, &backhaul_kit::Value)| {
            let value = ValueRef::from(value);
            let bare =
                matches!(value, ValueRef::Int(_) | ValueRef::Decimal(_) | ValueRef::Number(_) | ValueRef::Float(_));
            Wanted { row, text: value.to_text(), bare }
        };
        let wanted: Vec<Wanted> = query.values.iter().enumerate().map(wanted).collect();
        let hits = self.query(&query.object, &query.by, &wanted).await?;
        Ok(hits.into_iter().map(|(value, remote_id)| Match { value, remote_id }).collect())
    }

    /// What is remembered of each row's record.
    pub(super) fn remembered(&self, batch: &Batch) -> Vec<Target> {
        let id = |row: &Row| match (&row.address.remote_id, self.sync.by_id()) {
            // Under its match value there may be another record by now.
            _ if batch.operation == Operation::Update => match_value(&self.sync, row).filter(|_| self.sync.by_id()),
            (Some(id), _) => Some(id.clone()),
            (None, by_id) => row.address.match_value.clone().filter(|_| by_id),
        };
        batch.rows.iter().map(|row| id(row).map_or(Target::Unknown, Target::Id)).collect()
    }

    /// The match values to look for where a row's record is not known: the old one, and the present one.
    pub(super) fn sought(&self, batch: &Batch, targets: &[Target]) -> Vec<Wanted> {
        let bare = self.described.get().is_some_and(|object| object.is_number(self.sync.match_name()));
        let is_unknown = |row: usize| !self.sync.by_id() && targets.get(row) == Some(&Target::Unknown);
        let unknown = batch.rows.iter().enumerate().filter(|(row, _)| is_unknown(*row));
        let values = unknown.flat_map(|(row, data)| {
            let (old, new) = (data.address.match_value.clone(), match_value(&self.sync, data));
            let new = new.filter(|new| Some(new) != old.as_ref());
            old.into_iter().chain(new).map(move |text| Wanted { row, text, bare })
        });
        values.collect()
    }

    /// Looks for the records of rows that are not known.
    pub(super) async fn find(&self, batch: &Batch, targets: &mut [Target]) -> Result<(), Fault> {
        let wanted = self.sought(batch, targets);
        let hits = self.query(&self.sync.object, self.sync.match_name(), &wanted).await?;
        let found = hits.into_iter().map(|(row, id)| (row, Some(id)));
        for (row, id) in found.chain(wanted.iter().map(|one| (one.row, None))) {
            let Some(target) = targets.get_mut(row) else { continue };
            *target = match (std::mem::replace(target, Target::Absent), id) {
                (Target::Unknown, None) => Target::Absent,
                (Target::Unknown, Some(id)) => Target::Id(id),
                (Target::Id(one), Some(other)) if one != other => Target::Several,
                (known, _) => known,
            };
        }
        Ok(())
    }

    /// Which rows of a creation whose answer was lost are there.
    pub(super) async fn presence(&self, batch: &Batch) -> Result<Vec<Presence>, Fault> {
        let mut targets = vec![Target::Unknown; batch.rows.len()];
        self.find(batch, &mut targets).await?;
        let presence = |target| match target {
            Target::Id(id) => Presence::There { remote_id: Some(id) },
            Target::Absent => Presence::Absent,
            Target::Several | Target::Unknown => Presence::Unknown,
        };
        Ok(targets.into_iter().map(presence).collect())
    }

    /// The queries for these values, each with those that it is about.
    pub(super) fn queries<'w>(
        &self,
        object: &str,
        by: &str,
        mut wanted: &'w [Wanted],
    ) -> Result<Vec<(&'w [Wanted], Request)>, Fault> {
        if let Some(name) = [object, by].into_iter().find(|name| !is_name(name)) {
            return Err(Fault::config(format!("\"{name}\" is no API name: nothing can be looked up by it")));
        }
        let select = if by == ID { String::from(ID) } else { format!("{ID}, {by}") };
        let mut queries = Vec::new();
        while !wanted.is_empty() {
            let (mut literals, mut length) = (Vec::new(), 0);
            for literal in wanted.iter().map(Wanted::literal) {
                // Of a text every byte that is neither letter nor digit becomes three.
                length += 3 * (literal.len() + 1);
                if length > MAX_QUERY && !literals.is_empty() {
                    break;
                }
                literals.push(literal);
            }
            let (chunk, left) = wanted.split_at(literals.len());
            wanted = left;
            let soql = format!("SELECT {select} FROM {object} WHERE {by} IN ({})", literals.join(","));
            let mut request = self.sync.account.call(Method::GET, &["query"])?;
            request.url.query_pairs_mut().append_pair("q", &soql);
            queries.push((chunk, request));
        }
        Ok(queries)
    }

    /// The rows whose values were found, each with the id of a record that has one.
    async fn query(&self, object: &str, by: &str, wanted: &[Wanted]) -> Result<Vec<(usize, String)>, Fault> {
        let mut hits = Vec::new();
        for (chunk, query) in self.queries(object, by, wanted)? {
            let mut next = Some(query);
            while let Some(request) = next.take() {
                let page: Page = self.read(request).await?;
                for record in page.records {
                    let text = |name: &str| match record.get(name)? {
                        Value::String(text) => Some(text.clone()),
                        other => Some(other.to_string()),
                    };
                    let (Some(id), Some(value)) = (text(ID), text(by)) else { continue };
                    let of_it = chunk.iter().filter(|one| one.is(&value));
                    hits.extend(of_it.map(|one| (one.row, id.clone())));
                }
                // The locator is all that is taken from the answer.
                let locator = page.next_records_url.as_deref().and_then(|url| url.rsplit('/').next());
                next = locator.map(|name| self.sync.account.call(Method::GET, &["query", name])).transpose()?;
            }
        }
        Ok(hits)
    }
}
