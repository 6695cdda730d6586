//! The stand-in itself, called without the destination.

use serde_json::{Value, json};

use super::*;

const UPSERT: &str = "/crm/v3/objects/contacts/batch/upsert";

fn body(answer: &Answer) -> Value {
    answer.json().unwrap_or_default()
}

/// An input without a trace id.
fn bare(id: &str, email: &str) -> Value {
    json!({ "idProperty": "customer_id", "id": id, "properties": { "email": email } })
}

#[tokio::test]
async fn without_trace_ids_one_bad_input_refuses_the_batch_and_nothing_is_applied() {
    let sandbox = stand_in(&[]).await;
    let inputs = json!({ "inputs": [bare("c1", "ada@example.com"), bare("c2", "nonsense")] });
    let answer = call(&sandbox.url(), "POST", UPSERT, &inputs).await;
    assert_eq!(answer.status, 400);
    assert_eq!(body(&answer)["category"], "VALIDATION_ERROR");
    assert_eq!(sandbox.records()["contacts"], json!({}));
    let answer = call(&sandbox.url(), "POST", UPSERT, &json!({ "inputs": [bare("c1", "ada@example.com")] })).await;
    assert_eq!((answer.status.as_u16(), &body(&answer)["results"][0]["new"]), (200, &json!(true)));
}

#[tokio::test]
async fn caps_duplicates_and_unknown_properties_refuse_the_batch() {
    let sandbox = stand_in(&[]).await;
    let many: Vec<Value> = (0..101).map(|n| bare(&format!("c{n}"), "")).collect();
    for (inputs, hint) in [
        (json!(many), "maximum"),
        (json!([bare("c1", ""), bare("c1", "")]), "Duplicate"),
        (json!([{ "idProperty": "customer_id", "id": "c1", "properties": { "nick": "x" } }]), "PROPERTY_DOESNT_EXIST"),
        (json!([{ "idProperty": "firstname", "id": "c1", "properties": {} }]), "unique"),
        (json!([{ "idProperty": "customer_id", "id": "c1", "properties": { "email": 7 } }]), "Invalid input JSON"),
    ] {
        let answer = call(&sandbox.url(), "POST", UPSERT, &json!({ "inputs": inputs })).await;
        assert_eq!(answer.status, 400, "{hint}");
        assert!(body(&answer)["message"].as_str().is_some_and(|message| message.contains(hint)), "{}", body(&answer));
    }
}

#[tokio::test]
async fn unique_values_are_held_by_one_live_record() {
    let sandbox = stand_in(&[]).await;
    let traced = |id: &str, email: &str| json!({ "idProperty": "customer_id", "id": id, "objectWriteTraceId": id, "properties": { "email": email } });
    let first = json!({ "inputs": [traced("c1", "a@example.com"), traced("c2", "a@example.com")] });
    let answer = call(&sandbox.url(), "POST", UPSERT, &first).await;
    assert_eq!(answer.status, 207);
    assert_eq!(body(&answer)["numErrors"], 1);
    assert_eq!(body(&answer)["errors"][0]["category"], "CONFLICT");
    assert_eq!(body(&answer)["errors"][0]["context"]["objectWriteTraceId"], json!(["c2"]));
    let archived = call(
        &sandbox.url(),
        "POST",
        "/crm/v3/objects/contacts/batch/archive",
        &json!({ "inputs": [{ "id": "1001" }] }),
    )
    .await;
    assert_eq!(archived.status, 204);
    let answer = call(&sandbox.url(), "POST", UPSERT, &json!({ "inputs": [traced("c2", "a@example.com")] })).await;
    assert_eq!(answer.status, 200, "archiving frees the value");
}

#[tokio::test]
async fn properties_can_be_created_and_records_listed_and_read() {
    let sandbox = stand_in(&[]).await;
    let new = json!({ "name": "ext_id", "label": "Ext", "type": "string", "fieldType": "text", "groupName": "g", "hasUniqueValue": true });
    assert_eq!(call(&sandbox.url(), "POST", "/crm/v3/properties/contacts", &new).await.status, 201);
    assert_eq!(call(&sandbox.url(), "POST", "/crm/v3/properties/contacts", &new).await.status, 409);
    let known = call(&sandbox.url(), "GET", "/crm/v3/properties/contacts/ext_id", &Value::Null).await;
    assert_eq!(body(&known)["hasUniqueValue"], true);
    let inputs: Vec<Value> =
        (0..3).map(|n| json!({ "idProperty": "ext_id", "id": n.to_string(), "properties": {} })).collect();
    assert_eq!(call(&sandbox.url(), "POST", UPSERT, &json!({ "inputs": inputs })).await.status, 200);
    let page =
        body(&call(&sandbox.url(), "GET", "/crm/v3/objects/contacts?limit=2&properties=ext_id", &Value::Null).await);
    assert_eq!(page["results"].as_array().map(Vec::len), Some(2));
    let after = page["paging"]["next"]["after"].as_str().expect("a next page").to_owned();
    let path = format!("/crm/v3/objects/contacts?limit=2&after={after}");
    let page = body(&call(&sandbox.url(), "GET", &path, &Value::Null).await);
    assert_eq!((page["results"].as_array().map(Vec::len), &page["paging"]), (Some(1), &Value::Null));
    let one =
        call(&sandbox.url(), "GET", "/crm/v3/objects/contacts/2?idProperty=ext_id&properties=ext_id", &Value::Null)
            .await;
    assert_eq!(body(&one)["properties"]["ext_id"], "2");
    assert_eq!(call(&sandbox.url(), "GET", "/crm/v3/objects/contacts/9", &Value::Null).await.status, 404);
    assert_eq!(call(&sandbox.url(), "GET", "/crm/v3/objects/robots", &Value::Null).await.status, 404);
}

#[tokio::test]
async fn limits_refuse_with_their_policy_and_headers() {
    let sandbox = stand_in(&[("limit", "2/10s")]).await;
    let url = sandbox.url();
    let list = || call(&url, "GET", "/crm/v3/objects/contacts", &Value::Null);
    assert_eq!(list().await.header("x-hubspot-ratelimit-remaining"), Some("1"));
    assert_eq!(list().await.header("x-hubspot-ratelimit-remaining"), Some("0"));
    let refused = list().await;
    assert_eq!(refused.status, 429);
    assert_eq!(body(&refused)["policyName"], "TEN_SECONDLY_ROLLING");
    assert_eq!(refused.header("x-hubspot-ratelimit-interval-milliseconds"), Some("10000"));
    sandbox.set("limit", "0").expect("a setting");
    sandbox.set("per_day", "1").expect("a setting");
    assert_eq!(list().await.status, 200);
    assert_eq!(body(&list().await)["policyName"], "DAILY");
    assert_eq!(sandbox.calls(), 5);
}

#[tokio::test]
async fn what_is_used_of_a_limit_can_be_asked_for() {
    let sandbox = stand_in(&[("limit", "2/1h"), ("window", "fixed")]).await;
    for status in [200, 200, 429] {
        assert_eq!(call(&sandbox.url(), "GET", "/crm/v3/objects/contacts", &Value::Null).await.status, status);
    }
    let usage = body(&call(&sandbox.url(), "GET", "/sandbox/usage", &Value::Null).await);
    assert_eq!((&usage["limit"], &usage["let_through"], &usage["refused"]), (&json!(2), &json!(2), &json!(1)));
    assert_eq!(usage["windows"], json!([{ "began_ms": 0, "let_through": 2, "refused": 1 }]));
    assert_eq!(sandbox.calls(), 3, "asking for it is no call");
}

#[tokio::test]
async fn wrong_settings_are_refused_with_the_known_ones() {
    let sandbox = stand_in(&[]).await;
    let fault = sandbox.set("fail_nxt", "1").expect_err("unknown");
    assert!(fault.remedy_text().contains("fail_next"));
    for (key, value) in [
        ("fail_next", "often"),
        ("reject", "no colon"),
        ("objects", "machine"),
        ("properties", "contacts.email:string"),
        ("properties", "robots.name:string"),
        ("properties", "contacts.Upper:string"),
    ] {
        assert!(sandbox.set(key, value).is_err(), "{key}={value}");
    }
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
}

#[tokio::test]
async fn dropping_the_handle_closes_the_port() {
    let sandbox = stand_in(&[]).await;
    let url = sandbox.url();
    let address = url.trim_start_matches("http://").to_owned();
    assert!(tokio::net::TcpStream::connect(&address).await.is_ok());
    drop(sandbox);
    let mut open = true;
    for _ in 0..200 {
        open = tokio::net::TcpStream::connect(&address).await.is_ok();
        if !open {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(!open, "the listener is gone");
}
