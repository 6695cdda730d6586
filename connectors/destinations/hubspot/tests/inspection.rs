//! Identity, scopes, properties and reading back.

use backhaul_kit::{Mode, Removed, TypeClass};

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
async fn records_are_read_back_by_id_and_by_match_value() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let ids: Vec<String> = (0..150).map(|n| format!("c{n}")).collect();
    for chunk in ids.chunks(100) {
        let rows: Vec<Vec<&str>> = chunk.iter().map(|id| vec![id.as_str(), "", "Ada"]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        bench.verdicts(&writes(Operation::Upsert, &rows)).await;
    }
    let mut addresses: Vec<Address> = ids.iter().map(|id| by_value(id)).collect();
    addresses.extend([by_id("1001"), by_value("nobody"), Address::default()]);
    let calls = sandbox.calls();
    let found = bench.destination.read_back(&addresses).await.expect("an answer").expect("records");
    assert_eq!(sandbox.calls() - calls, 3, "100 records a call");
    assert_eq!(found.len(), 151);
    for record in &found {
        let expected = ids.get(record.address).map_or("c0", String::as_str);
        assert_eq!(record.fields["customer_id"], expected);
        assert_eq!(record.fields["firstname"], "Ada");
        assert!(record.remote_id.is_some());
    }
}

#[tokio::test]
async fn e_mail_addresses_are_compared_as_hubspot_keeps_them() {
    let sandbox = stand_in(&[]).await;
    let wanted = Wanted { match_on: Some("email"), fields: &["email", "firstname"], ..CONTACTS };
    let bench = open(&sandbox.url(), &wanted);
    assert_eq!(bench.verdicts(&writes(Operation::Upsert, &[&["Ada@Example.com", "Ada"]])).await, [written("1001")]);
    let found = bench.destination.read_back(&[by_value("ADA@example.com")]).await.expect("an answer").expect("records");
    assert_eq!(found.len(), 1);
    let archived = bench.verdicts(&removals(Operation::Archive, vec![by_value("Ada@Example.com")])).await;
    assert_eq!(archived, [written("1001")]);
}
