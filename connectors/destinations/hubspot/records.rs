//! Finding records that are there already.

use std::collections::{BTreeSet, HashMap};

use backhaul_kit::http::Request;
use backhaul_kit::json::{items, text};
use backhaul_kit::{Fault, FieldRef, Lookup, Match};
use serde_json::json;

use super::answer::NOT_FOUND;
use super::object::{ObjectType, RECORD_ID};
use super::send::HubSpotDestination;
use super::sync::MAX_INPUTS;
use super::values;
use super::wire::texts;

/// Why records of an object cannot be found by a property, else the scope that it takes. Whether the property's values
/// are unique only the account knows: HubSpot refuses to look up by others.
pub(super) fn check_lookup(object: &str, by: &str) -> Result<Vec<String>, String> {
    let parsed = ObjectType::parse(object).ok_or_else(|| format!("has no object \"{object}\""))?;
    if by == RECORD_ID {
        return Err(format!("looks nothing up by `{RECORD_ID}`: that is the id already"));
    }
    Ok(vec![parsed.read_scope()])
}

/// The values that are asked for, as HubSpot keeps them. An empty one is the same as none.
fn names(query: &Lookup) -> impl Iterator<Item = String> {
    let name = |value| values::text(FieldRef::Set(value)).ok().flatten().unwrap_or_default();
    query.values.iter().map(move |value| values::kept(&query.by, &name(value.into())).into_owned())
}

impl HubSpotDestination {
    /// `batch/read` of the records that have these values of a unique property.
    pub(super) fn read_calls(&self, query: &Lookup) -> Result<Vec<Request>, Fault> {
        let object = ObjectType::parse(&query.object);
        let object = object.ok_or_else(|| Fault::bug("a look-up of an object that was not checked"))?;
        let asked: Vec<String> =
            BTreeSet::from_iter(names(query)).into_iter().filter(|name| !name.is_empty()).collect();
        let call = |names: &[String]| {
            let inputs = json!(names.iter().map(|name| json!({ "id": name })).collect::<Vec<_>>());
            let body = json!({ "idProperty": query.by, "properties": [query.by], "propertiesWithHistory": [], "inputs": inputs });
            self.batch_call(&object, "read", &body)
        };
        asked.chunks(MAX_INPUTS).map(call).collect()
    }

    /// The records that have these values of a unique property, which two records never share.
    pub(super) async fn matches(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let mut known = HashMap::from([(String::new(), Match::Absent)]);
        for call in self.read_calls(query)? {
            let json = self.read(call).await?;
            let absent = items(&json["errors"]).filter(|error| error["category"] == NOT_FOUND);
            let absent = absent.flat_map(|error| texts(&error["context"]["ids"])).map(|name| (name, Match::Absent));
            let there = items(&json["results"]).filter(|record| record["id"].is_string()).filter_map(|record| {
                let name = record["properties"][&query.by].as_str()?;
                Some((name, Match::One(text(record, "id").to_owned())))
            });
            known.extend(absent.chain(there).map(|(name, found)| (values::kept(&query.by, name).into_owned(), found)));
        }
        // Of a value that is missing the answers do not speak.
        Ok(names(query).map(|name| known.get(&name).cloned().unwrap_or(Match::Untold)).collect())
    }
}
