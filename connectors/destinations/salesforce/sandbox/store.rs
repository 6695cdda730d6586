//! Objects, their fields, and their records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::destinations::stand_in::{Rejects, take};

/// Characters of a text.
const MAX_TEXT: usize = 255;
/// What a new stand-in has.
const FIELDS: &str = "Account.Name:string:required,Account.Ext_Id__c:string:external,Account.Plan__c:string,\
    Account.Number__c:double:external,Account.Score__c:double,Account.Active__c:boolean,Account.Since__c:date,\
    Account.Seen__c:datetime,Account.OwnerId:string,Account.CreatedDate:datetime:readonly,\
    User.Email:string,User.Username:string:external";

/// A record's fields; none is null.
pub(super) type Row = Map<String, Value>;

/// Why a row is refused: code, message, field.
pub(super) type Refusal = (&'static str, String, Option<String>);

#[derive(Clone, Debug)]
struct Field {
    name: String,
    kind: String,
    external: bool,
    required: bool,
    readonly: bool,
}

#[derive(Debug, Default)]
struct Object {
    fields: Vec<Field>,
    records: BTreeMap<String, Row>,
    deleted: BTreeSet<String>,
    /// Ids by the values of external ids.
    index: HashMap<String, String>,
}

impl Object {
    /// The keys of a row in the index.
    fn keys(&self, row: &Row) -> Vec<String> {
        let external = self.fields.iter().filter(|field| field.external);
        external.filter_map(|field| Some(key(&field.name, row.get(&field.name)?))).collect()
    }

    /// Puts a record in the place of what was there; `None` takes it away.
    fn put(&mut self, id: &str, row: Option<Row>) {
        if let Some(old) = self.records.remove(id) {
            self.keys(&old).iter().for_each(|key| drop(self.index.remove(key)));
        }
        if let Some(row) = row {
            let keys = self.keys(&row).into_iter().map(|key| (key, id.to_owned()));
            self.index.extend(keys.collect::<Vec<_>>());
            self.records.insert(id.to_owned(), row);
        }
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
        let mut parts = text.split(':');
        let (object, name) = parts.next()?.split_once('.')?;
        let kind = parts.next().filter(|kind| ["string", "double", "boolean", "date", "datetime"].contains(kind))?;
        let marks: Vec<&str> = parts.collect();
        let is = |mark: &str| marks.contains(&mark);
        let field = Field {
            name: name.into(),
            kind: kind.into(),
            external: is("external"),
            required: is("required"),
            readonly: is("readonly"),
        };
        self.all.entry(object.to_owned()).or_default().fields.push(field);
        Some(())
    }

    /// Whether there is such an object.
    pub(super) fn has(&self, object: &str) -> bool {
        self.all.contains_key(object)
    }

    /// The object of a record that is or was there.
    pub(super) fn of_record(&self, id: &str) -> Option<&str> {
        let holds = |object: &Object| object.records.contains_key(id) || object.deleted.contains(id);
        self.all.iter().find(|(_, object)| holds(object)).map(|(name, _)| name.as_str())
    }

    /// All records: object → id → fields.
    pub(super) fn records(&self) -> Value {
        self.all.iter().map(|(name, object)| (name.clone(), json!(object.records))).collect()
    }

    /// Whether the user may do it.
    pub(super) fn may(&self, right: &str) -> bool {
        self.rights.iter().any(|has| has == right)
    }

    /// The answer of describe.
    pub(super) fn describe(&self, object: &str) -> Option<Value> {
        let described = |field: &Field| {
            let open = !field.readonly && !self.closed.contains(&format!("{object}.{}", field.name));
            json!({
                "name": field.name, "type": field.kind, "externalId": field.external, "idLookup": field.external,
                "createable": open, "updateable": open, "permissionable": !field.readonly && !field.required,
                "calculated": false, "nillable": !field.required, "picklistValues": []
            })
        };
        let id = json!({
            "name": "Id", "type": "id", "externalId": false, "idLookup": true, "createable": false,
            "updateable": false, "permissionable": false, "calculated": false, "picklistValues": []
        });
        let fields = self.all.get(object)?.fields.iter().map(described);
        Some(json!({
            "name": object, "createable": self.may("create"), "updateable": self.may("edit"), "deletable": self.may("delete"),
            "fields": std::iter::once(id).chain(fields).collect::<Vec<_>>()
        }))
    }

    /// The value of a field as it is kept; `None` where it cannot be read as the field's type.
    pub(super) fn read(&self, object: &str, field: &str, value: &Value) -> Option<Value> {
        let known = self.all.get(object)?.fields.iter().find(|known| known.name == field);
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
            let id = json!(id);
            let value = if field == "Id" { &id } else { row.get(field)? };
            values
                .contains(&key(field, value))
                .then(|| json!({ "attributes": { "type": object }, "Id": id, field: value }))
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
        let id = match (verb, given.as_ref().and_then(Value::as_str)) {
            ("update" | "delete", Some(id)) if known.records.contains_key(id) => Some(id.to_owned()),
            ("update" | "delete", Some(id)) if known.deleted.contains(id) => {
                return Err(("ENTITY_IS_DELETED", String::from("entity is deleted"), None));
            }
            ("update" | "delete", _) => return Err(("MALFORMED_ID", String::from("bad id"), Some("Id".into()))),
            (_, Some(_)) => return Err(("INVALID_FIELD_FOR_INSERT_UPDATE", String::from("cannot specify Id"), None)),
            ("upsert", None) => {
                let value = row.get(external).filter(|value| !value.is_null());
                let value = value.ok_or_else(|| ("MISSING_ARGUMENT", format!("{external} not specified"), None))?;
                known.index.get(&key(external, value)).cloned()
            }
            _ => None,
        };
        if verb == "delete" {
            let id = id.unwrap_or_default();
            known.put(&id, None);
            known.deleted.insert(id.clone());
            return Ok((id, false));
        }
        let old = id.as_ref().and_then(|id| known.records.get(id)).cloned().unwrap_or_default();
        let mut whole = old;
        whole.extend(row);
        whole.retain(|_, value| !value.is_null());
        check(known, &whole, id.as_deref(), rejects)?;
        match id {
            Some(id) => {
                known.put(&id, Some(whole));
                Ok((id, false))
            }
            None => self.insert(object, whole).map(|id| (id, true)).ok_or(("INVALID_TYPE", String::new(), None)),
        }
    }
}

/// What the organisation refuses of a record.
fn check(object: &Object, row: &Row, id: Option<&str>, rejects: &Rejects) -> Result<(), Refusal> {
    if let Some(missing) = object.fields.iter().find(|field| field.required && !row.contains_key(&field.name)) {
        let text = format!("Required fields are missing: [{}]", missing.name);
        return Err(("REQUIRED_FIELD_MISSING", text, Some(missing.name.clone())));
    }
    for (name, value) in row {
        let Some(field) = object.fields.iter().find(|field| field.name == *name) else {
            return Err(("INVALID_FIELD", format!("No such column '{name}'"), Some(name.clone())));
        };
        let text = value.as_str().unwrap_or_default();
        let is_of_share = field.external && rejects.picks(text);
        if is_of_share || rejects.has(name, text) {
            return Err(("FIELD_CUSTOM_VALIDATION_EXCEPTION", format!("{text} is not welcome"), Some(name.clone())));
        }
        if field.kind == "string" && text.chars().count() > MAX_TEXT {
            return Err(("STRING_TOO_LONG", format!("{name}: data value too large: {text}"), Some(name.clone())));
        }
        let holder = object.index.get(&key(name, value)).filter(|_| field.external);
        if holder.is_some_and(|holder| Some(holder.as_str()) != id) {
            return Err(("DUPLICATE_VALUE", format!("duplicate value found: {name}"), Some(name.clone())));
        }
    }
    Ok(())
}
