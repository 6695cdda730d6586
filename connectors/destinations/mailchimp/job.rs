//! `POST /batches`: operations that Mailchimp takes in now and does later, and the archive of their results.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Duration;

use backhaul_kit::http::{Answer, BaseUrl, is_loopback};
use backhaul_kit::{Delivery, Fault, Ticket};
use flate2::read::GzDecoder;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::answer;
use super::member::{Call, Change};
use super::sync::MailchimpSync;

const KIND: &str = "mailchimp_batch";
const VERSION: u32 = 1;
/// Results beyond this are not unpacked: those of a thousand members are a few megabytes.
const MAX_RESULTS: u64 = 256 << 20;
/// A block of an archive.
const BLOCK: usize = 512;

/// A job of operations, each named by the op number of its row.
pub(super) fn job_call(sync: &MailchimpSync, changes: &[Change]) -> Call {
    let operations = changes.iter().flat_map(|change| change.calls(sync).map(|call| (change.op.to_string(), call)));
    let operations = operations.map(|(op, Call { method, path, body })| {
        let mut operation = json!({ "method": method.as_str(), "path": format!("/{path}"), "operation_id": op });
        if !body.is_empty() {
            operation["body"] = String::from_utf8_lossy(&body).into();
        }
        operation
    });
    let body = json!({ "operations": operations.collect::<Value>() }).to_string().into();
    Call { method: Method::POST, path: String::from("batches"), body }
}

/// The job that a call became.
///
/// # Errors
/// A refused call, an answer that names no job.
pub(super) fn started(answer: &Answer) -> Result<Delivery, Fault> {
    if let Some(fault) = answer::fault(answer) {
        return Err(fault);
    }
    let job: Value = answer.json().unwrap_or_default();
    let id = job["id"].as_str().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Fault::ambiguous("Mailchimp's answer names no job"))?;
    Ticket::new(KIND, VERSION, &json!({ "id": id })).map(Delivery::Pending)
}

/// Asks after the job of a ticket; `None` for one that is not ours.
pub(super) fn question(ticket: &Ticket) -> Option<Call> {
    let body: Value = ticket.read(KIND, VERSION)?;
    Some(Call { method: Method::GET, path: format!("batches/{}", body["id"].as_str()?), body: Vec::new() })
}

/// Where the results of a job are, or when to ask again.
///
/// # Errors
/// A place that nothing is fetched from.
pub(super) fn results_at(answer: &Answer, base: &BaseUrl) -> Result<Result<Url, Duration>, Fault> {
    let job: Value = answer.json().unwrap_or_default();
    match job["status"].as_str() {
        Some("finished") => {}
        // A stand-in's is quickly done.
        Some(_) => return Ok(Err(Duration::from_millis(if base.is_loopback() { 100 } else { 5000 }))),
        None => return Err(Fault::transient("how Mailchimp's job stands is unreadable")),
    }
    let url = job["response_body_url"].as_str().and_then(|url| Url::parse(url).ok());
    let url = url.filter(|url| base.is_loopback() || (url.scheme() == "https" && !is_loopback(url)));
    url.map(Ok).ok_or_else(|| Fault::transient("Mailchimp does not say where the results of its job are"))
}

/// The statuses and answers in an archive of results, by op number.
///
/// # Errors
/// What is no such archive.
pub(super) fn results(archive: &[u8]) -> Result<HashMap<u64, (u16, String)>, Fault> {
    let unreadable = || Fault::transient("the results of Mailchimp's job are unreadable");
    let mut tar = Vec::new();
    let unpacked = GzDecoder::new(archive).take(MAX_RESULTS).read_to_end(&mut tar);
    unpacked.map_err(|error| unreadable().caused_by(error))?;
    let mut results = HashMap::new();
    for file in files(&tar).ok_or_else(unreadable)? {
        let done: Vec<Value> = serde_json::from_slice(file).map_err(|error| unreadable().caused_by(error))?;
        results.extend(done.iter().filter_map(|done| {
            let status = u16::try_from(done["status_code"].as_u64()?).ok()?;
            let response = done["response"].as_str().unwrap_or_default().to_owned();
            Some((done["operation_id"].as_str()?.parse().ok()?, (status, response)))
        }));
    }
    Ok(results)
}

/// The plain files of a tar archive; `None` where it is none or breaks off.
fn files(mut tar: &[u8]) -> Option<Vec<&[u8]>> {
    let mut files = Vec::new();
    // The end is a block of zeros.
    while tar.first().is_some_and(|byte| *byte != 0) {
        let (head, rest) = tar.split_at_checked(BLOCK)?;
        let digits = std::str::from_utf8(&head[124..136]).ok()?.trim_matches([' ', '\0']);
        let size = usize::from_str_radix(digits, 8).ok()?;
        if matches!(head[156], 0 | b'0') {
            files.push(rest.get(..size)?);
        }
        tar = rest.get(size.checked_next_multiple_of(BLOCK)?..)?;
    }
    Some(files)
}
