//! Jobs of Bulk API 2.0: made, filled, closed, asked after; their results.
//!
//! A job does nothing before it is closed. So what goes wrong up to there was not applied, and closing is left to
//! whoever asks after the job: nothing is in doubt that a later question cannot answer.

use std::collections::HashMap;
use std::time::Duration;

use backhaul_kit::http::Request;
use backhaul_kit::json::text;
use backhaul_kit::{Batch, Delivery, Fault, Outcomes, Progress, SaveTicket, Ticket, Verdict};
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer;
use super::draft::{Draft, word};
use super::send::SalesforceDestination;
use crate::csv;

const KIND: &str = "salesforce_job";
const FORMAT: u32 = 1;
/// Seconds between two questions: no number of Salesforce's was found, and each is one of the day's calls.
const SOON: u64 = 2;
const LATER: u64 = 30;
/// Seconds after which a job is called off. Salesforce forgets jobs after 7 days.
const LONGEST: u64 = 24 * 3600;
/// The files that a job leaves.
const RESULTS: [&str; 3] = ["successfulResults", "failedResults", "unprocessedrecords"];

/// What a ticket holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Body {
    job: String,
    /// Whether its file is there, whole.
    uploaded: bool,
    /// Seconds since 1970.
    created: i64,
}

impl SalesforceDestination {
    fn job(&self, method: Method, rest: &[&str]) -> Result<Request, Fault> {
        self.sync.account.call(method, &[&["jobs", "ingest"], rest].concat())
    }

    /// The call that makes a job.
    pub(super) fn job_call(&self, draft: &Draft<'_>) -> Result<Request, Fault> {
        let operation = word(draft.operation);
        let mut job = json!({ "object": self.sync.matched.object, "operation": operation, "contentType": "CSV",
                              "lineEnding": "LF", "columnDelimiter": "COMMA" });
        if operation == "upsert" {
            job["externalIdFieldName"] = json!(draft.key_column());
        }
        Ok(self.job(Method::POST, &[])?.json(job.to_string()))
    }

    /// The call that gives a job its file.
    pub(super) fn upload_call(&self, job: &str, draft: &Draft<'_>) -> Result<Request, Fault> {
        let mut request = self.job(Method::PUT, &[job, "batches"])?;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv"));
        request.body = draft.csv().into();
        Ok(request)
    }

    /// Makes a job, and gives it its file.
    pub(super) async fn start_job(&self, draft: &Draft<'_>, save: &dyn SaveTicket) -> Result<Delivery, Fault> {
        let made = self.http.read(self.job_call(draft)?).await?;
        let id = made["id"].as_str().ok_or_else(|| Fault::transient("Salesforce's answer names no job"))?;
        let mut body = Body { job: id.to_owned(), uploaded: false, created: Timestamp::now().as_second() };
        save.save(&Ticket::new(KIND, FORMAT, &body)?).await?;
        if let Err(fault) = self.http.fetch(self.upload_call(id, draft)?).await {
            // It is of no use any more; one that stays is forgotten by Salesforce.
            let _ = self.change_state(id, "Aborted").await;
            return Err(fault);
        }
        body.uploaded = true;
        Ticket::new(KIND, FORMAT, &body).map(Delivery::Pending)
    }

    /// Asks after a job, and moves it on.
    pub(super) async fn ask_after(&self, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let Some(Body { job, uploaded, created }) = ticket.read(KIND, FORMAT) else { return Ok(Progress::Lost) };
        let Some(answer) = self.http.find(self.job(Method::GET, &[&job])?).await? else { return Ok(Progress::Lost) };
        let age = u64::try_from(Timestamp::now().as_second() - created).unwrap_or(0);
        match answer.json::<Value>().unwrap_or_default()["state"].as_str() {
            None => return Err(Fault::transient("Salesforce's answer does not say how a job stands")),
            Some("JobComplete" | "Failed" | "Aborted") => return self.results(&job, batch).await.map(Progress::Done),
            Some("Open") if uploaded => self.change_state(&job, "UploadComplete").await?,
            // Half a file may be there: the job is not closed, and its rows come again.
            Some(state) if state == "Open" || age > LONGEST => self.change_state(&job, "Aborted").await?,
            Some(_) => {}
        }
        Ok(Progress::Running { after: Duration::from_secs((age / 4).clamp(SOON, LATER)) })
    }

    /// The verdicts of a job that has ended, well or not: what it had done by then stays done.
    async fn results(&self, job: &str, batch: &Batch) -> Result<Outcomes, Fault> {
        let draft = Draft::of(&self.sync, batch);
        let mut places: HashMap<&str, usize> = draft.records.iter().map(|one| (one.key.as_str(), one.place)).collect();
        let mut said = draft.settled.clone();
        for name in RESULTS {
            let mut request = self.job(Method::GET, &[job, name])?;
            request.url.set_path(&format!("{}/", request.url.path()));
            let file = self.http.fetch(request).await?.body;
            for row in rows(&file, draft.key_column())? {
                let Some(place) = places.remove(text(&row, draft.key_column())) else { continue };
                // `CODE:message:fields --`.
                let error = text(&row, "sf__Error");
                let code = error.split(':').next().unwrap_or_default();
                let verdict = match name {
                    "successfulResults" => Verdict::Written { remote_id: row["sf__Id"].as_str().map(str::to_owned) },
                    "failedResults" => answer::of_error(code, error, None, batch.operation),
                    _ => Verdict::Retry(None),
                };
                said.push((place, verdict));
            }
        }
        Outcomes::at_places(batch, said)
    }

    /// Asked for twice, it is the same.
    async fn change_state(&self, job: &str, state: &str) -> Result<(), Fault> {
        let request = self.job(Method::PATCH, &[job])?.json(json!({ "state": state }).to_string());
        self.http.fetch(request).await.map(drop)
    }
}

/// The rows of a results file, by column. A file without a row may be empty.
fn rows(file: &[u8], key_column: &str) -> Result<Vec<Value>, Fault> {
    let end: &[u8] = if file.is_empty() || file.ends_with(b"\n") { b"" } else { b"\n" };
    let table = csv::table(&[file, end].concat());
    let (head, rows) = table.map_err(|_| Fault::transient("Salesforce's results are no CSV"))?;
    if !head.is_empty() && !head.iter().any(|name| name == key_column) {
        return Err(Fault::transient("Salesforce's results do not name the rows"));
    }
    Ok(rows.into_iter().map(|row| head.iter().cloned().zip(row).collect()).collect())
}
