//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::{Problems, SourceFile, parse};
use backhaul_kit::{AddressKind, Evidence, Order};

use super::*;

/// The codes of all problems with an account's and a sync's lines.
fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let text = format!("[account]\n{account}\n[into]\n{into}\n");
    fixture::read(&ZENDESK, &text, &["id"], fields).1.iter().map(|problem| problem.code).collect()
}

const ACCOUNT: &str = "subdomain = \"acme\"\ntoken = { env = \"T\" }";

#[test]
fn the_example_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    assert_eq!(fixture::read(&ZENDESK, &text, &["id"], USER).1, []);
}

#[test]
fn wrong_accounts_are_refused() {
    for (account, expected) in [
        ("token = { env = \"T\" }", "missing-key"),
        ("subdomain = \"acme.zendesk.com\"\ntoken = { env = \"T\" }", "bad-subdomain"),
        ("subdomain = \"acme\"", "bad-credential"),
        ("subdomain = \"acme\"\nemail = \"a@example.com\"", "bad-credential"),
        (&format!("{ACCOUNT}\nemail = \"a@example.com\"\napi_token = {{ env = \"A\" }}"), "bad-credential"),
        (&format!("{ACCOUNT}\nplan = \"free\""), "unknown-choice"),
        (&format!("{ACCOUNT}\nquota = \"0%\""), "out-of-range"),
        (&format!("{ACCOUNT}\nbase_url = \"http://acme.zendesk.com\""), "bad-url"),
        (&format!("{ACCOUNT}\nregion = \"eu\""), "unknown-key"),
    ] {
        assert_eq!(codes(account, USERS, USER), [expected], "{account}");
    }
    let by_agent =
        "subdomain = \"acme\"\nemail = \"a@example.com\"\napi_token = { env = \"A\" }\nplan = \"enterprise\"";
    assert_eq!(codes(by_agent, USERS, USER), [""; 0]);
}

#[test]
fn what_zendesk_cannot_do_is_refused() {
    for (into, fields, expected) in [
        ("match = \"external_id\"", USER, "missing-key"),
        ("object = \"groups\"\nmatch = \"external_id\"", USER, "unknown-object"),
        ("object = \"users\"", USER, "missing-key"),
        ("object = \"users\"\nmode = \"append\"\nmatch = \"external_id\"", USER, "unsupported-mode"),
        ("object = \"users\"\nmode = \"update\"\nmatch = \"external_id\"", USER, "unsupported-mode"),
        ("object = \"tickets\"\nmatch = \"id\"", TICKET, "unsupported-mode"),
        ("object = \"users\"\nmatch = \"name\"", USER, "unsupported-match"),
        ("object = \"organizations\"\nmatch = \"name\"", ORGANIZATION, "unsupported-match"),
        (&format!("{USERS}\nremoved = \"clear\""), USER, "unsupported-removed"),
        (&format!("{TICKETS}\nremoved = \"delete\""), TICKET, "unsupported-removed"),
        (USERS, &["external_id", "role"], "forbidden-field"),
        (USERS, &["external_id", "custom_role_id"], "forbidden-field"),
        (USERS, &["external_id", "nmae"], "unknown-field"),
        (USERS, &["external_id", "id"], "unknown-field"),
        (USERS, &["external_id", "user_fields"], "unknown-field"),
        (USERS, &["external_id", "user_fields.a.b"], "unknown-field"),
        (USERS, &["external_id", "organization_fields.plan"], "unknown-field"),
        (TICKETS, &["id", "comment"], "unknown-field"),
        (TICKETS, &["id", "custom_fields.plan"], "unknown-field"),
    ] {
        assert_eq!(codes(ACCOUNT, into, fields), [expected], "{into} {fields:?}");
    }
    for (into, fields) in [
        ("object = \"users\"\nmatch = \"email\"\nremoved = \"delete\"\nskip_verify_email = false", USER),
        (ORGANIZATIONS, &["external_id", "name", "organization_fields.tier_2"]),
        (TICKETS, TICKET),
    ] {
        assert_eq!(codes(ACCOUNT, into, fields), [""; 0], "{into}");
    }
}

#[test]
fn facts_say_what_is_documented() {
    let live = "https://acme.zendesk.com";
    let users = prepared(live, USERS, USER);
    for operation in [Operation::Upsert, Operation::Move, Operation::Delete] {
        let facts = users.facts(operation);
        assert_eq!((facts.max_rows, facts.evidence, facts.resend_safe), (100, Evidence::Job, true), "{operation:?}");
        assert!(facts.concurrency < 30, "the account has 30 jobs for all");
        assert_eq!((facts.order, facts.scopes), (Order::RemovalsFirst, vec!["read".into(), "users:write".into()]));
        assert!(facts.settle_after >= std::time::Duration::from_secs(60), "a job is not done when it is taken in");
    }
    assert_eq!(users.facts(Operation::Upsert).address, AddressKind::MatchValue);
    assert_eq!([Operation::Archive, Operation::Update].map(|operation| users.facts(operation).max_rows), [0, 0]);
    let organizations = prepared(live, ORGANIZATIONS, ORGANIZATION);
    let upsert = organizations.facts(Operation::Upsert);
    assert_eq!((upsert.max_rows, upsert.evidence), (1, Evidence::Row));
    assert_eq!(organizations.facts(Operation::Delete).evidence, Evidence::Job);
    let by_email = prepared(live, "object = \"users\"\nmatch = \"email\"", USER);
    assert_eq!(by_email.facts(Operation::Move).max_rows, 0, "another address is one more, not another");
    assert_eq!(prepared(live, TICKETS, TICKET).facts(Operation::Move).max_rows, 0);
    assert_eq!(users.object(), "users");
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(ZENDESK.account(&mut table).is_none(), "a subdomain is required");
    let schema = (ZENDESK.schema)();
    let mut described: Vec<&String> = schema.account["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
    assert!(schema.into["properties"]["skip_verify_email"].is_object());
}
