//! What the configuration may say, and the facts that follow.

use backhaul_kit::config::{Problems, SourceFile, parse};
use backhaul_kit::{AddressKind, Evidence, Order};

use super::*;

const INTO: &str = "object = \"Account\"\nmatch = \"Ext_Id__c\"";
const SECRET_KEYS: &str = "client_secret = { env = \"S\" }";

/// The codes of all problems with an account's and a sync's lines.
fn codes(account: &str, into: &str, fields: &[&str]) -> Vec<&'static str> {
    let text = format!("[account]\nclient_id = \"app\"\n{account}\n[into]\n{into}\n");
    fixture::read(&SALESFORCE, &text, &["id"], fields).1.iter().map(|problem| problem.code).collect()
}

fn account_codes(keys: &str) -> Vec<&'static str> {
    codes(&format!("domain = \"acme.my.salesforce.com\"\n{keys}"), INTO, FIELDS)
}

fn into_codes(into: &str, fields: &[&str]) -> Vec<&'static str> {
    codes(&format!("domain = \"acme.my.salesforce.com\"\n{SECRET_KEYS}"), into, fields)
}

#[test]
fn the_example_is_right() {
    let text = fixture::example(include_str!("../mod.rs"));
    assert_eq!(fixture::read(&SALESFORCE, &text, &["id"], FIELDS).1, []);
}

#[test]
fn an_account_needs_one_credential_with_its_own_keys() {
    let key = "private_key = { file = \"k\" }";
    for (keys, expected) in [
        (SECRET_KEYS.to_owned(), &[][..]),
        (format!("{key}\nusername = \"u\""), &[]),
        (format!("{key}\nusername = \"u\"\naudience = \"https://test.salesforce.com\"\napi_version = 60"), &[]),
        (String::new(), &["bad-credential"]),
        (format!("{key}\nusername = \"u\"\n{SECRET_KEYS}"), &["bad-credential"]),
        (format!("{SECRET_KEYS}\nusername = \"u\""), &["bad-credential"]),
        (key.to_owned(), &["missing-key"]),
        (format!("{SECRET_KEYS}\napi_version = \"v67\""), &["wrong-type"]),
        (format!("{SECRET_KEYS}\nquota = \"0%\""), &["out-of-range"]),
        (format!("{SECRET_KEYS}\ntoken = \"x\""), &["unknown-key"]),
        (format!("{SECRET_KEYS}\nbase_url = \"http://acme.my.salesforce.com\""), &["bad-url"]),
    ] {
        assert_eq!(account_codes(&keys), expected, "{keys}");
    }
    for domain in ["https://acme.my.salesforce.com", "acme.lightning.force.com", "a.my.b/c", ""] {
        let keys = format!("domain = \"{domain}\"\nbase_url = \"https://x.example\"\n{SECRET_KEYS}");
        assert_eq!(codes(&keys, INTO, FIELDS), ["bad-domain"], "{domain}");
    }
}

#[test]
fn what_salesforce_cannot_do_is_refused() {
    let object = "object = \"Account\"";
    for (into, fields, expected) in [
        ("match = \"Ext_Id__c\"".to_owned(), FIELDS, "missing-key"),
        (object.to_owned(), FIELDS, "missing-key"),
        (INTO.replace("Account", "Account/x"), FIELDS, "unknown-object"),
        (format!("{INTO}\nmode = \"audience\""), FIELDS, "unsupported-mode"),
        (format!("{INTO}\nmode = \"append\""), FIELDS, "unsupported-mode"),
        (format!("{INTO}\nremoved = \"archive\""), FIELDS, "unsupported-removed"),
        (format!("{INTO}\nremoved = \"clear\""), &["Ext_Id__c"], "unsupported-removed"),
        (format!("{object}\nmatch = \"Id\""), &["Id", "Name"], "unsupported-match"),
        (INTO.to_owned(), &["Ext_Id__c", "Id"], "unsupported-match"),
        (INTO.to_owned(), &["Ext_Id__c", "Owner.Email"], "bad-field"),
        (format!("{INTO}\nbulk_above = \"always\""), FIELDS, "unknown-choice"),
        (format!("{INTO}\nbulk_above = 0"), FIELDS, "out-of-range"),
    ] {
        assert_eq!(into_codes(&into, fields), [expected], "{into} {fields:?}");
    }
    for into in [format!("{INTO}\nbulk_above = \"never\""), format!("{INTO}\nbulk_above = 5000\nremoved = \"clear\"")] {
        assert_eq!(into_codes(&into, FIELDS), [""; 0], "{into}");
    }
    assert_eq!(into_codes(&format!("{object}\nmode = \"update\"\nmatch = \"Id\""), &["Id", "Name"]), [""; 0]);
}

#[test]
fn facts_say_what_is_documented_and_follow_the_size_of_the_run() {
    let live = "https://acme.my.salesforce.com";
    let upsert = prepared(live, UPSERT, FIELDS);
    let facts = |operation, rows| upsert.facts_for(operation, rows);
    for operation in [Operation::Upsert, Operation::Move, Operation::Delete, Operation::Clear] {
        let (small, large) = (facts(operation, 2000), facts(operation, 2001));
        assert_eq!((small.max_rows, small.evidence, small.resend_safe), (200, Evidence::Row, true), "{operation:?}");
        assert_eq!((large.max_rows, large.evidence, large.resend_safe), (10_000, Evidence::Job, true), "{operation:?}");
        assert_eq!((small.address, small.order), (large.address, Order::RemovalsFirst));
        assert_eq!(small.scopes, ["api"]);
        // Salesforce works on a call for ten minutes at most.
        assert_eq!(small.settle_after.as_secs(), 600);
    }
    assert_eq!(facts(Operation::Upsert, 0).address, AddressKind::MatchValue);
    assert_eq!(facts(Operation::Delete, 0).address, AddressKind::RemoteId);
    let never = prepared(live, &format!("{UPSERT}\nbulk_above = \"never\""), FIELDS);
    assert_eq!(never.facts_for(Operation::Upsert, 1_000_000).max_rows, 200);
    assert_eq!(upsert.check_lookup("User", "Email"), Ok(vec![String::from("api")]));
    assert!(upsert.check_lookup("User", "Email) OR (Id").is_err());
    // An upsert may have to make the record.
    assert!(!upsert.facts(Operation::Upsert).merges && prepared(live, UPDATE, FIELDS).facts(Operation::Update).merges);
    let create = prepared(live, CREATE, FIELDS).facts(Operation::Create);
    assert!(!create.resend_safe && create.read_back);
    assert_eq!(prepared(live, CREATE, FIELDS).facts(Operation::Move).max_rows, 0);
    // Records that have to be looked for gain nothing by a job.
    assert_eq!(prepared(live, UPDATE, FIELDS).facts_for(Operation::Update, 100_000).max_rows, 200);
    let by_id = prepared(live, "mode = \"update\"\nmatch = \"Id\"", &["Id", "Name"]);
    assert_eq!(by_id.facts_for(Operation::Update, 100_000).max_rows, 10_000);
    assert_eq!(by_id.facts(Operation::Move).max_rows, 0);
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    let file = Arc::new(SourceFile { path: "t.toml".into(), text: String::new() });
    let mut table = parse(&file, &Problems::default());
    assert!(SALESFORCE.account(&mut table).is_none(), "a domain is required");
    let schema = (SALESFORCE.schema)();
    let mut described: Vec<&String> = schema.account["properties"].as_object().expect("properties").keys().collect();
    let mut known: Vec<&String> = table.known().iter().collect();
    described.sort();
    known.sort();
    assert_eq!(described, known);
    assert!(schema.into["properties"]["bulk_above"].is_object());
}
