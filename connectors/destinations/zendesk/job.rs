//! Jobs: calls that Zendesk takes in now and works on later.

use std::time::Duration;

use backhaul_kit::http::Answer;
use backhaul_kit::{Fault, Progress, Ticket, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{self, is_same, refusal};

const KIND: &str = "zendesk_job";
const VERSION: u32 = 1;
/// How long Zendesk keeps what became of a job.
const KEPT: i64 = 24 * 3600;
/// A job is asked after again after half the time that it has taken so far, within these seconds: its questions are
/// calls of the account's quota.
const SOONEST: i64 = 1;
const LATEST: i64 = 30;

/// What a ticket holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    /// Seconds since 1970.
    created: i64,
    /// The op number of each row in the order of the call, and its record's id where that was sent.
    pub(super) sent: Vec<(u64, Option<u64>)>,
}

impl Job {
    /// The ticket of the job that a call became.
    pub(super) fn begun(answer: &Answer, sent: Vec<(u64, Option<u64>)>) -> Result<Ticket, Fault> {
        let json: Value = answer.json().unwrap_or_default();
        let id = json["job_status"]["id"].as_str().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Fault::ambiguous("Zendesk's answer names no job"))?.to_owned();
        Ticket::new(KIND, VERSION, &Self { id, created: Timestamp::now().as_second(), sent })
    }

    /// The job of a ticket; `None` for one that is not ours.
    pub(super) fn of(ticket: &Ticket) -> Option<Self> {
        ticket.read(KIND, VERSION)
    }

    /// A job that has not ended: it is asked after again, or given up when Zendesk tells no more.
    pub(super) fn goes_on(&self) -> Progress {
        let age = Timestamp::now().as_second().saturating_sub(self.created);
        let after = Duration::from_secs((age / 2).clamp(SOONEST, LATEST).unsigned_abs());
        if age > KEPT { Progress::Lost } else { Progress::Running { after } }
    }

    /// What its results say of each row. `value` is a row's value of the match field `key`.
    pub(super) fn verdicts(
        &self,
        results: &Value,
        deletes: bool,
        key: &str,
        value: impl Fn(u64) -> Option<String>,
    ) -> Vec<(u64, Verdict)> {
        let results = results.as_array().map_or(&[][..], Vec::as_slice);
        let mut said: Vec<Option<Verdict>> = vec![None; self.sent.len()];
        for (nth, result) in results.iter().enumerate() {
            let Some(place) = self.place(result, nth, results.len()) else { continue };
            let (Some(slot), Some((op, id))) = (said.get_mut(place), self.sent.get(place)) else { continue };
            let echoed = result[key].as_str().filter(|_| id.is_none());
            let other = echoed.is_some_and(|echoed| value(*op).is_none_or(|value| !is_same(echoed, &value)));
            let verdict = if other { Verdict::Unknown } else { verdict(result, *id, deletes) };
            // Two results that say different things of a row say nothing.
            *slot =
                Some(if slot.as_ref().is_none_or(|before| *before == verdict) { verdict } else { Verdict::Unknown });
        }
        self.sent.iter().zip(said).map(|((op, _), verdict)| (*op, verdict.unwrap_or(Verdict::Unknown))).collect()
    }

    /// Which row a result speaks of: by its index, by its record's id, by its place where there are as many results as
    /// rows.
    fn place(&self, result: &Value, nth: usize, results: usize) -> Option<usize> {
        if let Some(index) = result["index"].as_u64() {
            return usize::try_from(index).ok();
        }
        let id = result["id"].as_u64();
        let named = self.sent.iter().position(|(_, sent)| sent.is_some() && *sent == id);
        named.or((results == self.sent.len()).then_some(nth))
    }
}

/// What a result says of its row, whose record's id was `sent`. A refused row may have its place as `id`.
fn verdict(result: &Value, sent: Option<u64>, deletes: bool) -> Verdict {
    let status = result["status"].as_str().unwrap_or_default().to_lowercase();
    let success = result["success"].as_bool();
    let errors = !result["error"].is_null() || result["errors"].as_array().is_some_and(|errors| !errors.is_empty());
    if success == Some(false) || status == "failed" || errors {
        return answer::verdict(refusal(result), deletes);
    }
    let id = result["id"].as_u64();
    let done = success == Some(true)
        || matches!(status.as_str(), "created" | "updated" | "deleted")
        || (id.is_some() && !result["index"].is_null());
    if done && sent.is_none_or(|sent| id.is_none_or(|id| id == sent)) {
        return Verdict::Written { remote_id: sent.or(id).map(|id| id.to_string()) };
    }
    Verdict::Unknown
}
