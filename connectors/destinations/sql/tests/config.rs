//! Wrong configurations, and the schema.

use backhaul_kit::config::ConfigTable;
use backhaul_kit::{AddressKind, DestinationKind, Operation};

use super::super::super::fixture;
use super::super::{MARIADB, POSTGRES};

fn codes(into: &str, fields: &[&str]) -> Vec<(&'static str, String)> {
    let text = format!("[account]\nurl = {{ env = \"URL\" }}\n[into]\nmatch = \"id\"\n{into}\n");
    let (_, problems) = fixture::read(&POSTGRES, &text, &["id"], fields);
    let marked = |problem: backhaul_kit::config::Problem| {
        let span = problem.span.expect("every problem has a place");
        (problem.code, span.file.text[span.range].to_owned())
    };
    problems.into_iter().map(marked).collect()
}

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    assert_eq!(codes("object = \"crm.people\"", &["id", "name"]), []);
    for (into, code, marked) in [
        ("object = \"a.b.c\"", "bad-table-name", "\"a.b.c\""),
        ("object = \"a\"\noperations = \".x\"", "bad-table-name", "\".x\""),
        ("object = \"a\"\nmode = \"create\"", "unsupported-mode", "\"create\""),
        ("object = \"a\"\nmode = \"audience\"", "unsupported-mode", "\"audience\""),
        ("object = \"a\"\nremoved = \"archive\"", "unsupported-removed", "\"archive\""),
        ("object = \"a\"\nmode = \"append\"\nremoved = \"delete\"", "unsupported-removed", "\"delete\""),
        ("object = \"a\"\nbatchsize = 3", "unknown-key", "batchsize"),
    ] {
        assert_eq!(codes(into, &["id", "name"]), [(code, marked.to_owned())], "{into}");
    }
    let only = |into: &str, fields: &[&str]| codes(into, fields).into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    assert_eq!(only("", &["id"]), ["missing-key"]);
    assert_eq!(only("object = \"a\"\nremoved = \"clear\"", &["id"]), ["unsupported-removed"]);
    assert_eq!(only("object = \"a\"\nbatch_size = 20000", &["id"]), ["out-of-range"]);
    assert_eq!(only("object = \"a\"", &["id", "address.city"]), ["nested-target"]);
}

#[test]
fn an_account_needs_a_url_by_reference() {
    for kind in [&POSTGRES as &DestinationKind, &MARIADB] {
        let of = |text: &str| {
            let text = format!("[account]\n{text}\n[into]\nobject = \"a\"\nmode = \"append\"\n");
            let (_, problems) = fixture::read(kind, &text, &["id"], &["id"]);
            problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
        };
        let expected: &[&str] =
            if kind.name == "mariadb" && !cfg!(feature = "mariadb") { &["not-in-this-build"] } else { &[] };
        assert_eq!(
            of("url = { env = \"URL\" }\ntimeout = \"5s\"\nconcurrency = 2\nsslrootcert = \"ca.pem\""),
            expected
        );
        assert!(of("").contains(&"missing-key"));
        assert!(of("url = \"postgres://u:canary@h/d\"").contains(&"inline-secret"));
    }
}

#[test]
fn facts_follow_the_mode() {
    let of = |into: &str| {
        let text = format!("[account]\nurl = {{ env = \"URL\" }}\n[into]\nobject = \"a\"\nmatch = \"id\"\n{into}\n");
        fixture::prepared(&POSTGRES, &text, &["id"], &["id", "name"])
    };
    let upsert = of("removed = \"delete\"\nbatch_size = 50");
    assert_eq!(upsert.facts(Operation::Upsert).max_rows, 50);
    assert_eq!(upsert.facts(Operation::Delete).address, AddressKind::MatchValue);
    assert!(upsert.facts(Operation::Move).resend_safe && !upsert.facts(Operation::Upsert).read_back);
    assert_eq!([Operation::Append, Operation::Clear, Operation::Create].map(|op| upsert.facts(op).max_rows), [0; 3]);
    let append = of("mode = \"append\"");
    assert!(!append.facts(Operation::Append).resend_safe && !append.facts(Operation::Append).read_back);
    assert_eq!(append.facts(Operation::Move).max_rows, 0);
    assert!(of("mode = \"append\"\noperations = \"b\"").facts(Operation::Append).read_back);
}

#[test]
fn the_schema_has_every_key_that_is_read_and_no_other() {
    for kind in [&POSTGRES as &DestinationKind, &MARIADB] {
        let schema = (kind.schema)();
        let named = |schema: &serde_json::Value| {
            let mut keys: Vec<String> = schema["properties"].as_object().expect("an object").keys().cloned().collect();
            keys.sort();
            keys
        };
        let problems = backhaul_kit::config::Problems::default();
        let file = std::sync::Arc::new(backhaul_kit::config::SourceFile { path: "x.toml".into(), text: String::new() });
        let mut table: ConfigTable = backhaul_kit::config::parse(&file, &problems);
        let _ = kind.account(&mut table);
        let mut read = table.known().to_vec();
        read.sort_unstable();
        assert_eq!(named(&schema.account), read);
        assert_eq!(named(&schema.into), ["batch_size", "operations"]);
    }
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    let (prepared, found) = fixture::read(&POSTGRES, &text, &["email"], &["email", "name"]);
    assert_eq!(found, []);
    assert_eq!(prepared.expect("a destination").object(), "crm.customers");
}
