//! What stands before each call: the key, the cap of connections, faults on demand; and the archives of results.

use std::io::Write as _;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use backhaul_kit::Fault;
use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::Shared;
use super::account::Account;
use super::calls::{Said, problem};
use crate::destinations::stand_in::{json, lost_answer, take};

/// A block of an archive.
const BLOCK: usize = 512;

/// All calls.
pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(call).layer(DefaultBodyLimit::max(64 << 20)).with_state(shared)
}

/// A call in flight, until its answer is made or its caller is gone.
struct InFlight(Shared);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

async fn call(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let latency = {
        let account = &mut *shared.lock();
        account.calls += 1;
        account.in_flight += 1;
        account.latency
    };
    let in_flight = InFlight(shared);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let account = &mut *in_flight.0.lock();
    answer(account, &method, uri.path(), &headers, &body)
}

fn answer(account: &mut Account, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    if let Some(archive) = path.strip_prefix("/results/").and_then(|name| results(account, name)) {
        return archive;
    }
    let said = |(status, body): Said| match body {
        Value::Null => plain(status, Vec::new()),
        body => json(status, &body),
    };
    if account.in_flight > account.connections {
        return said(problem(429, "Too Many Requests", "You have exceeded the limit of 10 simultaneous connections."));
    }
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts(&account.key, sent) {
        return said(problem(401, "API Key Invalid", "Your API key may be invalid."));
    }
    account.tick();
    let writes = *method != Method::GET;
    if writes && take(&mut account.throttle_next) {
        return said(problem(429, "Too Many Requests", "You have exceeded the limit of 10 simultaneous connections."));
    }
    if writes && take(&mut account.edge_next) {
        return plain(403, b"<html><title>Access Denied</title></html>".to_vec());
    }
    if writes && take(&mut account.fail_next) {
        return said(problem(500, "Internal Server Error", "An unexpected internal error has occurred."));
    }
    let Some(path) = path.strip_prefix("/3.0") else { return plain(404, Vec::new()) };
    let answer = account.call(method.as_str(), path, &serde_json::from_slice(body).unwrap_or_default());
    if writes && take(&mut account.lose_next) { lost_answer() } else { said(answer) }
}

/// Basic with any user's name, or a bearer token.
fn accepts(key: &str, header: &str) -> bool {
    let basic =
        header.strip_prefix("Basic ").and_then(|pair| base64::engine::general_purpose::STANDARD.decode(pair).ok());
    let pair = basic.and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
    header.strip_prefix("Bearer ") == Some(key) || pair.split_once(':').is_some_and(|(_, password)| password == key)
}

fn plain(status: u16, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// The results of a job, in two files, as an archive.
fn results(account: &Account, name: &str) -> Option<Response> {
    let number: usize = name.strip_suffix(".tar.gz")?.parse().ok()?;
    let done = account.jobs.get(number.checked_sub(1)?)?.done.as_ref()?;
    let mut tar = entry("job/", b'5', &[]);
    for (at, part) in done.chunks(done.len().div_ceil(2).max(1)).enumerate() {
        tar.extend(entry(&format!("job/{at}.json"), b'0', &serde_json::to_vec(part).ok()?));
    }
    tar.extend([0; 2 * BLOCK]);
    Some(plain(200, packed(&tar).ok()?))
}

fn packed(tar: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(tar).and_then(|()| encoder.finish());
    packed.map_err(|error| Fault::bug("results that cannot be packed").caused_by(error))
}

/// An entry of a tar archive: its head, its bytes, and zeros up to a whole block.
fn entry(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; BLOCK];
    out[..name.len()].copy_from_slice(name.as_bytes());
    out[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    out[156] = kind;
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}
