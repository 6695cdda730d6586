//! An object of the account: its properties and its records.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::problem::Problem;
use super::property;

/// The id of an object's first record.
const FIRST_ID: u64 = 1001;

/// Values by property; those of a record are not empty.
pub(super) type Values = BTreeMap<String, String>;

/// A record. A million of them fit into memory because the values of each are one text, of JSON.
#[derive(Debug)]
struct Record {
    values: Box<str>,
    created: Timestamp,
    updated: Timestamp,
    archived: bool,
}

impl Record {
    fn values(&self) -> Values {
        serde_json::from_str(&self.values).unwrap_or_default()
    }
}

/// One object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) names: [String; 2],
    /// The word that stands for it in scopes.
    pub(super) scope: &'static str,
    /// The word that stands for it in messages.
    pub(super) label: &'static str,
    /// Definitions by name.
    pub(super) properties: BTreeMap<String, Value>,
    records: Vec<Record>,
    /// Places of records by digests of unique values: the values themselves stand in the records.
    unique: HashMap<u128, usize>,
}

/// The objects of every account.
pub(super) fn standard() -> [Object; 3] {
    [("contacts", "0-1", "CONTACT"), ("companies", "0-2", "COMPANY"), ("deals", "0-3", "DEAL")]
        .map(|(name, id, label)| Object::new([name.to_owned(), id.to_owned()], name, label))
}

impl Object {
    pub(super) fn new(names: [String; 2], scope: &'static str, label: &'static str) -> Self {
        let (properties, records, unique) = (BTreeMap::new(), Vec::new(), HashMap::new());
        let mut object = Self { names, scope, label, properties, records, unique };
        property::built_in(scope).for_each(|property| _ = object.add_property(property));
        object
    }

    /// Adds a property; `None` where its name is taken.
    pub(super) fn add_property(&mut self, property: Value) -> Option<()> {
        match self.properties.entry(property["name"].as_str()?.to_owned()) {
            Entry::Vacant(entry) => _ = entry.insert(property),
            Entry::Occupied(_) => return None,
        }
        Some(())
    }

    /// The places of the records that are not archived, and whose id is greater than `after`.
    pub(super) fn live(&self, after: u64) -> impl Iterator<Item = usize> {
        let first = usize::try_from((after + 1).saturating_sub(FIRST_ID)).unwrap_or(usize::MAX);
        (first..self.records.len()).filter(|place| !self.records[*place].archived)
    }

    /// The live record that an id, or a value of a unique property, names.
    ///
    /// # Errors
    /// A property whose values are not unique.
    pub(super) fn find(&self, by: Option<&str>, name: &str) -> Result<Option<usize>, Problem> {
        let Some(by) = by.filter(|by| *by != "hs_object_id") else {
            let place = name.parse::<u64>().ok().and_then(|id| usize::try_from(id.checked_sub(FIRST_ID)?).ok());
            return Ok(place.filter(|place| self.records.get(*place).is_some_and(|record| !record.archived)));
        };
        if !self.properties.get(by).is_some_and(property::is_unique) {
            return Err(Problem::validation(format!("idProperty {by} is not a property with unique values")));
        }
        Ok(self.holder(digest(by, &property::kept(by, name))))
    }

    /// The live record that has a unique value.
    pub(super) fn holder(&self, digest: u128) -> Option<usize> {
        self.unique.get(&digest).copied()
    }

    /// Digests of those of the values that are unique.
    pub(super) fn digests(&self, values: &Values) -> Vec<u128> {
        let is_unique = |name: &String| self.properties.get(name).is_some_and(property::is_unique);
        let unique = values.iter().filter(|(name, value)| !value.is_empty() && is_unique(name));
        unique.map(|(name, value)| digest(name, value)).collect()
    }

    /// Sets values of a record, of a new one without a place; the empty text takes a value away. Unique values must have
    /// been checked.
    pub(super) fn put(&mut self, place: Option<usize>, changes: Values) -> usize {
        let now = Timestamp::now();
        let place = place.unwrap_or(self.records.len());
        if place == self.records.len() {
            self.records.push(Record { values: Box::default(), created: now, updated: now, archived: false });
        }
        let mut values = self.records[place].values();
        self.digests(&values).iter().for_each(|digest| _ = self.unique.remove(digest));
        values.extend(changes);
        values.retain(|_, value| !value.is_empty());
        self.unique.extend(self.digests(&values).into_iter().map(|digest| (digest, place)));
        let record = &mut self.records[place];
        (record.values, record.updated) = (json!(values).to_string().into(), now);
        place
    }

    /// Archives a live record: its unique values are free again.
    pub(super) fn archive(&mut self, place: usize) {
        let record = &mut self.records[place];
        (record.archived, record.updated) = (true, Timestamp::now());
        let values = record.values();
        self.digests(&values).iter().for_each(|digest| _ = self.unique.remove(digest));
    }

    /// The values of all live records by id.
    pub(super) fn records(&self) -> Value {
        self.live(0).map(|place| (id(place), json!(self.records[place].values()))).collect()
    }

    /// A record with the properties `wanted` (all without a list), and those that every answer has.
    pub(super) fn json(&self, place: usize, wanted: Option<&[String]>) -> Value {
        let record = &self.records[place];
        let mut properties = record.values();
        properties.retain(|name, _| wanted.is_none_or(|wanted| wanted.contains(name)));
        let [created, updated] = [record.created, record.updated].map(|time| format!("{time:.3}"));
        let modified = if self.scope == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" };
        for (name, value) in [("hs_object_id", &id(place)), ("createdate", &created), (modified, &updated)] {
            properties.insert(name.to_owned(), value.clone());
        }
        json!({
            "id": id(place), "properties": properties, "createdAt": created, "updatedAt": updated,
            "archived": record.archived,
        })
    }
}

/// The id of the record at a place.
pub(super) fn id(place: usize) -> String {
    (FIRST_ID + place as u64).to_string()
}

fn digest(name: &str, value: &str) -> u128 {
    xxh3_128(format!("{name}={value}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_replaced_and_emptied() {
        let values = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let [mut contacts, ..] = standard();
        let place = contacts.put(None, values(&[("email", "a@example.com"), ("city", "Ulm")]));
        contacts.put(Some(place), values(&[("email", "b@example.com"), ("city", ""), ("zip", "1")]));
        assert_eq!(contacts.records(), json!({ "1001": { "email": "b@example.com", "zip": "1" } }));
        let find = |email| contacts.find(Some("email"), email).expect("a unique property");
        assert_eq!((find("a@example.com"), find("B@example.com")), (None, Some(place)));
    }
}
