//! What a check tells of the credential, and what the object says of its fields.

use backhaul_kit::{AccountReport, FaultClass, Lookup, Match};

use super::*;

async fn report(settings: &[(&str, &str)], into: &str) -> AccountReport {
    let sandbox = stand_in(settings).await;
    let report = open(&sandbox.url(), into).destination.check().await.expect("a report");
    assert_eq!(accounts(&*sandbox), serde_json::json!({}), "a check writes nothing");
    report
}

#[tokio::test]
async fn the_smallest_grant_is_just_right() {
    let report = report(&[("org", "00D7")], UPSERT).await;
    assert_eq!(report.identity, "salesforce:00D7");
    assert_eq!((report.missing, report.excess), (Vec::new(), Vec::new()));
    assert!(report.unknowable[0].contains("Modify"), "{:?}", report.unknowable);
    let grant = report.grants.join(" ");
    assert!(grant.contains("external client app: OAuth scope api;"), "{grant}");
    assert!(
        grant.contains("read, create, edit on Account; field-level edit on Account.Ext_Id__c, Account.Name"),
        "{grant}"
    );
}

#[tokio::test]
async fn what_is_missing_and_what_is_too_much_is_told_by_name() {
    let wide = report(&[("scopes", "api,full,web,refresh_token,id"), ("rights", "create,edit,delete")], UPSERT).await;
    let expected =
        ["the OAuth scope full", "the OAuth scope web", "the OAuth scope refresh_token", "delete on Account"];
    assert_eq!((wide.excess, wide.missing), (expected.map(String::from).to_vec(), Vec::new()));
    let deletes = format!(
        "{UPSERT}
removed = \"delete\""
    );
    let narrow = report(&[("rights", "edit"), ("closed", "Account.Plan__c")], &deletes);
    let expected = ["create on Account", "delete on Account", "edit on Account.Plan__c"];
    assert_eq!(narrow.await.missing, expected);
    // Who only updates needs no right to create.
    assert_eq!(report(&[("rights", "edit")], UPDATE).await.missing, [""; 0]);
    let none = report(&[("scopes", "id,refresh_token")], UPSERT).await;
    assert_eq!(
        (none.missing, none.excess),
        (vec!["the OAuth scope api".into()], vec!["the OAuth scope refresh_token".into()])
    );
    assert!(none.grants[0].contains("OAuth scope api"), "{:?}", none.grants);
}

#[tokio::test]
async fn fields_say_what_they_take_and_who_finds_records() {
    let sandbox = stand_in(&[("closed", "Account.Plan__c")]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let calls = sandbox.calls();
    bench.destination.check().await.expect("a report");
    let schema = bench.destination.describe().await.expect("an answer").expect("a description");
    // A token, who we are, and the object, which is asked for once.
    assert_eq!(sandbox.calls() - calls, 3);
    let field = |name: &str| schema.fields.iter().find(|field| field.name == name).expect("a field");
    let of = |name: &str| (field(name).native.as_str(), field(name).writable, field(name).unique);
    assert_eq!(of("Ext_Id__c"), ("string", true, true));
    assert_eq!(of("Plan__c"), ("string", false, false));
    assert_eq!(of("Score__c"), ("double", true, false));
    assert_eq!(of("CreatedDate"), ("datetime", false, false));
    assert_eq!(of("Id"), ("id", false, true));
    let into = "mode = \"update\"\nmatch = \"Id\"";
    let by_id = open_with(&sandbox.url(), into, &["Id", "Name"]);
    let schema = by_id.destination.describe().await.expect("an answer").expect("a description");
    assert!(schema.fields.iter().any(|field| field.name == "Id" && field.writable && field.unique));
}

#[tokio::test]
async fn an_object_that_is_not_there_is_a_configuration_fault() {
    let sandbox = stand_in(&[]).await;
    let text = text(&sandbox.url(), UPSERT).replace("\"Account\"", "\"Acount\"");
    let fault = open_text(&text, FIELDS, SECRET).destination.check().await.expect_err("no such object");
    assert_eq!(fault.class, FaultClass::Config);
}

#[tokio::test]
async fn people_are_looked_up_by_their_address_and_two_are_two() {
    let sandbox = stand_in(&[("page", "1")]).await;
    for email in ["ada@example.com", "o'hara@example.com", "Twin@example.com", "twin@example.com"] {
        set(&*sandbox, "insert", &format!("User:Email={email}"));
    }
    let bench = open(&sandbox.url(), UPSERT);
    let mut emails: Vec<String> = (0..300).map(|n| format!("nobody-with-a-long-address-{n}@example.com")).collect();
    emails.extend(["ADA@example.com", "o'hara@example.com", "twin@example.com"].map(String::from));
    let values = emails.into_iter().map(Value::Text).collect();
    let query = Lookup { object: "User".into(), by: "Email".into(), values };
    let found = bench.destination.lookup(&query).await.expect("an answer");
    assert!(found[..300].iter().all(|found| *found == Match::Absent));
    let user = |n: usize| Match::One(format!("005{n:012}AAA"));
    assert_eq!(found[300..], [user(0), user(1), Match::Several]);
    let prepared = prepared(&sandbox.url(), UPSERT, FIELDS);
    for (object, by) in [("User", "Email) OR (Id != ''"), ("User WHERE", "Email"), ("", "Email")] {
        let query = Lookup { object: object.into(), by: by.into(), values: vec![Value::Text("x".into())] };
        assert_eq!(bench.destination.lookup(&query).await.expect_err("no name").class, FaultClass::Config);
        assert!(prepared.check_lookup(object, by).is_err(), "{object} {by}");
    }
    assert_eq!(prepared.check_lookup("User", "Email"), Ok(vec![String::from("api")]));
}

#[tokio::test]
async fn the_stand_in_knows_its_settings() {
    let sandbox = stand_in(&[]).await;
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    assert!(sandbox.set("fail_next", "often").is_err() && sandbox.set("fields", "Account.X:money").is_err());
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
}
