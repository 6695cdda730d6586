//! JSON Schema (draft 2020-12) of the three files, for editors. The readers decide; a test holds both together.

mod checks;
mod fields;
mod guards;
mod people;
mod tables;

use backhaul_kit::KindSchema;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::Registry;

/// Schema of `backhaul.toml`.
pub fn backhaul_toml() -> Value {
    backhaul_toml_with(&Registry::built_in())
}

/// Schema of `models/*.toml`.
pub fn model_toml() -> Value {
    schema_of::<tables::ModelToml>()
}

/// Schema of `syncs/*.toml`.
pub fn sync_toml() -> Value {
    sync_toml_with(&Registry::built_in())
}

/// [`backhaul_toml`], with other kinds than the built-in ones.
pub fn backhaul_toml_with(registry: &Registry<'_>) -> Value {
    let mut schema = schema_of::<tables::BackhaulToml>();
    let mut definitions = take_definitions(&mut schema);
    let warehouses: Vec<Value> =
        registry.warehouses.iter().map(|kind| tagged(kind.name(), kind.json_schema(), &mut definitions)).collect();
    let destinations: Vec<Value> =
        registry.destinations.iter().map(|kind| tagged(kind.name, (kind.schema)().account, &mut definitions)).collect();
    // A secret reference stands in every kind's keys, whether or not ours use one.
    definitions.entry("Secret").or_insert_with(|| without_meta(schema_of::<tables::Secret>()));
    schema["properties"]["warehouses"]["additionalProperties"] = json!({ "oneOf": warehouses });
    schema["properties"]["destinations"]["additionalProperties"] = json!({ "oneOf": destinations });
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// [`sync_toml`], with other kinds than the built-in ones. Which destination a sync names is not to be seen
/// in its file: `[into]` may have the keys of any.
pub fn sync_toml_with(registry: &Registry<'_>) -> Value {
    let mut schema = schema_of::<tables::SyncToml>();
    let mut definitions = take_definitions(&mut schema);
    definitions.entry("Secret").or_insert_with(|| without_meta(schema_of::<tables::Secret>()));
    let mut keys: Map<String, Value> = Map::new();
    for kind in registry.destinations {
        let KindSchema { into, .. } = (kind.schema)();
        let mut own = hoist(kind.name, into, &mut definitions);
        let Some(Value::Object(properties)) = own.get_mut("properties").map(Value::take) else { continue };
        for (key, value) in properties {
            match keys.get_mut(&key) {
                None => drop(keys.insert(key, value)),
                Some(known) if *known == value => {}
                Some(known) => match known.get_mut("anyOf").and_then(Value::as_array_mut) {
                    Some(forms) => forms.push(value),
                    None => *known = json!({ "anyOf": [known.take(), value] }),
                },
            }
        }
    }
    if let Some(Value::Object(common)) = definitions.get_mut("Into").and_then(|into| into.get_mut("properties")) {
        for (key, value) in keys {
            common.entry(key).or_insert(value);
        }
    }
    schema["$defs"] = Value::Object(definitions);
    schema
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>().to_value();
    drop_nulls(&mut schema);
    schema
}

/// TOML has no null: a key that may be left out is only that.
fn drop_nulls(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    members["type"] = one.clone();
                }
            }
            if let Some(Value::Array(forms)) = members.get_mut("anyOf") {
                forms.retain(|form| *form != json!({ "type": "null" }));
                if let [Value::Object(one)] = forms.as_mut_slice() {
                    let one = std::mem::take(one);
                    members.remove("anyOf");
                    members.extend(one);
                }
            }
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn take_definitions(schema: &mut Value) -> Map<String, Value> {
    match schema.get_mut("$defs").map(Value::take) {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    }
}

fn without_meta(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.remove("$schema");
        schema.remove("title");
        schema.remove("$defs");
    }
    schema
}

/// A kind's keys with its `type`.
fn tagged(name: &str, keys: Value, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = hoist(name, keys, definitions);
    schema["properties"]["type"] = json!({ "const": name });
    match schema["required"].as_array_mut() {
        Some(required) => required.push(json!("type")),
        None => schema["required"] = json!(["type"]),
    }
    schema["additionalProperties"] = json!(false);
    schema
}

/// Moves a kind's own definitions to the file's, under its name, and its references with them.
fn hoist(name: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    let own = take_definitions(&mut schema);
    let names: Vec<String> = own.keys().cloned().collect();
    for (definition, mut value) in own {
        rename(&mut value, name, &names);
        definitions.insert(format!("{name}.{definition}"), value);
    }
    rename(&mut schema, name, &names);
    without_meta(schema)
}

fn rename(schema: &mut Value, kind: &str, names: &[String]) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        if let Some(name) = reference.strip_prefix("#/$defs/")
                            && names.iter().any(|own| own == name)
                        {
                            *reference = format!("#/$defs/{kind}.{name}");
                        }
                    }
                    value => rename(value, kind, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, kind, names)),
        _ => {}
    }
}
