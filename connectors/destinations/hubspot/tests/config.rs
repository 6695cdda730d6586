//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::Severity;
use backhaul_kit::{AddressKind, Evidence, Mode, Operation, Removed};

use super::*;

fn codes(keys: &str, wanted: &Wanted) -> Vec<&'static str> {
    read(keys, wanted).map_or_else(|problems| problems.iter().map(|problem| problem.code).collect(), |_| Vec::new())
}

#[test]
fn wrong_accounts_are_refused() {
    for (keys, expected) in [
        ("base_url = \"api.hubapi.com\"", "bad-url"),
        ("base_url = \"http://api.hubapi.com\"", "bad-url"),
        ("base_url = \"https://user:pw@api.hubapi.com\"", "bad-url"),
        ("quota = \"0%\"", "out-of-range"),
        ("quota = 50", "bad-percentage"),
        ("tier = \"pro\"", "unknown-choice"),
        ("tier = \"starter\"\nper_ten_seconds = 5", "conflicting-keys"),
        ("per_ten_seconds = 0", "out-of-range"),
        ("toekn = 1", "unknown-key"),
    ] {
        assert_eq!(codes(keys, &CONTACTS), [expected], "{keys}");
    }
    assert!(codes("quota = \"50%\"\ntier = \"enterprise\"\ntimeout = \"30s\"", &CONTACTS).is_empty());
    assert!(codes("base_url = \"http://[::1]:8080\"", &CONTACTS).is_empty());
}

#[test]
fn syncs_that_hubspot_cannot_do_are_refused() {
    let refused = [
        (Wanted { object: "contact", ..CONTACTS }, "unknown-object"),
        (Wanted { mode: Mode::Audience, ..CONTACTS }, "unsupported-mode"),
        (Wanted { mode: Mode::Append, ..CONTACTS }, "unsupported-mode"),
        (Wanted { removed: Removed::Delete, ..CONTACTS }, "unsupported-removed"),
        (Wanted { removed: Removed::Clear, fields: &["customer_id"], ..CONTACTS }, "unsupported-removed"),
        (Wanted { fields: &["customer_id", "address.city"], ..CONTACTS }, "nested-target"),
        (Wanted { match_on: None, ..CONTACTS }, "missing-key"),
        (Wanted { match_on: Some("hs_object_id"), fields: &["hs_object_id"], ..CONTACTS }, "unsupported-match"),
    ];
    for (wanted, expected) in refused {
        assert_eq!(codes("", &wanted), [expected], "{wanted:?}");
    }
    assert!(codes("", &Wanted { mode: Mode::Create, match_on: None, ..CONTACTS }).is_empty());
}

#[test]
fn an_object_written_in_the_singular_gets_the_nearest_name() {
    let problems = read("", &Wanted { object: "contact", ..CONTACTS }).err().expect("refused");
    assert_eq!(problems[0].label.as_deref(), Some("did you mean `contacts`?"));
}

#[test]
fn a_field_that_may_be_left_out_of_an_upsert_by_email_is_warned_of() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: "token = { env = \"T\" }".into() });
    let problems = Problems::default();
    let account = HUBSPOT.account(&mut parse(&file, &problems)).expect("an account");
    let mut shape = shape(&Wanted { match_on: Some("email"), fields: &["email", "phone"], ..CONTACTS });
    for field in &mut shape.fields {
        field.null = NullPolicy::Skip;
    }
    shape.fields[1].write = WritePolicy::Always;
    assert!(HUBSPOT.sync(account.as_ref(), &mut parse(&file, &problems), &shape).is_some());
    let found = problems.take();
    assert_eq!((found.len(), found[0].code, found[0].severity), (1, "partial-upsert", Severity::Warning));
    assert!(found[0].message.contains("`phone`"));
    shape.fields[1].write = WritePolicy::IfEmpty;
    assert!(HUBSPOT.sync(account.as_ref(), &mut parse(&file, &problems), &shape).is_none());
    assert_eq!(problems.take()[0].code, "unsupported-write");
}

#[test]
fn facts_say_what_the_vendor_documents() {
    let prepared = read("", &CONTACTS).expect("a sync");
    let facts = |operation| prepared.facts(operation);
    for operation in [Operation::Upsert, Operation::Update, Operation::Clear, Operation::Move, Operation::Archive] {
        assert!(facts(operation).resend_safe && facts(operation).max_rows == 100, "{operation:?}");
    }
    assert!(!facts(Operation::Create).resend_safe);
    assert_eq!(
        (facts(Operation::Archive).evidence, facts(Operation::Upsert).evidence),
        (Evidence::Call, Evidence::Row)
    );
    assert_eq!(facts(Operation::Archive).address, AddressKind::RemoteId);
    assert_eq!(facts(Operation::Upsert).scopes, ["crm.objects.contacts.write"]);
    assert_eq!(prepared.object(), "contacts");
    assert_eq!([Operation::Delete, Operation::Append].map(|operation| facts(operation).max_rows), [0, 0]);
    let by_id = Wanted { mode: Mode::Update, match_on: Some("hs_object_id"), fields: &["hs_object_id"], ..CONTACTS };
    let by_id = read("", &by_id).expect("a sync");
    assert_eq!(by_id.facts(Operation::Move).max_rows, 0, "another id is another record");
    assert_eq!(by_id.facts(Operation::Archive).scopes, ["crm.objects.contacts.write"], "nothing is looked for");
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(HUBSPOT.account(&mut table).is_none(), "the token is required");
    let schema = (HUBSPOT.schema)().account;
    let mut described: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
}
