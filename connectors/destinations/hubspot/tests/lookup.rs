//! Finding the records that rows of another object refer to.

use std::collections::BTreeMap;

use backhaul_kit::{FaultClass, Lookup, Match};

use super::*;

const COMPANY_ID: &str = "companies.company_no:string:unique";

fn question(object: &str, by: &str, values: Vec<Value>) -> Lookup {
    Lookup { object: object.to_owned(), by: by.to_owned(), values }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// What is known of each value.
async fn found(bench: &Bench, query: &Lookup) -> Vec<Match> {
    bench.destination.lookup(query).await.expect("an answer")
}

fn one(id: &str) -> Match {
    Match::One(id.to_owned())
}

#[tokio::test]
async fn records_of_other_objects_are_found_100_a_call_and_values_without_one_are_left_out() {
    let sandbox = stand_in(&[("properties", COMPANY_ID)]).await;
    let wanted =
        Wanted { object: "companies", match_on: Some("company_no"), fields: &["company_no", "name"], ..CONTACTS };
    let companies = open(&sandbox.url(), &wanted);
    companies.verdicts(&writes(Operation::Upsert, &[&["1", "Acme"], &["2", "Init"]])).await;
    let contacts = open(&sandbox.url(), &CONTACTS);
    let mut values = vec![Value::Int(2), text(""), text("nobody"), text("1")];
    values.extend((0..197).map(|n| text(&format!("none-{n}"))));
    let calls = sandbox.calls();
    let found = found(&contacts, &question("companies", "company_no", values)).await;
    assert_eq!(found[..4], [one("1002"), Match::Absent, Match::Absent, one("1001")]);
    assert!(found[4..].iter().all(|found| *found == Match::Absent));
    assert_eq!(sandbox.calls() - calls, 2);
}

#[tokio::test]
async fn two_spellings_of_an_address_are_one_record() {
    let sandbox = stand_in(&[]).await;
    let contacts = open(&sandbox.url(), &CONTACTS);
    contacts.verdicts(&writes(Operation::Upsert, &[&["c1", "ada@example.com", "Ada"]])).await;
    let query =
        question("contacts", "email", vec![text("ADA@example.com"), text("ada@example.com"), text("b@example.com")]);
    assert_eq!(found(&contacts, &query).await, [one("1001"), one("1001"), Match::Absent]);
}

#[tokio::test]
async fn what_the_answer_leaves_out_is_no_absence() {
    let answer =
        r#"{"status":"COMPLETE","results":[],"startedAt":"2026-01-01T00:00:00Z","completedAt":"2026-01-01T00:00:00Z"}"#;
    let server = scripted(200, &[], answer).await;
    let contacts = open(&server.url, &CONTACTS);
    let query = question("contacts", "email", vec![text("a@example.com")]);
    assert_eq!(found(&contacts, &query).await, [Match::Untold]);
}

#[tokio::test]
async fn a_property_whose_values_are_not_unique_finds_nothing_and_says_so() {
    let sandbox = stand_in(&[]).await;
    let contacts = open(&sandbox.url(), &CONTACTS);
    let fault = contacts.destination.lookup(&question("contacts", "firstname", vec![text("Ada")])).await;
    assert_eq!(fault.expect_err("refused").class, FaultClass::Config);
}

#[test]
fn objects_that_hubspot_has_not_and_its_own_ids_are_refused_before_any_call() {
    let prepared = read("", &CONTACTS).expect("a sync");
    let said: BTreeMap<&str, Result<Vec<String>, String>> =
        [("companies", "domain"), ("User", "Email"), ("deals", "hs_object_id")]
            .map(|(object, by)| (object, prepared.check_lookup(object, by)))
            .into();
    assert_eq!(said["companies"], Ok(vec![String::from("crm.objects.companies.read")]));
    assert!(said["User"].is_err() && said["deals"].is_err(), "{said:?}");
    assert!(prepared.gives_ids());
}
