//! The records of the account.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::property::{self, Property};
use super::record::Record;

/// The id of an object's first record.
const FIRST_ID: u64 = 1001;

/// All objects.
#[derive(Debug)]
pub(super) struct Store {
    objects: Vec<Object>,
}

impl Default for Store {
    fn default() -> Self {
        let standard = |type_id: &str, scope: &'static str, label: &'static str| {
            Object::new(vec![scope.to_owned(), type_id.to_owned()], scope, label)
        };
        Self {
            objects: vec![
                standard("0-1", "contacts", "CONTACT"),
                standard("0-2", "companies", "COMPANY"),
                standard("0-3", "deals", "DEAL"),
            ],
        }
    }
}

impl Store {
    /// An object by any of its names.
    pub(super) fn object_mut(&mut self, name: &str) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.has_name(name))
    }

    /// Adds a custom object; `None` for an impossible or a taken type id.
    pub(super) fn add_object(&mut self, type_id: &str, name: &str, hub_id: u64) -> Option<()> {
        let digits = type_id.strip_prefix("2-")?;
        let well_formed = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
        if !well_formed || self.object_mut(type_id).is_some() {
            return None;
        }
        let names = vec![type_id.to_owned(), format!("p{hub_id}_{name}")];
        self.objects.push(Object::new(names, "custom", "CUSTOM_OBJECT"));
        Some(())
    }

    /// All live records: object → id → values.
    pub(super) fn snapshot(&self) -> Value {
        let objects = self.objects.iter().map(|object| {
            let records: Map<String, Value> = object
                .live()
                .map(|(number, record)| (Object::id(number), Value::Object(object.values(record))))
                .collect();
            (object.names[0].clone(), Value::Object(records))
        });
        Value::Object(objects.collect())
    }
}

/// One object: its properties and records.
#[derive(Debug)]
pub(super) struct Object {
    names: Vec<String>,
    /// The word that stands for it in scopes.
    pub(super) scope: &'static str,
    /// The word that stands for it in messages.
    pub(super) label: &'static str,
    properties: Vec<Property>,
    numbers: HashMap<String, u16>,
    records: Vec<Record>,
    /// Record numbers by property number and digest of a unique value: the values themselves stand in the records.
    unique: HashMap<(u16, u128), u32>,
}

impl Object {
    fn new(names: Vec<String>, scope: &'static str, label: &'static str) -> Self {
        let mut object = Self {
            names,
            scope,
            label,
            properties: Vec::new(),
            numbers: HashMap::new(),
            records: Vec::new(),
            unique: HashMap::new(),
        };
        property::built_in(scope).for_each(|property| _ = object.add_property(property));
        object
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Adds a property; `None` where its name is taken.
    pub(super) fn add_property(&mut self, property: Property) -> Option<()> {
        let number = u16::try_from(self.properties.len()).ok()?;
        if self.numbers.contains_key(&property.name) {
            return None;
        }
        self.numbers.insert(property.name.clone(), number);
        self.properties.push(property);
        Some(())
    }

    /// All properties.
    pub(super) fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// A property and its number.
    pub(super) fn property(&self, name: &str) -> Option<(u16, &Property)> {
        let number = *self.numbers.get(name)?;
        Some((number, self.properties.get(usize::from(number))?))
    }

    /// The id of a record number.
    pub(super) fn id(number: u32) -> String {
        (FIRST_ID + u64::from(number)).to_string()
    }

    /// A record.
    pub(super) fn record(&self, number: u32) -> Option<&Record> {
        self.records.get(number as usize)
    }

    /// The records that are not archived.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, &Record)> {
        (0..).zip(&self.records).filter(|(_, record)| !record.archived)
    }

    /// A live record by its id.
    pub(super) fn by_id(&self, id: &str) -> Option<u32> {
        let number = u32::try_from(id.parse::<u64>().ok()?.checked_sub(FIRST_ID)?).ok()?;
        self.record(number).filter(|record| !record.archived)?;
        Some(number)
    }

    /// A live record by a unique value, in the form in which values are kept.
    pub(super) fn by_value(&self, property: u16, value: &str) -> Option<u32> {
        self.unique.get(&(property, xxh3_128(value.as_bytes()))).copied()
    }

    /// Whether a property's values are unique.
    pub(super) fn is_unique(&self, property: u16) -> bool {
        self.properties.get(usize::from(property)).is_some_and(|property| property.unique)
    }

    /// The values of a record by name.
    pub(super) fn values(&self, record: &Record) -> Map<String, Value> {
        let name = |number: u16| self.properties.get(usize::from(number)).map(|property| property.name.clone());
        record.values().filter_map(|(number, value)| Some((name(number)?, json!(value)))).collect()
    }

    /// Creates a record.
    pub(super) fn create(&mut self, changes: &[(u16, String)], now: i64) -> u32 {
        let number = self.records.len() as u32;
        self.records.push(Record::new(now));
        self.change(number, changes, now);
        number
    }

    /// Changes a record. Unique values must have been checked.
    pub(super) fn change(&mut self, number: u32, changes: &[(u16, String)], now: i64) {
        let Some(record) = self.records.get_mut(number as usize) else { return };
        for (property, value) in changes {
            if !self.properties.get(usize::from(*property)).is_some_and(|property| property.unique) {
                continue;
            }
            if let Some(old) = record.value(*property) {
                self.unique.remove(&(*property, xxh3_128(old.as_bytes())));
            }
            if !value.is_empty() {
                self.unique.insert((*property, xxh3_128(value.as_bytes())), number);
            }
        }
        record.set(changes, now);
    }

    /// Archives a live record: its unique values are free again. Other ids are ignored.
    pub(super) fn archive(&mut self, id: &str, now: i64) {
        let Some(number) = self.by_id(id) else { return };
        let Some(record) = self.records.get_mut(number as usize) else { return };
        record.archived = true;
        record.updated = now;
        for (property, value) in record.values() {
            self.unique.remove(&(property, xxh3_128(value.as_bytes())));
        }
    }
}
