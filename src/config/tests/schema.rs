//! The readers and the JSON Schema know the same keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problems, SourceFile, parse};
use serde_json::Value;

use super::kinds::REGISTRY;
use crate::config::project::StateSettings;
use crate::config::{checks, fields, groups, guards, incremental, into, model, people, root, schedule, schema, sync};

/// The keys that a reader asks an empty table for.
fn asked(read: impl FnOnce(&mut ConfigTable, &Arc<SourceFile>)) -> BTreeSet<String> {
    let file = Arc::new(SourceFile { path: "empty.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    read(&mut table, &file);
    table.known().iter().cloned().collect()
}

/// The properties at a JSON pointer of a schema.
fn described(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let table = schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    assert_eq!(table["additionalProperties"], false, "{pointer}");
    table["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_reader_asks_for_the_keys_that_its_schema_describes() {
    let (project, nowhere) = (schema::backhaul_toml_with(&REGISTRY), Path::new("nowhere"));
    let (model_toml, nothing) = (schema::model_toml(), root::Root::default());
    // Without destinations, so that `[into]` has its common keys only.
    let bare = crate::config::Registry { warehouses: &[], destinations: &[] };
    let sync_toml = schema::sync_toml_with(&bare);

    assert_eq!(asked(|t, _| drop(root::read_keys(t, nowhere, &REGISTRY))), described(&project, ""));
    let mut settings = StateSettings { dir: "x".into(), key: None, min_free: 0, memory: 0 };
    assert_eq!(asked(|t, _| root::read_state(t, nowhere, &mut settings)), described(&project, "/$defs/State"));
    assert_eq!(asked(|t, _| drop(root::read_defaults(t))), described(&project, "/$defs/Defaults"));
    assert_eq!(asked(|t, _| drop(groups::read(t))), described(&project, "/$defs/Group"));
    assert_eq!(asked(|t, _| drop(people::read_list(t))), described(&project, "/$defs/Suppression"));
    assert_eq!(asked(|t, _| drop(people::read_holdout(t, "h"))), described(&project, "/$defs/Holdout"));
    let around = model::Around { path: nowhere, root: &nothing };
    assert_eq!(asked(|t, file| drop(model::read(t, "m", file, &around))), described(&model_toml, ""));
    let incremental = |t: &mut ConfigTable, _: &Arc<SourceFile>| {
        let span = t.span().clone();
        drop(incremental::read_keys(t, span, &mut Vec::new()));
    };
    assert_eq!(asked(incremental), described(&model_toml, "/$defs/Incremental"));
    let around = sync::Around { path: nowhere, root: &nothing, models: &BTreeMap::new() };
    assert_eq!(asked(|t, file| drop(sync::read(t, "s", file, &around))), described(&sync_toml, ""));
    assert_eq!(asked(|t, _| drop(into::common(t))), described(&sync_toml, "/$defs/Into"));
    assert_eq!(asked(|t, _| drop(schedule::read_keys(t))), described(&sync_toml, "/$defs/Schedule"));
    assert_eq!(asked(|t, _| _ = guards::read(t)), described(&sync_toml, "/$defs/Guards"));
    assert_eq!(asked(|t, _| drop(checks::read(t))), described(&sync_toml, "/$defs/Checks"));
    assert_eq!(asked(|t, _| drop(checks::read(t))), described(&model_toml, "/$defs/Checks"));
    let field_guard = |t: &mut ConfigTable, _: &Arc<SourceFile>| drop(guards::read_field(t));
    assert_eq!(asked(field_guard), described(&sync_toml, "/$defs/FieldGuard"));
    let field = |t: &mut ConfigTable, _: &Arc<SourceFile>| {
        let span = t.span().clone();
        drop(fields::set(t, &span));
    };
    assert_eq!(asked(field), described(&sync_toml, "/$defs/FieldTable"));
}

#[test]
fn closed_lists_are_those_of_the_readers() {
    let sync_toml = schema::sync_toml_with(&REGISTRY);
    let model_toml = schema::model_toml();
    let words = |schema: &Value, name: &str| -> Vec<String> {
        let list = &schema["$defs"][name]["enum"];
        list.as_array().unwrap_or_else(|| panic!("{name}")).iter().map(|w| w.as_str().unwrap().to_owned()).collect()
    };
    fn names<T>(choices: &[(&str, T)]) -> Vec<String> {
        choices.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
    assert_eq!(words(&sync_toml, "Mode"), names(backhaul_kit::Mode::CHOICES));
    assert_eq!(words(&sync_toml, "Removed"), names(backhaul_kit::Removed::CHOICES));
    assert_eq!(words(&sync_toml, "Changed"), names(incremental::CHANGED));
    assert_eq!(words(&sync_toml, "Normaliser"), names(crate::transform::Normaliser::CHOICES));
    assert_eq!(words(&sync_toml, "NullPolicy"), names(fields::NULL));
    assert_eq!(words(&sync_toml, "WritePolicy"), names(backhaul_kit::WritePolicy::CHOICES));
    assert_eq!(words(&sync_toml, "Missing"), names(crate::config::Missing::CHOICES));
    assert_eq!(words(&sync_toml, "OnRemap"), names(guards::ON_REMAP));
    let on_unknown = sync_toml["$defs"]["OnUnknown"]["oneOf"].as_array().expect("a list of words");
    let on_unknown: Vec<&str> = on_unknown.iter().filter_map(|word| word["const"].as_str()).collect();
    assert_eq!(on_unknown, names(sync::ON_UNKNOWN));
    assert_eq!(words(&sync_toml, "OnBadRow"), names(checks::ON_BAD_ROW));
    assert_eq!(words(&sync_toml, "CheckSeverity"), names(checks::SEVERITY));
    assert_eq!(words(&sync_toml, "OnIneligible"), names(people::ON_INELIGIBLE));
    assert_eq!(words(&sync_toml, "OnKeyShift"), names(guards::KEY_SHIFT));
    assert_eq!(words(&sync_toml, "OnHold"), names(guards::ON_HOLD));
    assert_eq!(words(&model_toml, "Personal"), names(model::PERSONAL));
}

#[test]
fn a_kind_brings_its_own_keys() {
    let project = schema::backhaul_toml_with(&REGISTRY);
    let kinds = project["properties"]["destinations"]["additionalProperties"]["oneOf"].as_array().unwrap();
    let hubspot = kinds.iter().find(|kind| kind["properties"]["type"]["const"] == "hubspot").unwrap();
    assert_eq!(hubspot["required"], serde_json::json!(["token", "type"]));
    assert!(project["$defs"]["Secret"]["properties"]["env"].is_object());
    let sync = schema::sync_toml_with(&REGISTRY);
    assert!(sync["$defs"]["Into"]["properties"]["success"].is_object());
}

#[test]
fn every_reference_inside_a_schema_is_defined() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    for schema in [schema::backhaul_toml_with(&REGISTRY), schema::model_toml(), schema::sync_toml_with(&REGISTRY)] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some(), "{reference}");
        }
    }
}
