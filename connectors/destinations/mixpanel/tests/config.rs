//! What the configuration may say, and the facts that follow.

use backhaul_kit::{AddressKind, Evidence};

use super::*;
use crate::destinations::fixture;

fn codes(keys: &str, wanted: &Wanted) -> Vec<&'static str> {
    read(keys, wanted).map_or_else(|problems| problems.iter().map(|problem| problem.code).collect(), |_| Vec::new())
}

#[test]
fn the_example_in_the_documentation_is_read() {
    let text = fixture::example(include_str!("../mod.rs"));
    // The fields are the fixture's.
    let text = text.split("[fields]").next().expect("a beginning");
    let prepared = fixture::prepared(&MIXPANEL, text, &["order_id"], EVENTS.fields);
    assert_eq!(prepared.object(), "events");
}

#[test]
fn wrong_accounts_are_refused() {
    for (keys, expected) in [
        ("", "missing-key"),
        ("region = \"de\"", "unknown-choice"),
        ("region = \"eu\"\nbase_url = \"http://api.mixpanel.com\"", "bad-url"),
        ("region = \"eu\"\nquota = \"0%\"", "out-of-range"),
        ("region = \"eu\"\nprofiles_per_call = 0", "out-of-range"),
        ("region = \"eu\"\nprofiles_per_call = 2001", "out-of-range"),
        ("region = \"eu\"\nproject_id = 7", "unknown-key"),
    ] {
        assert_eq!(codes(keys, &EVENTS), [expected], "{keys}");
    }
    assert!(codes("region = \"in\"\nquota = \"50%\"\nprofiles_per_call = 2000", &PROFILES).is_empty());
}

#[test]
fn syncs_that_mixpanel_cannot_do_are_refused() {
    let many: &'static [&'static str] = {
        let names = (0..251).map(|n| &*format!("p{n}").leak());
        ["event", "time", "distinct_id"].into_iter().chain(names).collect::<Vec<_>>().leak()
    };
    for (wanted, expected) in [
        (Wanted { object: "event", ..EVENTS }, "unknown-object"),
        (Wanted { mode: Mode::Upsert, ..EVENTS }, "unsupported-mode"),
        (Wanted { removed: Removed::Delete, ..EVENTS }, "unsupported-removed"),
        (Wanted { fields: &["event", "time"], ..EVENTS }, "missing-field"),
        (Wanted { fields: &["event", "time", "distinct_id", "$insert_id"], ..EVENTS }, "reserved-target"),
        (Wanted { fields: &["event", "time", "distinct_id", "ship.city"], ..EVENTS }, "nested-target"),
        (Wanted { fields: many, ..EVENTS }, "too-many-fields"),
        (Wanted { mode: Mode::Update, ..PROFILES }, "unsupported-mode"),
        (Wanted { removed: Removed::Archive, ..PROFILES }, "unsupported-removed"),
        (Wanted { removed: Removed::Clear, fields: &["$distinct_id"], ..PROFILES }, "unsupported-removed"),
        (Wanted { match_on: Some("$email"), ..PROFILES }, "unsupported-match"),
        (Wanted { fields: &["distinct_id", "plan"], ..PROFILES }, "unsupported-match"),
    ] {
        assert_eq!(codes("region = \"us\"", &wanted), [expected], "{wanted:?}");
    }
    assert!(codes("region = \"us\"", &Wanted { fields: &many[..253], ..EVENTS }).is_empty());
}

#[test]
fn facts_say_what_is_documented_and_no_more() {
    let of = |wanted: &Wanted, operation| read("region = \"us\"", wanted).expect("a sync").facts(operation);
    let append = of(&EVENTS, Operation::Append);
    assert_eq!((append.max_rows, append.evidence, append.address), (2000, Evidence::Row, AddressKind::None));
    assert!(append.resend_safe);
    for operation in [Operation::Upsert, Operation::Delete, Operation::Move] {
        let facts = of(&PROFILES, operation);
        assert_eq!((facts.max_rows, facts.evidence), (1, Evidence::Call), "an answer proves one profile");
        assert!(facts.resend_safe && facts.address == AddressKind::MatchValue);
    }
    let kept = Wanted { removed: Removed::Ignore, ..PROFILES };
    assert_eq!(of(&kept, Operation::Move).max_rows, 0, "nothing goes, so nothing is moved");
    assert_eq!(of(&EVENTS, Operation::Delete).max_rows, 0);
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(MIXPANEL.account(&mut table).is_none(), "region and token are required");
    let schema = (MIXPANEL.schema)().account;
    let mut described: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
}
