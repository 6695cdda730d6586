//! The destination: calls, and what they come to.

use std::collections::BTreeSet;

use async_trait::async_trait;
use backhaul_kit::http::Request;
use backhaul_kit::value::write_json_str;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, FaultClass, Operation, Outcomes, Reason, RequestPreview, Run,
    SaveTicket, Ticket, Verdict,
};
use reqwest::Method;
use serde_json::json;

use super::account::{Graph, MAX_ROWS};
use super::answer::{self, Taken};
use super::person::{self, Column, Known};
use super::session::{Place, Sessions, Verb};
use super::sync::MetaSync;

/// One audience of one ad account.
#[derive(Debug)]
pub(super) struct MetaDestination {
    pub(super) sync: MetaSync,
    pub(super) graph: Graph,
    sessions: Sessions,
}

/// The people of a call.
#[derive(Debug, Default)]
struct Payload {
    /// A JSON array of names.
    schema: Vec<u8>,
    /// A JSON array of arrays.
    data: Vec<u8>,
    entries: usize,
    /// The places in the batch of the rows that are in it.
    places: Vec<usize>,
}

impl Payload {
    fn entry<'a>(&mut self, cells: impl Iterator<Item = (&'a str, bool)>) {
        self.entries += 1;
        array(&mut self.data, self.entries == 1, |out| list(out, cells));
    }
}

/// Adds an item to a JSON array that is not closed yet.
fn array(out: &mut Vec<u8>, first: bool, item: impl FnOnce(&mut Vec<u8>)) {
    out.push(if first { b'[' } else { b',' });
    item(out);
}

/// Writes a JSON array of texts, or of what is JSON already.
fn list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = (&'a str, bool)>) {
    let mut first = true;
    for (item, is_json) in items {
        array(out, std::mem::take(&mut first), |out| match is_json {
            true => out.extend_from_slice(item.as_bytes()),
            false => write_json_str(item, out),
        });
    }
    out.push(b']');
}

/// A batch on its way: what is known of each row before and between its calls.
struct Draft<'b> {
    batch: &'b Batch,
    /// What each row is now; none of a removal.
    cells: Vec<Vec<String>>,
    /// The verdicts of rows that are done with.
    said: Vec<Option<Verdict>>,
}

impl<'b> Draft<'b> {
    fn of(sync: &MetaSync, batch: &'b Batch) -> Self {
        let mut draft = Self { batch, cells: Vec::new(), said: vec![None; batch.rows.len()] };
        for (row, said) in batch.rows.iter().zip(&mut draft.said) {
            if batch.operation == Operation::AudienceRemove {
                if row.address.is_empty() {
                    *said =
                        Some(Verdict::Rejected(Reason::new("NO_ADDRESS", "it is not known as whom the row was sent")));
                }
                continue;
            }
            draft.cells.push(sync.cells(row.fields.iter()).unwrap_or_else(|reason| {
                *said = Some(Verdict::Rejected(reason));
                Vec::new()
            }));
        }
        draft
    }

    /// The calls that the batch comes to.
    fn verbs(&self) -> &'static [Verb] {
        match self.batch.operation {
            Operation::AudienceRemove => &[Verb::Remove],
            Operation::Move => &[Verb::Remove, Verb::Add],
            _ => &[Verb::Add],
        }
    }

    /// The rows that nothing was said of yet, as people of a call.
    fn payload(&self, sync: &MetaSync, verb: Verb) -> Payload {
        let mut payload = Payload::default();
        let rows = self.batch.rows.iter().enumerate().filter(|(place, _)| self.said[*place].is_none());
        if verb == Verb::Add {
            list(&mut payload.schema, sync.names.iter().map(|name| (name.as_str(), false)));
            for (place, _) in rows {
                let is_json = sync.columns.iter().map(|column| !matches!(column, Column::Key(..)));
                payload.entry(self.cells[place].iter().map(String::as_str).zip(is_json));
                payload.places.push(place);
            }
        } else {
            let people: Vec<(usize, Known<'_>)> = rows
                .flat_map(|(place, row)| person::remembered(&row.address).into_iter().map(move |known| (place, known)))
                .collect();
            let keys: BTreeSet<usize> = people.iter().flat_map(|(_, known)| known.keys().copied()).collect();
            list(&mut payload.schema, keys.iter().map(|key| (person::KEYS[*key].name, false)));
            for (place, known) in &people {
                payload.entry(keys.iter().map(|key| (known.get(key).copied().unwrap_or_default(), false)));
                payload.places.push(*place);
            }
            payload.places.dedup();
        }
        payload.data.push(b']');
        payload
    }

    fn say(&mut self, places: &[usize], verdict: &Verdict) {
        for place in places {
            self.said[*place] = Some(verdict.clone());
        }
    }
}

impl MetaDestination {
    pub(super) fn new(sync: MetaSync, graph: Graph) -> Self {
        Self { sync, graph, sessions: Sessions::default() }
    }

    fn request(&self, request: Request, run: &Run, batch: &Batch, verb: Verb, payload: &Payload) -> Request {
        let Place { id, seq } = self.sessions.place(run, batch, verb);
        let session = json!({ "session_id": id, "batch_seq": seq, "last_batch_flag": batch.last, "estimated_num_total": run.rows });
        let mut body = format!(r#"{{"session":{session},"payload":{{"schema":"#).into_bytes();
        body.extend_from_slice(&payload.schema);
        body.extend_from_slice(br#","data":"#);
        body.extend_from_slice(&payload.data);
        body.extend_from_slice(b"}}");
        request.json(body)
    }

    async fn call(&self, run: &Run, batch: &Batch, verb: Verb, payload: &Payload) -> Result<Taken, Fault> {
        let request = self.graph.signed(method(verb), self.sync.account.url(&[&self.sync.audience, "users"])?)?;
        let answer = self.graph.http.send(self.request(request, run, batch, verb, payload)).await?;
        let taken = answer::taken(&answer, payload.entries, self.graph.http.limiter())?;
        self.sessions.answered(verb, batch.last);
        Ok(taken)
    }
}

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Remove => Method::DELETE,
        Verb::Add => Method::POST,
    }
}

#[async_trait]
impl Destination for MetaDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn write(
        &self,
        run: &Run,
        _session: Option<&Ticket>,
        batch: &Batch,
        _save: &dyn SaveTicket,
    ) -> Result<Delivery, Fault> {
        let mut draft = Draft::of(&self.sync, batch);
        let mut applied = false;
        for &verb in draft.verbs() {
            let payload = draft.payload(&self.sync, verb);
            if payload.entries == 0 {
                continue;
            }
            if payload.entries > MAX_ROWS {
                return Err(Fault::split(format!("{} people are more than the {MAX_ROWS} of a call", payload.entries)));
            }
            let taken = self.call(run, batch, verb, &payload).await.map_err(|fault| after(applied, fault))?;
            match taken {
                Taken::All => {}
                Taken::Unclear => draft.say(&payload.places, &Verdict::Unknown),
                Taken::Some if payload.places.len() > 1 => {
                    return Err(Fault::split("Meta counts invalid rows and does not say which"));
                }
                // What stood for these people is gone, and Meta does not take what stands for them now.
                Taken::Some | Taken::None if applied => draft.say(&payload.places, &Verdict::Unknown),
                Taken::Some | Taken::None => draft.say(&payload.places, &Verdict::Rejected(invalid())),
            }
            applied = true;
        }
        let mut outcomes = Outcomes::of(batch);
        for (place, verdict) in draft.said.into_iter().enumerate() {
            match verdict.unwrap_or(Verdict::Written { remote_id: None }) {
                Verdict::Unknown => {}
                verdict => outcomes.set_at(place, verdict)?,
            }
        }
        Ok(Delivery::Settled(outcomes))
    }

    fn preview(&self, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let draft = Draft::of(&self.sync, batch);
        let mut shown = Vec::new();
        for &verb in draft.verbs() {
            let payload = draft.payload(&self.sync, verb);
            if payload.entries > 0 {
                // Without the proof that a signed call has.
                let request = Request::new(method(verb), self.sync.account.url(&[&self.sync.audience, "users"])?);
                shown.push(self.request(request, run, batch, verb, &payload).preview(self.graph.http.auth()));
            }
        }
        Ok(shown)
    }
}

fn invalid() -> Reason {
    Reason::new("INVALID_ENTRY", "Meta counts this row as invalid; which of its values it is, is not said")
}

/// The fault of the second call of a batch: what the first one did is not undone by it.
fn after(applied: bool, mut fault: Fault) -> Fault {
    if applied && fault.class != FaultClass::Split {
        fault.class = FaultClass::Ambiguous;
    }
    fault
}
