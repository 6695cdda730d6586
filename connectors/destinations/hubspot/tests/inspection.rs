//! Identity, scopes, properties, and asking after lost answers.

use backhaul_kit::{Mode, Presence, Removed, TypeClass};

use super::*;

#[tokio::test]
async fn check_tells_the_account_and_its_scopes() {
    let sandbox = stand_in(&[("hub_id", "77"), ("scopes", "oauth,crm.objects.contacts.write,crm.lists.write")]).await;
    let report = open(&sandbox.url(), &CONTACTS).destination.check().await.expect("a report");
    assert_eq!(report.identity, "hubspot:77");
    assert_eq!(report.missing, ["crm.objects.contacts.read"], "archiving may have to look records up");
    assert_eq!(report.excess, ["crm.lists.write"]);
    assert!(report.unknowable.is_empty());
    let upsert_only = open(&sandbox.url(), &Wanted { removed: Removed::Ignore, ..CONTACTS });
    assert!(upsert_only.destination.check().await.expect("a report").missing.is_empty());
}

#[tokio::test]
async fn a_token_that_no_introspection_knows_still_has_an_account() {
    let details = r#"{"portalId":99,"accountType":"STANDARD"}"#;
    let server = scripted(200, &[], details).await;
    let report = open(&server.url, &CONTACTS).destination.check().await.expect("a report");
    assert_eq!(report.identity, "hubspot:99");
    assert_eq!(report.unknowable.len(), 1);
    let asked: Vec<String> = server.asked.lock().expect("no panic").iter().cloned().collect();
    assert_eq!(asked.last().map(String::as_str), Some("/account-info/v3/details"));
}

#[tokio::test]
async fn check_reads_the_introspection_of_oauth_tokens_and_refuses_a_wrong_token() {
    let server = scripted(200, &[], r#"{"hub_id":5,"scopes":["oauth"],"token":"t"}"#).await;
    let report = open(&server.url, &CONTACTS).destination.check().await.expect("a report");
    assert_eq!((report.identity.as_str(), report.missing.len()), ("hubspot:5", 2));
    let sandbox = stand_in(&[("token", "another")]).await;
    let fault = open(&sandbox.url(), &CONTACTS).destination.check().await.expect_err("refused");
    assert_eq!(fault.class, backhaul_kit::FaultClass::Auth);
}

#[tokio::test]
async fn describe_tells_types_choices_and_what_is_unique_or_read_only() {
    let sandbox = stand_in(&[("properties", "contacts.plan:enumeration:free|pro,contacts.born:date")]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let schema = bench.destination.describe().await.expect("a schema").expect("a schema");
    let field = |name: &str| schema.fields.iter().find(|field| field.name == name).expect("a property");
    assert!(field("customer_id").unique && field("customer_id").writable);
    assert!(field("email").unique, "contacts are unique by e-mail address");
    assert!(!field("firstname").unique);
    assert!(!field("hs_object_id").writable && !field("createdate").writable);
    assert_eq!(
        (field("plan").native.as_str(), field("plan").choices.as_slice()),
        ("enumeration", ["free".to_owned(), "pro".to_owned()].as_slice())
    );
    assert!(field("born").accepts.contains(&TypeClass::Date) && !field("born").accepts.contains(&TypeClass::Timestamp));
    let by_id = Wanted { mode: Mode::Update, match_on: Some("hs_object_id"), fields: &["hs_object_id"], ..CONTACTS };
    let schema = open(&sandbox.url(), &by_id).destination.describe().await.expect("a schema").expect("a schema");
    let id = schema.fields.iter().find(|field| field.name == "hs_object_id").expect("the id");
    assert!(id.writable && id.unique, "a match by the id writes nothing into it");
}

#[tokio::test]
async fn creations_whose_answer_was_lost_are_asked_after_by_their_match_value() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &Wanted { mode: Mode::Create, ..CONTACTS });
    let rows: Vec<Vec<String>> = (0..100).map(|n| vec![format!("c{n}"), String::new(), String::from("Ada")]).collect();
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    bench.verdicts(&writes(Operation::Create, &rows[..60])).await;
    let calls = sandbox.calls();
    let mut asked = writes(Operation::Create, &rows);
    asked.rows[99].fields = [const { FieldValue::Skip }; 3].into_iter().collect();
    let there = bench.destination.find_written(&run(), &asked).await.expect("an answer");
    assert_eq!(sandbox.calls() - calls, 1, "100 records a call");
    assert_eq!(there[0], Presence::There { remote_id: Some(String::from("1001")) });
    assert!(there[1..60].iter().all(|presence| matches!(presence, Presence::There { .. })));
    assert!(there[60..99].iter().all(|presence| *presence == Presence::Absent));
    assert_eq!(there[99], Presence::Unknown, "nothing to ask by");
    let silent = scripted(200, &[], "{}").await;
    let bench = open(&silent.url, &Wanted { mode: Mode::Create, ..CONTACTS });
    let there = bench.destination.find_written(&run(), &writes(Operation::Create, &rows[..1])).await;
    assert_eq!(there.expect("an answer"), [Presence::Unknown], "what the answer leaves out is no absence");
}

#[tokio::test]
async fn e_mail_addresses_are_compared_as_hubspot_keeps_them() {
    let sandbox = stand_in(&[]).await;
    let wanted = Wanted { match_on: Some("email"), fields: &["email", "firstname"], ..CONTACTS };
    let bench = open(&sandbox.url(), &wanted);
    assert_eq!(bench.verdicts(&writes(Operation::Upsert, &[&["Ada@Example.com", "Ada"]])).await, [written("1001")]);
    let archived = bench.verdicts(&removals(Operation::Archive, vec![by_value("ADA@Example.com")])).await;
    assert_eq!(archived, [written("1001")]);
}
