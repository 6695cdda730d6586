//! The destination: calls, and what they come to.

use std::collections::BTreeSet;

use async_trait::async_trait;
use backhaul_kit::http::Request;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, FaultClass, Operation, Outcomes, Reason, RequestPreview, Row,
    Run, Tickets, Verdict,
};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::account::{Graph, MAX_ROWS};
use super::answer::{self, Taken};
use super::person::{self, COLUMNS, Known};
use super::session::{Sessions, Verb};
use super::sync::{MetaSync, Person};

const NO_ADDRESS: &str = "as whom the row was sent is not known";
const INVALID: &str = "Meta counts this row as invalid; which of its values it is, is not said";

/// One audience of one ad account.
#[derive(Debug)]
pub(super) struct MetaDestination {
    pub(super) sync: MetaSync,
    pub(super) graph: Graph,
    pub(super) sessions: Sessions,
}

/// The people of a call.
#[derive(Debug, Default, Serialize)]
struct Payload {
    schema: Vec<&'static str>,
    data: Vec<Vec<Value>>,
    /// The places in the batch of the rows that are in it.
    #[serde(skip)]
    places: Vec<usize>,
}

/// A batch on its way: who each row is now, and the verdicts of those that are done with.
struct Draft<'b> {
    batch: &'b Batch,
    /// Nobody, of a removal.
    people: Vec<Person>,
    said: Vec<Option<Verdict>>,
}

impl<'b> Draft<'b> {
    fn of(sync: &MetaSync, batch: &'b Batch) -> Self {
        let person = |row: &Row| match batch.operation.is_removal() {
            false => sync.person(row.fields.iter()).map_err(Verdict::Rejected),
            true if row.address.is_empty() => Err(Verdict::Rejected(Reason::new("NO_ADDRESS", NO_ADDRESS))),
            // All that stood for this person stands for other members.
            true if person::remembered(&row.address, "").is_empty() => Err(Verdict::Unchanged),
            true => Ok(Person::default()),
        };
        let done_with = |verdict| (Person::default(), Some(verdict));
        let rows = batch.rows.iter().map(|row| person(row).map_or_else(done_with, |person| (person, None)));
        let (people, said) = rows.unzip();
        Self { batch, people, said }
    }

    /// The calls that the batch comes to.
    fn verbs(&self) -> &'static [Verb] {
        match self.batch.operation {
            Operation::AudienceRemove => &[Verb::Remove],
            Operation::Move => &[Verb::Remove, Verb::Add],
            _ => &[Verb::Add],
        }
    }

    /// The rows of which nothing was said yet, as people of a call.
    fn payload(&self, sync: &MetaSync, verb: Verb) -> Payload {
        let rows = (0..self.said.len()).filter(|place| self.said[*place].is_none());
        if verb == Verb::Add {
            let places: Vec<usize> = rows.collect();
            let data = places.iter().map(|place| self.people[*place].0.clone()).collect();
            return Payload { schema: sync.columns.iter().map(|(column, _)| column.name).collect(), data, places };
        }
        let known = |place: usize| person::remembered(&self.batch.rows[place].address, &self.people[place].1);
        let people = rows.flat_map(|place| known(place).into_iter().map(move |known| (place, known)));
        let (mut places, people): (Vec<usize>, Vec<Known<'_>>) = people.unzip();
        places.dedup();
        let keys: BTreeSet<usize> = people.iter().flat_map(|known| known.keys().copied()).collect();
        let cells = |known: &Known<'_>| keys.iter().map(|key| json!(known.get(key).copied().unwrap_or(""))).collect();
        let data = people.iter().map(cells).collect();
        Payload { schema: keys.iter().map(|key| COLUMNS[*key].name).collect(), data, places }
    }
}

impl MetaDestination {
    /// What a call says, and how.
    fn call(&self, run: &Run, batch: &Batch, verb: Verb, payload: &Payload) -> (Method, String) {
        let session = self.sessions.place(run, batch, verb);
        let body = json!({ "session": session, "payload": payload }).to_string();
        (if verb == Verb::Add { Method::POST } else { Method::DELETE }, body)
    }

    async fn send(&self, run: &Run, batch: &Batch, verb: Verb, payload: &Payload) -> Result<Taken, Fault> {
        let (method, body) = self.call(run, batch, verb, payload);
        let url = self.sync.account.url(&[&self.sync.audience, "users"])?;
        let answer = self.graph.http.send(self.graph.signed(method, url)?.json(body)).await?;
        let (sent, limiter, most) =
            (payload.data.len() as u64, self.graph.http.limiter(), self.sync.account.http.share);
        let taken = answer::taken(&answer, sent, limiter, most)?;
        self.sessions.answered(verb, batch.last);
        Ok(taken)
    }
}

#[async_trait]
impl Destination for MetaDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn write(&self, run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        let mut draft = Draft::of(&self.sync, batch);
        let mut applied = false;
        for &verb in draft.verbs() {
            let payload = draft.payload(&self.sync, verb);
            if payload.data.is_empty() {
                continue;
            }
            if payload.data.len() as u64 > MAX_ROWS {
                return Err(Fault::split(format!("{} people are more than a call takes", payload.data.len())));
            }
            let verdict = match self.send(run, batch, verb, &payload).await.map_err(|fault| after(applied, fault))? {
                Taken::All => None,
                Taken::Some if payload.places.len() > 1 => {
                    return Err(Fault::split("Meta counts invalid rows and does not say which"));
                }
                // What stood for these people is gone, and Meta does not take what stands for them now.
                Taken::Some | Taken::None if applied => Some(Verdict::Unknown),
                Taken::Some | Taken::None => Some(Verdict::Rejected(Reason::new("INVALID_ENTRY", INVALID))),
                Taken::Unclear => Some(Verdict::Unknown),
            };
            for place in payload.places {
                draft.said[place].clone_from(&verdict);
            }
            applied = true;
        }
        let said = draft.said.into_iter().map(|said| said.unwrap_or(Verdict::Written { remote_id: None }));
        Outcomes::at_places(batch, said.enumerate()).map(Delivery::Settled)
    }

    fn preview(&self, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let draft = Draft::of(&self.sync, batch);
        let payloads = draft.verbs().iter().map(|verb| (*verb, draft.payload(&self.sync, *verb)));
        let calls = payloads.filter(|(_, payload)| !payload.data.is_empty()).map(|(verb, payload)| {
            let (method, body) = self.call(run, batch, verb, &payload);
            // Without the proof that a signed call has.
            let request = Request::new(method, self.sync.account.url(&[&self.sync.audience, "users"])?).json(body);
            Ok(request.preview(self.graph.http.auth()))
        });
        calls.collect()
    }
}

/// The fault of the second call of a batch: what the first one did is not undone by it.
fn after(applied: bool, mut fault: Fault) -> Fault {
    if applied && fault.class != FaultClass::Split {
        fault.class = FaultClass::Ambiguous;
    }
    fault
}
