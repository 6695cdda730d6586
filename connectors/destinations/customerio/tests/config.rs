//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::{Problems, SourceFile, parse};
use backhaul_kit::{AddressKind, Evidence, Order};

use super::*;

const INTO: &str = "object = \"people\"";

/// The codes of all problems with an account's and a sync's lines.
fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let text = format!("[account]\napi_key = {{ env = \"K\" }}\n{account}\n[into]\n{into}\n");
    fixture::read(&CUSTOMERIO, &text, &["id"], fields).1.iter().map(|problem| problem.code).collect()
}

#[test]
fn the_example_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    let text = text.split("[fields]").next().expect("a beginning");
    assert_eq!(fixture::read(&CUSTOMERIO, text, &["customer_id"], FIELDS).1, []);
}

#[test]
fn wrong_accounts_are_refused() {
    for (keys, expected) in [
        ("site_id = \"s\"", "missing-key"),
        ("region = \"us\"", "missing-key"),
        ("region = \"de\"\nsite_id = \"s\"", "unknown-choice"),
        ("region = \"us\"\nsite_id = 7", "wrong-type"),
        ("region = \"us\"\nsite_id = \"s\"\ntoken = 1", "unknown-key"),
        ("region = \"us\"\nsite_id = \"s\"\nbase_url = \"http://track.customer.io\"", "bad-url"),
    ] {
        assert_eq!(codes(keys, INTO, FIELDS), [expected], "{keys}");
    }
    let all = "region = \"eu\"\nsite_id = \"s\"\nquota = \"50%\"\ntimeout = \"30s\"";
    assert_eq!(codes(all, INTO, FIELDS), [""; 0]);
}

#[test]
fn what_customer_io_cannot_do_is_refused() {
    for (into, fields, expected) in [
        ("object = \"person\"", FIELDS, "unknown-object"),
        ("object = \"people\"\nmode = \"update\"", FIELDS, "unsupported-mode"),
        ("object = \"people\"\nremoved = \"clear\"", FIELDS, "unsupported-removed"),
        ("object = \"people\"\nmatch = \"email\"", FIELDS, "unsupported-match"),
        (INTO, &["email"], "unsupported-match"),
        (INTO, &["id", "address.city"], "nested-target"),
        (INTO, &["id", "plan=if_empty"], "unsupported-write"),
        (INTO, &["id", "_update"], "reserved-target"),
        (INTO, &["id", "cio_id"], "reserved-target"),
    ] {
        assert_eq!(codes("region = \"us\"\nsite_id = \"s\"", into, fields), [expected], "{into} {fields:?}");
    }
}

#[test]
fn facts_say_what_is_documented() {
    let people = prepared("https://track.customer.io", FIELDS);
    assert_eq!(people.object(), "people");
    for &operation in Operation::ALL {
        let (facts, offered) = (people.facts(operation), [Operation::Upsert, Operation::Delete].contains(&operation));
        assert_eq!(facts.max_rows, usize::from(offered), "{operation:?}");
        assert!(facts.resend_safe && !facts.merges, "{operation:?}");
        let how = (facts.evidence, facts.address, facts.order);
        assert_eq!(how, (Evidence::Call, AddressKind::MatchValue, Order::RemovalsFirst), "{operation:?}");
    }
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(CUSTOMERIO.account(&mut table).is_none(), "three keys are required");
    let schema = (CUSTOMERIO.schema)();
    let mut described: Vec<&String> = schema.account["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
}
