//! Objects, their fields, and their records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::destinations::stand_in::{Rejects, take};

/// Characters of a text.
const MAX_TEXT: usize = 255;
/// The types of fields.
const KINDS: [&str; 5] = ["string", "double", "boolean", "date", "datetime"];
/// What a new stand-in has.
const FIELDS: &str = "Account.Name:string:required,Account.Ext_Id__c:string:external,Account.Plan__c:string,\
    Account.Number__c:double:external,Account.Score__c:double,Account.Active__c:boolean,Account.Since__c:date,\
    Account.Seen__c:datetime,Account.OwnerId:string,Account.CreatedDate:datetime:readonly,\
    User.Email:string,User.Username:string:external";

/// A record's fields; none is null.
pub(super) type Row = Map<String, Value>;

/// Why a row is refused: code, message, field.
pub(super) type Refusal = (&'static str, String, Option<String>);

#[derive(Debug)]
struct Field {
    kind: String,
    /// `external`, `required`, `readonly`.
    marks: Vec<String>,
}

impl Field {
    fn is(&self, mark: &str) -> bool {
        self.marks.iter().any(|has| has == mark)
    }
}

#[derive(Debug, Default)]
struct Object {
    fields: BTreeMap<String, Field>,
    /// `None` for those that were deleted.
    records: BTreeMap<String, Option<Row>>,
    /// Ids by the values of external ids.
    index: HashMap<String, String>,
}

impl Object {
    /// The keys of a row in the index.
    fn keys(&self, row: &Row) -> Vec<String> {
        let is_external = |name: &String| self.fields.get(name).is_some_and(|field| field.is("external"));
        row.iter().filter(|(name, _)| is_external(name)).map(|(name, value)| key(name, value)).collect()
    }

    /// Puts a record in the place of what was there; `None` deletes it.
    fn put(&mut self, id: &str, row: Option<Row>) {
        let new = row.iter().flat_map(|row| self.keys(row)).map(|key| (key, id.to_owned())).collect::<Vec<_>>();
        if let Some(Some(old)) = self.records.insert(id.to_owned(), row) {
            self.keys(&old).iter().for_each(|key| drop(self.index.remove(key)));
        }
        self.index.extend(new);
    }
}

/// Neither text nor index pays regard to case.
fn key(field: &str, value: &Value) -> String {
    format!("{field}={}", value.to_string().to_lowercase())
}

/// All objects by name.
#[derive(Debug)]
pub(super) struct Objects {
    all: BTreeMap<String, Object>,
    made: usize,
    /// What the user may do with every object.
    pub(super) rights: Vec<String>,
    /// Fields that the user may only read.
    pub(super) closed: Vec<String>,
    /// How many of the next rows are locked.
    pub(super) lock_next: u64,
}

impl Default for Objects {
    fn default() -> Self {
        let rights = ["create", "edit"].map(str::to_owned).into();
        let mut objects = Self { all: BTreeMap::new(), made: 0, rights, closed: Vec::new(), lock_next: 0 };
        FIELDS.split(',').for_each(|field| _ = objects.declare(field.trim()));
        objects
    }
}

impl Objects {
    /// Adds a field, as `Account.Plan__c:string:external`.
    pub(super) fn declare(&mut self, text: &str) -> Option<()> {
        let mut parts = text.split(':').map(str::to_owned);
        let (object, name) = text.split(':').next()?.split_once('.')?;
        let kind = parts.nth(1).filter(|kind| KINDS.contains(&kind.as_str()))?;
        let field = Field { kind, marks: parts.collect() };
        self.all.entry(object.to_owned()).or_default().fields.insert(name.to_owned(), field);
        Some(())
    }

    /// Whether there is such an object.
    pub(super) fn has(&self, object: &str) -> bool {
        self.all.contains_key(object)
    }

    /// The object of a record that is or was there.
    pub(super) fn of_record(&self, id: &str) -> Option<&str> {
        self.all.iter().find(|(_, object)| object.records.contains_key(id)).map(|(name, _)| name.as_str())
    }

    /// All records: object → id → fields.
    pub(super) fn records(&self) -> Value {
        let live = |object: &Object| {
            object.records.iter().filter_map(|(id, row)| Some((id.clone(), json!(row.as_ref()?)))).collect::<Value>()
        };
        self.all.iter().map(|(name, object)| (name.clone(), live(object))).collect()
    }

    /// Whether the user may do it.
    pub(super) fn may(&self, right: &str) -> bool {
        self.rights.iter().any(|has| has == right)
    }

    /// The answer of describe.
    pub(super) fn describe(&self, object: &str) -> Option<Value> {
        let described = |name: &str, kind: &str, is: &dyn Fn(&str) -> bool| {
            let is_open = !is("readonly") && !self.closed.contains(&format!("{object}.{name}"));
            json!({
                "name": name, "type": kind, "externalId": is("external"), "idLookup": kind == "id" || is("external"),
                "createable": is_open, "updateable": is_open, "permissionable": !is("readonly") && !is("required"),
                "calculated": false, "nillable": !is("required"), "picklistValues": []
            })
        };
        let fields = self.all.get(object)?.fields.iter();
        let fields = fields.map(|(name, field)| described(name, &field.kind, &|mark| field.is(mark)));
        let id = described("Id", "id", &|mark| ["readonly", "required"].contains(&mark));
        Some(json!({
            "name": object, "createable": self.may("create"), "updateable": self.may("edit"), "deletable": self.may("delete"),
            "fields": std::iter::once(id).chain(fields).collect::<Vec<_>>()
        }))
    }

    /// The value of a field as it is kept; `None` where it cannot be read as the field's type.
    pub(super) fn read(&self, object: &str, field: &str, value: &Value) -> Option<Value> {
        let known = self.all.get(object)?.fields.get(field);
        let text = match value {
            Value::Null | Value::Array(_) | Value::Object(_) => return value.is_null().then_some(Value::Null),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(match known.map_or("string", |known| known.kind.as_str()) {
            "double" => json!(text.parse::<f64>().ok()?),
            "boolean" => json!(text.parse::<bool>().ok()?),
            "date" => json!(text.parse::<jiff::civil::Date>().ok()?.to_string()),
            "datetime" => json!(text.parse::<jiff::Timestamp>().ok()?.to_string()),
            // An empty text is none.
            _ if text.is_empty() => Value::Null,
            _ => json!(text),
        })
    }

    /// Adds a record.
    pub(super) fn insert(&mut self, object: &str, row: Row) -> Option<String> {
        let id = format!("{}{:012}AAA", if object == "User" { "005" } else { "001" }, self.made);
        self.all.get_mut(object)?.put(&id, Some(row));
        self.made += 1;
        Some(id)
    }

    /// The records whose field has one of these values.
    pub(super) fn select(&self, object: &str, field: &str, values: &[Value]) -> Vec<Value> {
        let values: BTreeSet<String> = values.iter().map(|value| key(field, value)).collect();
        let records = self.all.get(object).into_iter().flat_map(|object| &object.records);
        let hits = records.filter_map(|(id, row)| {
            let (row, id) = (row.as_ref()?, json!(id));
            let value = if field == "Id" { &id } else { row.get(field)? };
            let record = json!({ "attributes": { "type": object }, "Id": id, field: value });
            values.contains(&key(field, value)).then_some(record)
        });
        hits.collect()
    }

    /// Does it to one row: its record's id, and whether it was made.
    pub(super) fn write(
        &mut self,
        object: &str,
        verb: &str,
        external: &str,
        mut row: Row,
        rejects: &Rejects,
    ) -> Result<(String, bool), Refusal> {
        if take(&mut self.lock_next) {
            return Err(("UNABLE_TO_LOCK_ROW", String::from("unable to obtain exclusive access to this record"), None));
        }
        row.remove("attributes");
        let given = row.remove("Id").or_else(|| row.remove("id"));
        let row: Row = row
            .into_iter()
            .map(|(name, value)| match self.read(object, &name, &value) {
                Some(value) => Ok((name, value)),
                None => Err(("INVALID_TYPE_ON_FIELD_IN_RECORD", format!("invalid value: {name}"), Some(name))),
            })
            .collect::<Result<_, _>>()?;
        let known = self.all.get_mut(object).ok_or(("INVALID_TYPE", String::from("no such object"), None))?;
        let there = given.as_ref().and_then(Value::as_str).and_then(|id| known.records.get_key_value(id));
        let id = match (verb, there) {
            ("update" | "delete", Some((id, Some(_)))) => Some(id.clone()),
            ("update" | "delete", Some(_)) => return Err(("ENTITY_IS_DELETED", "entity is deleted".into(), None)),
            ("update" | "delete", None) => return Err(("MALFORMED_ID", "bad id".into(), Some("Id".into()))),
            _ if given.is_some() => return Err(("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id".into(), None)),
            ("upsert", _) => {
                let value = row.get(external).filter(|value| !value.is_null());
                let value = value.ok_or_else(|| ("MISSING_ARGUMENT", format!("{external} not specified"), None))?;
                known.index.get(&key(external, value)).cloned()
            }
            _ => None,
        };
        if let ("delete", Some(id)) = (verb, &id) {
            known.put(id, None);
            return Ok((id.clone(), false));
        }
        let mut whole = id.as_ref().and_then(|id| known.records.get(id)?.clone()).unwrap_or_default();
        whole.extend(row);
        whole.retain(|_, value| !value.is_null());
        check(known, &whole, id.as_deref(), rejects)?;
        let Some(id) = id else {
            let id = self.insert(object, whole).ok_or(("INVALID_TYPE", String::new(), None))?;
            return Ok((id, true));
        };
        known.put(&id, Some(whole));
        Ok((id, false))
    }
}

/// What the organisation refuses of a record.
fn check(object: &Object, row: &Row, id: Option<&str>, rejects: &Rejects) -> Result<(), Refusal> {
    let refuse = |code, name: &str, text: String| Err((code, text, Some(name.to_owned())));
    let mut required = object.fields.iter().filter(|(_, field)| field.is("required"));
    if let Some((missing, _)) = required.find(|(name, _)| !row.contains_key(*name)) {
        return refuse("REQUIRED_FIELD_MISSING", missing, format!("Required fields are missing: [{missing}]"));
    }
    for (name, value) in row {
        let Some(field) = object.fields.get(name) else {
            return refuse("INVALID_FIELD", name, format!("No such column '{name}'"));
        };
        let text = value.as_str().unwrap_or_default();
        if rejects.has(name, text) || (field.is("external") && rejects.picks(text)) {
            return refuse("FIELD_CUSTOM_VALIDATION_EXCEPTION", name, format!("{text} is not welcome"));
        }
        if field.kind == "string" && text.chars().count() > MAX_TEXT {
            return refuse("STRING_TOO_LONG", name, format!("{name}: data value too large: {text}"));
        }
        let holder = object.index.get(&key(name, value)).filter(|_| field.is("external"));
        if holder.is_some_and(|holder| Some(holder.as_str()) != id) {
            return refuse("DUPLICATE_VALUE", name, format!("duplicate value found: {name}"));
        }
    }
    Ok(())
}
