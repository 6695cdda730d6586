//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::{Problems, SourceFile, parse};
use backhaul_kit::{AddressKind, Evidence, Order, Session};

use super::*;

/// The codes of all problems with an account's and a sync's lines.
fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let text = format!("[account]\ntoken = {{ env = \"T\" }}\n{account}\n[into]\n{into}\n");
    fixture::read(&META, &text, &["id"], fields).1.iter().map(|problem| problem.code).collect()
}

const ACCOUNT: &str = "ad_account = \"act_1\"";
const INTO: &str = "audience = \"1\"\nmode = \"audience\"";

#[test]
fn the_example_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    let text = text.split("[fields]").next().expect("a beginning");
    let fields = ["EMAIL", "PHONE", "FN", "LN", "COUNTRY", "EXTERN_ID"];
    assert_eq!(fixture::prepared(&META, text, &["id"], &fields).object(), "audience 23851234567890");
}

#[test]
fn wrong_accounts_are_refused() {
    for (keys, expected) in [
        ("", "missing-key"),
        ("ad_account = \"1234\"", "bad-ad-account"),
        ("ad_account = \"act_\"", "bad-ad-account"),
        ("ad_account = \"act_1\"\napi_version = \"25\"", "bad-version"),
        ("ad_account = \"act_1\"\napi_version = \"v25.0/me\"", "bad-version"),
        ("ad_account = \"act_1\"\nrows_per_call = 10001", "out-of-range"),
        ("ad_account = \"act_1\"\nper_hour = 0", "out-of-range"),
        ("ad_account = \"act_1\"\nquota = \"0%\"", "out-of-range"),
        ("ad_account = \"act_1\"\nbase_url = \"http://graph.facebook.com\"", "bad-url"),
        ("ad_account = \"act_1\"\napp_secret = \"s\"", "inline-secret"),
        ("ad_account = \"act_1\"\naccount = 1", "unknown-key"),
    ] {
        assert_eq!(codes(keys, INTO, FIELDS), [expected], "{keys}");
    }
    let all = "ad_account = \"act_1\"\napi_version = \"v26.0\"\napp_secret = { env = \"S\" }\nquota = \"50%\"\n\
               per_hour = 190000\nrows_per_call = 5000\ntimeout = \"30s\"";
    assert_eq!(codes(all, INTO, FIELDS), [""; 0]);
}

#[test]
fn what_meta_cannot_do_is_refused() {
    for (into, fields, expected) in [
        ("mode = \"audience\"", FIELDS, "missing-key"),
        ("audience = \"act_1\"\nmode = \"audience\"", FIELDS, "bad-audience"),
        ("audience = \"1\"\nmode = \"upsert\"", FIELDS, "unsupported-mode"),
        (&format!("{INTO}\nobject = \"users\""), FIELDS, "unknown-object"),
        (INTO, &["EMIAL"], "unknown-field"),
        (INTO, &["email", "PHONE"], "unknown-field"),
        (INTO, &["EMAIL", "LOOKALIKE_VALUE"], "unknown-field"),
        (INTO, &["DATA_PROCESSING_OPTIONS"], "missing-field"),
        (INTO, &["EMAIL", "DATA_PROCESSING_OPTIONS_STATE"], "missing-field"),
        (&format!("{INTO}\nhashed = [\"PHONE\"]"), &["EMAIL"], "unknown-field"),
        (&format!("{INTO}\nhashed = [\"EXTERN_ID\"]"), &["EMAIL", "EXTERN_ID"], "unknown-field"),
    ] {
        assert_eq!(codes(ACCOUNT, into, fields), [expected], "{into} {fields:?}");
    }
    let every: Vec<&str> = crate::destinations::meta::person::COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(codes(ACCOUNT, &format!("{INTO}\nhashed = [\"EMAIL\", \"ZIP\"]"), &every), [""; 0]);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest() {
    let text = format!("[account]\ntoken = {{ env = \"T\" }}\n{ACCOUNT}\n[into]\n{INTO}\n");
    let problems = fixture::read(&META, &text, &["id"], &["EMIAL"]).1;
    assert_eq!(problems[0].label.as_deref(), Some("did you mean `EMAIL`?"));
}

#[test]
fn facts_say_what_is_documented() {
    let sync = prepared("https://graph.facebook.com", "", "", FIELDS);
    for operation in [Operation::AudienceAdd, Operation::AudienceRemove, Operation::Move] {
        let facts = sync.facts(operation);
        assert_eq!(
            (facts.max_rows, facts.resend_safe, facts.evidence),
            (10_000, true, Evidence::Count),
            "{operation:?}"
        );
        assert_eq!((facts.session, facts.order), (Session::Ordered, Order::RemovalsFirst), "{operation:?}");
        assert_eq!((facts.address, facts.scopes), (AddressKind::Hashes, vec!["ads_management".to_owned()]));
    }
    assert_eq!(sync.facts(Operation::Upsert).max_rows, 0);
    let few = prepared("https://graph.facebook.com", "rows_per_call = 7", "", FIELDS);
    assert_eq!(few.facts(Operation::AudienceAdd).max_rows, 7);
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(META.account(&mut table).is_none(), "token and ad account are required");
    let schema = (META.schema)();
    let mut described: Vec<&String> = schema.account["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
    let into: Vec<&String> = schema.into["properties"].as_object().expect("properties").keys().collect();
    assert_eq!(into, ["audience", "hashed"]);
}
