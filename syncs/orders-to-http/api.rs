//! A stand-in of the fulfilment API of this example: orders in memory, on this machine only.
//!
//! `cargo run --example orders-api -- 8080` listens on that port (0 takes a free one) and prints its URL.
//!
//! | request | does |
//! |---|---|
//! | `POST /orders/batch` with `{ "orders": […] }` | writes orders; one result for each |
//! | `DELETE /orders/{id}` | takes one out; 404 where there is none |
//! | `GET /orders` | all orders, by id |
//!
//! Calls need a bearer token, any. An order whose status it does not know is refused.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

const STATUSES: [&str; 4] = ["waiting", "paid", "packed", "shipped"];

type Orders = Arc<Mutex<BTreeMap<String, Value>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(8080), |text| text.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let api = Router::new()
        .route("/orders/batch", post(write))
        .route("/orders/{id}", delete(remove))
        .route("/orders", get(list))
        .with_state(Orders::default());
    axum::serve(listener, api).await?;
    Ok(())
}

async fn write(State(orders): State<Orders>, headers: HeaderMap, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    if !has_token(&headers) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "no token" })));
    }
    let Some(batch) = body["orders"].as_array() else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "no orders" })));
    };
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    let results: Vec<Value> = batch
        .iter()
        .map(|order| {
            let status = order["status"].as_str().unwrap_or_default();
            if !STATUSES.contains(&status) {
                let message = format!("an order is one of {}", STATUSES.join(", "));
                let error = json!({ "code": "UNKNOWN_STATUS", "message": message });
                return json!({ "id": order["id"], "ok": false, "error": error });
            }
            orders.insert(order["id"].to_string(), order.clone());
            json!({ "id": order["id"], "ok": true })
        })
        .collect();
    (StatusCode::OK, Json(json!({ "results": results })))
}

async fn remove(State(orders): State<Orders>, headers: HeaderMap, Path(id): Path<String>) -> StatusCode {
    if !has_token(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    match orders.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn list(State(orders): State<Orders>) -> Json<Vec<Value>> {
    Json(orders.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect())
}

fn has_token(headers: &HeaderMap) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    sent.is_some_and(|value| value.len() > "Bearer ".len() && value.starts_with("Bearer "))
}
