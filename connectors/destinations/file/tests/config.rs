//! Wrong configurations, and the schema.

use super::super::FILE;
use crate::destinations::fixture;

fn problems(account: &str, into: &str, fields: &[&str]) -> Vec<(&'static str, String)> {
    let removed = if into.contains("removed") { "" } else { "removed = \"delete\"\n" };
    let text = format!("[account]\n{account}\n[into]\n{removed}{into}\n");
    let (_, problems) = fixture::read(&FILE, &text, &["id"], fields);
    let marked = |problem: backhaul_kit::config::Problem| {
        let span = problem.span.expect("every problem has a place");
        (problem.code, span.file.text[span.range].to_owned())
    };
    problems.into_iter().map(marked).collect()
}

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    let good = "format = \"csv\"\nset = \"full\"";
    let of = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(c, t)| (*c, (*t).to_owned())).collect::<Vec<_>>();
    assert_eq!(problems("path = \"out\"", good, &["email"]), []);
    assert_eq!(problems("path = \"\"", good, &["email"]), of(&[("bad-path", "\"\"")]));
    assert_eq!(problems("paht = \"x\"", good, &["email"])[0].0, "missing-key");
    let codes = |into: &str| problems("path = \"out\"", into, &["email"]).into_iter().map(|p| p.0).collect::<Vec<_>>();
    assert_eq!(codes(""), ["missing-key", "missing-key"]);
    assert_eq!(codes("format = \"tsv\"\nset = \"all\""), ["unknown-choice", "unknown-choice"]);
    for (line, code, marked) in [
        ("object = \"a/b\"", "bad-file-name", "\"a/b\""),
        ("object = \".hidden\"", "bad-file-name", "\".hidden\""),
        ("mode = \"audience\"", "unsupported-mode", "\"audience\""),
        ("removed = \"archive\"", "unsupported-removed", "\"archive\""),
        ("compress = true", "unknown-key", "compress"),
    ] {
        assert_eq!(problems("path = \"out\"", &format!("{good}\n{line}"), &["email"]), of(&[(code, marked)]));
    }
}

#[test]
fn the_column_of_changes_is_not_taken() {
    let changes = "format = \"jsonl\"\nset = \"changes\"";
    assert_eq!(problems("path = \"out\"", changes, &["email", "op"])[0].0, "name-taken");
    let full = "format = \"jsonl\"\nset = \"full\"";
    assert_eq!(problems("path = \"out\"", full, &["email", "op"]), []);
}

#[test]
fn the_schema_names_the_keys_that_are_read() {
    let schema = (FILE.schema)();
    for (schema, keys) in [(&schema.account, vec!["path"]), (&schema.into, vec!["format", "set"])] {
        jsonschema::meta::validate(schema).expect("a valid JSON Schema");
        let named: Vec<&String> = schema["properties"].as_object().expect("an object schema").keys().collect();
        assert_eq!(named, keys);
    }
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    assert!(text.contains("[into]"), "{text}");
    let (prepared, found) = fixture::read(&FILE, &text, &["id"], &["email"]);
    assert_eq!(found, []);
    assert_eq!(prepared.expect("a destination").object(), "customers");
}
