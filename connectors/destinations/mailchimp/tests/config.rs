//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::{Problems, SourceFile, parse};
use backhaul_kit::{Account, AddressKind, Evidence, Order};

use super::*;

/// The codes of all problems with an account's and a sync's lines.
fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let text = format!("[account]\n{account}\n[into]\n{into}\n");
    fixture::read(&MAILCHIMP, &text, &["id"], fields).1.iter().map(|problem| problem.code).collect()
}

const OF_KEY: &str = "key = { env = \"K\" }";

#[test]
fn the_example_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    let (_, problems) = fixture::read(&MAILCHIMP, &text, &["id"], FIELDS);
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["archive-stays"], "a warning, as the documentation says");
}

#[test]
fn wrong_accounts_are_refused() {
    for (keys, expected) in [
        ("", &["credential"][..]),
        ("key = { env = \"K\" }\ntoken = { env = \"T\" }\ndata_center = \"us1\"", &["credential", "unknown-key"]),
        ("token = { env = \"T\" }", &["missing-key"]),
        ("token = { env = \"T\" }\ndata_center = \"us1.evil.example/\"", &["bad-data-center"]),
        ("key = { env = \"K\" }\nbase_url = \"http://us1.api.mailchimp.com\"", &["bad-url"]),
        ("key = { env = \"K\" }\nquota = \"0%\"", &["out-of-range"]),
        ("key = \"sandbox-us1\"", &["inline-secret"]),
    ] {
        assert_eq!(codes(keys, NEW, FIELDS), expected, "{keys}");
    }
    assert_eq!(
        codes("token = { env = \"T\" }\ndata_center = \"us21\"\nquota = \"50%\"\ntimeout = \"30s\"", NEW, FIELDS),
        [""; 0]
    );
}

#[test]
fn what_mailchimp_cannot_do_is_refused() {
    let new = |more: &str| format!("{NEW}\n{more}");
    for (into, fields, expected) in [
        (NEW.replace("members", "contacts"), FIELDS, "unknown-object"),
        ("list = \"abc123\"\nstatus_if_new = \"subscribed\"".into(), FIELDS, "missing-key"),
        ("object = \"members\"\nstatus_if_new = \"subscribed\"".into(), FIELDS, "missing-key"),
        (NEW.replace("abc123", "abc/123"), FIELDS, "bad-id"),
        (MEMBERS.into(), FIELDS, "missing-status"),
        (NEW.replace("subscribed", "suscribed"), FIELDS, "unknown-choice"),
        (NEW.into(), &["email_address", "status"], "contradiction"),
        (new("mode = \"update\""), FIELDS, "unknown-key"),
        (format!("{MEMBERS}\nmode = \"create\""), FIELDS, "unsupported-mode"),
        (new("removed = \"clear\""), FIELDS, "unsupported-removed"),
        (new("removed = \"delete\""), FIELDS, "unconfirmed-removal"),
        (new("removed = \"archive\""), FIELDS, "archive-stays"),
        (NEW.into(), &["email_address", "merge_field.PLAN"], "unknown-field"),
        (NEW.into(), &["email_address", "tags"], "unsupported-field"),
        (MEMBERS.into(), &["email_address", "status", "marketing_permissions"], "unsupported-field"),
        (NEW.into(), &["email_address", "merge_fields..A"], "bad-path"),
        (NEW.into(), &["merge_fields.FNAME"], "unsupported-match"),
        (new("match = \"merge_fields.FNAME\""), FIELDS, "unsupported-match"),
        (SEGMENT.replace("audience", "upsert"), &["email_address", "status"], "unsupported-mode"),
        (SEGMENT.replace("segment = 123\n", ""), &["email_address"], "missing-key"),
        (SEGMENT.into(), &["email_address", "merge_fields.FNAME"], "unknown-field"),
        (new("segment = 123"), FIELDS, "unknown-key"),
    ] {
        assert_eq!(codes(OF_KEY, &into, fields)[0], expected, "{into} {fields:?}");
    }
    let all: &[&str] = &[
        "email_address",
        "email_type",
        "language",
        "vip",
        "location.latitude",
        "interests.abc",
        "timestamp_opt",
        "merge_fields.ADDRESS.city",
        "marketing_permissions[].marketing_permission_id",
        "marketing_permissions[].enabled",
    ];
    assert_eq!(
        codes(OF_KEY, &new("removed = \"delete\"\nnever_again = true\nmatch = \"email_address\""), all),
        [""; 0]
    );
    assert_eq!(codes(OF_KEY, &format!("{MEMBERS}\nremoved = \"archive\""), STATED), [""; 0]);
    assert_eq!(codes(OF_KEY, SEGMENT, &["email_address"]), [""; 0]);
}

#[test]
fn facts_say_what_is_documented() {
    let url = "https://us1.api.mailchimp.com";
    let into = format!("{NEW}\nremoved = \"archive\"");
    let facts = |into: &str, fields: &[&str], operation| {
        let facts = prepared(url, into, fields).facts(operation);
        (facts.max_rows, facts.evidence)
    };
    assert_eq!(facts(&into, FIELDS, Operation::Upsert), (1000, Evidence::Job));
    assert_eq!(facts(&into, FIELDS, Operation::Archive), (1000, Evidence::Job));
    assert_eq!(facts(&into, FIELDS, Operation::Delete).0, 0);
    assert_eq!(facts(&into, FIELDS, Operation::Move), (1, Evidence::Row));
    assert_eq!(facts(MEMBERS, STATED, Operation::Upsert), (500, Evidence::Row));
    assert_eq!(facts(SEGMENT, &["email_address"], Operation::AudienceAdd), (500, Evidence::Row));
    assert_eq!(facts(SEGMENT, &["email_address"], Operation::Upsert).0, 0);
    let sync = prepared(url, &into, FIELDS);
    let upsert = sync.facts(Operation::Upsert);
    assert_eq!(
        (upsert.resend_safe, upsert.address, upsert.order),
        (true, AddressKind::MatchValue, Order::RemovalsFirst)
    );
    assert_eq!((upsert.concurrency, upsert.scopes.len()), (10, 0));
    assert_eq!(sync.object(), "members of list abc123");
    assert_eq!(prepared(url, SEGMENT, &["email_address"]).object(), "segment 123 of list abc123");
}

fn account(text: &str) -> Box<dyn Account> {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: text.to_owned() });
    MAILCHIMP.account(&mut parse(&file, &Problems::default())).expect("an account")
}

#[test]
fn the_host_is_in_the_key_or_named_beside_a_token() {
    let project = tempfile::tempdir().expect("a temporary folder");
    let kit = Kit::new(Secrets::from_env(project.path()));
    let hosts = |text: &str, key: &str| {
        std::fs::write(project.path().join("key"), key).expect("a key");
        account(text).secret_hosts(&kit).map_err(|fault| fault.to_string())
    };
    let of_key = "key = { file = \"key\" }";
    assert_eq!(hosts(of_key, "0123456789abcdef-us21").expect("a host"), ["us21.api.mailchimp.com:443"]);
    for wrong in ["0123456789abcdef", "0123-us21.evil.example", "0123-", "0123-us21/../x"] {
        let fault = hosts(of_key, wrong).expect_err("no data centre");
        assert!(!fault.contains("0123") && !fault.contains("evil"), "{fault}");
    }
    let of_token = "token = { file = \"key\" }\ndata_center = \"us6\"";
    assert_eq!(hosts(of_token, "x").expect("a host"), ["us6.api.mailchimp.com:443"]);
    assert!(
        !account(of_key).is_stand_in()
            && account(&format!("{of_key}\nbase_url = \"http://127.0.0.1:1\"")).is_stand_in()
    );
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::from("token = { env = \"T\" }") });
    let mut table = parse(&file, &Problems::default());
    assert!(MAILCHIMP.account(&mut table).is_none(), "a data centre is required");
    let schema = (MAILCHIMP.schema)();
    let mut described: Vec<&str> =
        schema.account["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
    let mut known: Vec<&str> = table.known().iter().map(String::as_str).collect();
    described.sort_unstable();
    known.sort_unstable();
    assert_eq!(described, known);
    let into: Vec<&String> = schema.into["properties"].as_object().expect("properties").keys().collect();
    assert_eq!(into, ["list", "never_again", "segment", "status_if_new"]);
}
