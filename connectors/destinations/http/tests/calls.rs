//! A stateful API (axum) over a real connection.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use backhaul_kit::contract::{NO_TICKETS, canary_kit, row, run};
use backhaul_kit::{Batch, Delivery, Destination, FaultClass, Operation, Value, Verdict};
use serde_json::{Value as Body, json};

use super::prepared;

type Records = Arc<Mutex<BTreeMap<String, Body>>>;

async fn upsert(State(records): State<Records>, Json(body): Json<Body>) -> (StatusCode, Json<Body>) {
    let results: Vec<Body> = body["customers"]
        .as_array()
        .expect("an array of customers")
        .iter()
        .map(|customer| {
            let id = customer["id"].as_str().expect("an id").to_owned();
            if customer["email"].as_str().is_none_or(|email| !email.contains('@')) {
                return json!({"id": id, "error": {"message": "email is not valid", "code": "INVALID_EMAIL"}});
            }
            records.lock().expect("not poisoned").insert(id.clone(), customer.clone());
            json!({"id": id})
        })
        .collect();
    (StatusCode::MULTI_STATUS, Json(json!({"data": {"results": results}})))
}

async fn remove(State(records): State<Records>, Path(id): Path<String>) -> StatusCode {
    match records.lock().expect("not poisoned").remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn who(headers: HeaderMap) -> StatusCode {
    match headers.get("x-api-key").and_then(|key| key.to_str().ok()) {
        Some("s3cret") => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn api() -> (String, Records) {
    let records = Records::default();
    let app = Router::new()
        .route("/v1/customers", post(upsert))
        .route("/v1/customers/{id}", delete(remove))
        .route("/v1/me", get(who))
        .with_state(records.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, records)
}

fn destination(url: &str, secrets: &std::path::Path) -> Arc<dyn Destination> {
    let text = format!(
        "[account]\nurl = \"{url}\"\nidentity = \"acme\"\ncheck = \"/me\"\n\
         header = {{ name = \"X-Api-Key\", value = {{ file = \"key\" }} }}\n[into]\nremoved = \"delete\"\n\
         [into.request]\nurl = \"/customers\"\nbatch_size = 100\nrows_field = \"customers\"\nkey_field = \"id\"\n\
         success = {{ evidence = \"row\", results = \"data.results\", key = \"id\", error = \"error.message\", error_code = \"error.code\" }}\n\
         [into.remove]\nurl = \"/customers/{{{{ key }}}}\"\nunchanged_statuses = [404]\n\
         success = {{ evidence = \"call\", statuses = [204] }}\n"
    );
    prepared(&text, &["email", "address.city"]).open(canary_kit(secrets)).expect("opens")
}

async fn send(destination: &dyn Destination, batch: &Batch) -> Vec<Verdict> {
    match destination.write(&run(), batch, NO_TICKETS).await.expect("an answer") {
        Delivery::Settled(outcomes) => outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_reach_an_api_and_leave_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("key"), "s3cret\n").expect("written");
    let (url, records) = api().await;
    let destination = destination(&url, folder.path());

    let fields = |email: &str| vec![Value::Text(email.into()), Value::Text("Köln".into())];
    let rows = (0..100).map(|id| row(id, id as i64, fields(if id == 57 { "broken" } else { "p@example.com" })));
    let batch = Batch { operation: Operation::Upsert, seq: 0, last: false, rows: rows.collect() };
    let verdicts = send(&*destination, &batch).await;
    let accepted = verdicts.iter().filter(|v| **v == Verdict::Written { remote_id: None }).count();
    assert_eq!(accepted, 99);
    assert!(matches!(&verdicts[57], Verdict::Rejected(reason) if reason.code == "INVALID_EMAIL"));
    let kept = records.lock().expect("not poisoned").clone();
    assert_eq!(kept.len(), 99);
    assert_eq!(kept["3"], json!({"id": "3", "email": "p@example.com", "address": {"city": "Köln"}}));

    let removal =
        |id| Batch { operation: Operation::Delete, seq: 1, last: false, rows: vec![row(500, id, Vec::new())] };
    assert_eq!(send(&*destination, &removal(3)).await, [Verdict::Written { remote_id: None }]);
    assert_eq!(send(&*destination, &removal(3)).await, [Verdict::Unchanged]);
    assert_eq!(records.lock().expect("not poisoned").len(), 98);
}

#[tokio::test]
async fn check_says_whose_account_it_is_and_tries_the_credential() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("key"), "s3cret").expect("written");
    let (url, _) = api().await;
    let destination = destination(&url, folder.path());
    let report = destination.check().await.expect("the key is right");
    assert_eq!(report.identity, "http:acme");

    std::fs::write(folder.path().join("key"), "another").expect("written");
    let fault = destination.check().await.expect_err("the key is wrong now");
    assert_eq!(fault.class, FaultClass::Auth);
    std::fs::remove_file(folder.path().join("key")).expect("removed");
    let fault = destination.check().await.expect_err("the key is gone");
    assert_eq!(fault.class, FaultClass::Auth);
}

/// An API whose access tokens last for ten calls, and its token endpoint.
#[derive(Clone, Default)]
struct Expiring {
    granted: Arc<AtomicUsize>,
    used: Arc<AtomicUsize>,
}

async fn grant(State(api): State<Expiring>, headers: HeaderMap, body: String) -> Result<Json<Body>, StatusCode> {
    // me:s3cret
    let known = headers.get("authorization").is_some_and(|value| value == "Basic bWU6czNjcmV0");
    if !known || body != "grant_type=client_credentials&scope=write" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let number = api.granted.fetch_add(1, Ordering::SeqCst) + 1;
    Ok(Json(json!({ "access_token": format!("t{number}"), "token_type": "Bearer", "expires_in": 3600 })))
}

async fn take(State(api): State<Expiring>, headers: HeaderMap) -> StatusCode {
    let token = format!("Bearer t{}", 1 + api.used.load(Ordering::SeqCst) / 10);
    if headers.get("authorization").is_none_or(|value| value != token.as_str()) {
        return StatusCode::UNAUTHORIZED;
    }
    api.used.fetch_add(1, Ordering::SeqCst);
    StatusCode::OK
}

#[tokio::test]
async fn a_token_that_expires_in_mid_run_is_renewed_once_and_no_row_fails() {
    let api = Expiring::default();
    let app = Router::new().route("/token", post(grant)).route("/rows", post(take)).with_state(api.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let secrets = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(secrets.path().join("secret"), "s3cret").expect("written");
    let text = format!(
        "[account]\nurl = \"{url}\"\n[account.oauth]\ntoken_url = \"{url}/token\"\nclient_id = \"me\"\nscope = \"write\"\n\
         client_secret = {{ file = \"secret\" }}\n[into]\n[into.request]\nurl = \"/rows\"\nsuccess = {{ evidence = \"call\" }}\n"
    );
    let kit = canary_kit(secrets.path());
    // Two syncs of one account share its tokens.
    let open = || prepared(&text, &["email"]).open(kit.clone()).expect("a destination");
    let syncs = [open(), open()];
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..30_u64 {
        let destination = syncs[(n % 2) as usize].clone();
        calls.spawn(async move {
            let rows = vec![row(n, n as i64, vec![Value::Text("a@example.com".into())])];
            let batch = Batch { operation: Operation::Upsert, seq: n, last: false, rows };
            destination.write(&run(), &batch, NO_TICKETS).await
        });
        // Three at a time: a token that expires is refused to all who use it.
        if n % 3 == 2 {
            while let Some(ended) = calls.join_next().await {
                let delivery = ended.expect("a call").expect("an answer");
                assert!(matches!(delivery, Delivery::Settled(outcomes) if outcomes.unknown() == 0));
            }
        }
    }
    assert_eq!(api.used.load(Ordering::SeqCst), 30);
    assert_eq!(api.granted.load(Ordering::SeqCst), 3, "one question for each token");
}

#[tokio::test]
async fn a_host_inside_the_network_is_not_connected_to_unless_it_is_named() {
    let open = |more: &str| {
        let text = format!(
            "[account]\nurl = \"http://10.255.255.1:9\"\ntimeouts = {{ total = \"1s\" }}\n{more}[into]\n[into.request]\nurl = \"/rows\"\n\
             success = {{ evidence = \"call\" }}\n"
        );
        prepared(&text, &["email"]).open(canary_kit(std::path::Path::new("/"))).expect("a destination")
    };
    let batch = Batch {
        operation: Operation::Upsert,
        seq: 0,
        last: false,
        rows: vec![row(0, 1, vec![Value::Text("a@example.com".into())])],
    };
    let fault = open("").write(&run(), &batch, NO_TICKETS).await.expect_err("not connected to");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.message.starts_with("10.255.255.1 has an address that is not public"), "{}", fault.message);
    assert!(fault.remedy_text().contains("private_hosts"), "{}", fault.remedy_text());
    let named = open("private_hosts = [\"10.255.255.1\"]\n");
    // What is there, if anything, depends on the network; it is tried.
    if let Err(fault) = named.write(&run(), &batch, NO_TICKETS).await {
        assert!(!fault.message.contains("not public"), "{}", fault.message);
    }
}
