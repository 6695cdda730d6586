//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::{Problems, SourceFile, parse};
use backhaul_kit::{AddressKind, Evidence, Order};

use super::*;

/// The codes of all problems with an account's and a sync's lines.
fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let text = format!("[account]\nkey = {{ env = \"K\" }}\n{account}\n[into]\n{into}\n");
    fixture::read(&STRIPE, &text, &["id"], fields).1.iter().map(|problem| problem.code).collect()
}

const INTO: &str = "object = \"customers\"\nmatch = \"metadata.customer_id\"";

#[test]
fn the_example_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    assert_eq!(fixture::read(&STRIPE, &text, &["id"], FIELDS).1, []);
}

#[test]
fn wrong_accounts_are_refused() {
    for (keys, expected) in [
        ("base_url = \"http://api.stripe.com\"", "bad-url"),
        ("quota = \"0%\"", "out-of-range"),
        ("per_second = 0", "out-of-range"),
        ("token = 1", "unknown-key"),
    ] {
        assert_eq!(codes(keys, INTO, FIELDS), [expected], "{keys}");
    }
    assert_eq!(codes("quota = \"50%\"\nper_second = 25\ntimeout = \"30s\"", INTO, FIELDS), [""; 0]);
}

#[test]
fn what_stripe_cannot_do_is_refused() {
    let object = "object = \"customers\"";
    for (into, fields, expected) in [
        ("object = \"charges\"\nmatch = \"metadata.customer_id\"", FIELDS, "unknown-object"),
        ("match = \"metadata.customer_id\"", FIELDS, "missing-key"),
        (object, FIELDS, "missing-key"),
        (&format!("{INTO}\nmode = \"audience\""), FIELDS, "unsupported-mode"),
        (&format!("{INTO}\nmode = \"append\""), FIELDS, "unsupported-mode"),
        (&format!("{object}\nmatch = \"email\""), FIELDS, "unsupported-match"),
        (&format!("{object}\nmatch = \"id\""), &["id", "email"], "unsupported-match"),
        (&format!("{INTO}\nremoved = \"archive\""), FIELDS, "unsupported-removed"),
        (&format!("{INTO}\nremoved = \"delete\""), FIELDS, "unconfirmed-removal"),
        (&format!("{INTO}\nremoved = \"clear\""), &["metadata.customer_id"], "unsupported-removed"),
        (INTO, &["metadata.customer_id", "frist_name"], "unknown-field"),
        (INTO, &["metadata.customer_id", "metadata.a[b]"], "bad-metadata-key"),
        (INTO, &["metadata.customer_id", "metadata."], "bad-metadata-key"),
        (INTO, &["metadata.customer_id", "metadata.a_key_that_has_forty_one_characters_in_it"], "bad-metadata-key"),
        (INTO, &["metadata.customer_id", "address.city"], "partial-address"),
        (INTO, &["metadata.customer_id", "email=if_empty"], "unsupported-write"),
        (&format!("{INTO}\nmode = \"update\""), &["metadata.customer_id", "email=on_create"], "unsupported-write"),
    ] {
        assert_eq!(codes("", into, fields), [expected], "{into} {fields:?}");
    }
    let keys: Vec<String> = (0..50).map(|n| format!("metadata.key{n}")).collect();
    let fields: Vec<&str> = ["metadata.customer_id"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    assert_eq!(codes("", INTO, &fields), ["too-many-keys"]);
    assert_eq!(codes("", INTO, &fields[..50]), [""; 0]);
    let whole = ["city", "country", "line1", "line2", "postal_code", "state"].map(|part| format!("address.{part}"));
    let fields: Vec<&str> = FIELDS.iter().copied().chain(whole.iter().map(String::as_str)).collect();
    assert_eq!(codes("", &format!("{INTO}\n{DELETE}"), &fields), [""; 0]);
    assert_eq!(codes("", &format!("{object}\nmode = \"update\"\nmatch = \"id\""), &["id", "email"]), [""; 0]);
}

#[test]
fn facts_say_what_is_documented() {
    let by_metadata = prepared("https://api.stripe.com", UPSERT, FIELDS);
    for operation in [Operation::Upsert, Operation::Create, Operation::Move, Operation::Delete, Operation::Clear] {
        let facts = by_metadata.facts(operation);
        assert_eq!((facts.max_rows, facts.resend_safe, facts.evidence), (1, true, Evidence::Row), "{operation:?}");
        assert_eq!(facts.scopes, ["rak_customer_read", "rak_customer_write"], "{operation:?}");
    }
    assert_eq!(by_metadata.facts(Operation::Upsert).address, AddressKind::MatchValue);
    assert_eq!(by_metadata.facts(Operation::Delete).address, AddressKind::RemoteId);
    assert_eq!(by_metadata.facts(Operation::Upsert).order, Order::RemovalsFirst);
    let by_id = prepared("https://api.stripe.com", "mode = \"update\"\nmatch = \"id\"", &["id", "email"]);
    assert_eq!(by_id.facts(Operation::Update).scopes, ["rak_customer_write"]);
    assert_eq!(by_id.facts(Operation::Move).max_rows, 0);
    assert_eq!(prepared("https://api.stripe.com", CREATE, FIELDS).facts(Operation::Move).max_rows, 0);
    assert_eq!(by_id.object(), "customers");
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(STRIPE.account(&mut table).is_none(), "the key is required");
    let schema = (STRIPE.schema)();
    let mut described: Vec<&String> = schema.account["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
    assert!(schema.into["properties"]["cancel_subscriptions"].is_object());
}
