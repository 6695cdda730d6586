//! The destination: calls, and what they come to.

use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::http::{Answer, Http, Request};
use backhaul_kit::{
    AccountReport, Address, Batch, Delivery, Destination, Fault, Found, Lookup, Match, Mode, ObjectSchema, Operation,
    Outcomes, Reason, RequestPreview, Run, Tickets, Verdict,
};
use reqwest::{Method, StatusCode};
use serde::Serialize;

use super::draft::{Draft, Target, no_address};
use super::records::{Resolution, match_values};
use super::sync::{HubSpotSync, MAX_INPUTS};
use super::wire::{IdInput, Inputs, ReadInputs, VendorError};
use super::{answer, fault, values};

/// The window that `X-HubSpot-RateLimit-Remaining` speaks of, where the answer does not say.
const WINDOW_MILLIS: u64 = 10_000;

/// One object of one HubSpot account.
#[derive(Debug)]
pub(super) struct HubSpotDestination {
    pub(super) sync: HubSpotSync,
    pub(super) http: Http,
}

impl HubSpotDestination {
    pub(super) fn new(sync: HubSpotSync, http: Http) -> Self {
        Self { sync, http }
    }

    async fn call(&self, request: Request) -> Result<Answer, Fault> {
        let answer = self.http.send(request).await?;
        let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(remaining) = number("x-hubspot-ratelimit-remaining") {
            let window = number("x-hubspot-ratelimit-interval-milliseconds").unwrap_or(WINDOW_MILLIS);
            let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
            // The interval is the window's length, not the time left of it, and the window rolls (its policy is named
            // TEN_SECONDLY_ROLLING): room comes back bit by bit, so that the next look is due long before its end.
            self.http.limiter().steer(remaining, Duration::from_millis(window / 10));
        }
        Ok(answer)
    }

    /// A call that only reads.
    pub(super) async fn read(&self, request: Request) -> Result<Answer, Fault> {
        let answer = self.call(request).await.map_err(Fault::not_applied)?;
        match fault::of_answer(&answer, &self.sync.object) {
            Some(fault) => Err(fault.not_applied()),
            None => Ok(answer),
        }
    }

    fn batch_call(&self, action: &str, body: &impl Serialize) -> Result<Request, Fault> {
        let url =
            self.sync.account.http.base.join(&["crm", "v3", "objects", self.sync.object.path(), "batch", action])?;
        Ok(Request::new(Method::POST, url).json(json(body)?))
    }

    fn archive_call(&self, ids: &[&str]) -> Result<Request, Fault> {
        let inputs: Vec<IdInput<'_>> = ids.iter().map(|id| IdInput { id }).collect();
        self.batch_call("archive", &Inputs { inputs: &inputs })
    }

    /// `batch/read`: the ids are values of `id_property`, or record ids without one.
    pub(super) fn read_call(
        &self,
        id_property: Option<&str>,
        ids: &[&str],
        properties: &[&str],
    ) -> Result<Request, Fault> {
        let inputs: Vec<IdInput<'_>> = ids.iter().map(|id| IdInput { id }).collect();
        self.batch_call("read", &ReadInputs { id_property, properties, properties_with_history: [], inputs: &inputs })
    }

    fn write_call(&self, operation: Operation, draft: &Draft<'_>) -> Result<Request, Fault> {
        let action = match operation {
            Operation::Upsert => "upsert",
            Operation::Create => "create",
            Operation::Update | Operation::Move | Operation::Clear => "update",
            Operation::Append
            | Operation::AudienceAdd
            | Operation::AudienceRemove
            | Operation::Archive
            | Operation::Delete => {
                return Err(Fault::bug(format!("`{}` is no write of HubSpot objects", operation.as_str())));
            }
        };
        self.batch_call(action, &Inputs { inputs: &draft.inputs })
    }

    fn targets(&self, batch: &Batch) -> Vec<Target> {
        batch.rows.iter().map(|row| Target::remembered(&self.sync, row)).collect()
    }

    /// Sends a batch of inputs and reads what became of each.
    async fn send(&self, batch: &Batch, targets: &[Target]) -> Result<Outcomes, Fault> {
        let draft = Draft::of(&self.sync, batch, targets);
        if draft.inputs.is_empty() {
            let mut outcomes = Outcomes::of(batch);
            answer::reject(&mut outcomes, draft.refused)?;
            return Ok(outcomes);
        }
        let got = self.call(self.write_call(batch.operation, &draft)?).await?;
        if let Some(error) = refusal(&got) {
            return answer::of_refusal(&error, batch, draft);
        }
        match fault::of_answer(&got, &self.sync.object) {
            Some(fault) => Err(fault),
            None => answer::of_write(&got, batch, draft),
        }
    }

    /// Moves records to a new match value. Where the id was never learnt, the record is looked for under
    /// its old value, then under its new one: a repeated move finds it there. Where it is under neither, an
    /// `upsert` makes it, as it does for any changed row: the call that was to make it never arrived, or somebody
    /// deleted it.
    async fn relocate(&self, batch: &Batch) -> Result<Outcomes, Fault> {
        let mut targets = self.targets(batch);
        self.find(&mut targets).await?;
        let mut moved = vec![Target::Unknown; targets.len()];
        if let Some(property) = &self.sync.match_property {
            for (place, row) in batch.rows.iter().enumerate() {
                let value = row.fields.get(property.place).and_then(|field| values::text(field).ok().flatten());
                if let (Target::Absent | Target::Unknown, Some(value)) = (&targets[place], value) {
                    moved[place] = Target::Value(value.into_owned());
                }
            }
        }
        self.find(&mut moved).await?;
        for (target, moved) in targets.iter_mut().zip(moved) {
            // Under the old value it may be there and not be read: only a record that is found is another word.
            if *target == Target::Absent || moved.id().is_some() {
                *target = moved;
            }
        }
        let absent = targets.iter().filter(|target| **target == Target::Absent).count();
        if absent == 0 || self.sync.mode != Mode::Upsert {
            return self.send(batch, &targets).await;
        }
        if absent < targets.len() {
            return Err(Fault::split("some records of the batch are to be moved and others to be made"));
        }
        self.send(&Batch { operation: Operation::Upsert, ..batch.clone() }, &targets).await
    }

    async fn archive(&self, batch: &Batch) -> Result<Outcomes, Fault> {
        let targets = self.targets(batch);
        let found = self.resolve(&match_values(&targets)).await?;
        let mut outcomes = Outcomes::of(batch);
        let mut ids: Vec<(usize, String)> = Vec::with_capacity(targets.len());
        for (place, target) in targets.into_iter().enumerate() {
            match target {
                Target::Id(id) => ids.push((place, id)),
                Target::Value(value) => match found.get(&value) {
                    Some(Resolution::Found(id)) => ids.push((place, id.clone())),
                    Some(Resolution::Absent) => outcomes.set_at(place, Verdict::Unchanged)?,
                    Some(Resolution::Unclear) | None => {
                        outcomes.set_at(place, Verdict::Rejected(not_confirmed()))?;
                    }
                },
                Target::Absent | Target::Unknown => outcomes.set_at(place, Verdict::Rejected(no_address()))?,
            }
        }
        if ids.is_empty() {
            return Ok(outcomes);
        }
        let wanted: Vec<&str> = ids.iter().map(|(_, id)| id.as_str()).collect();
        let got = self.call(self.archive_call(&wanted)?).await?;
        if got.status == StatusCode::NO_CONTENT {
            for (place, id) in ids {
                outcomes.set_at(place, Verdict::Written { remote_id: Some(id) })?;
            }
            return Ok(outcomes);
        }
        let Some(error) = refusal(&got) else {
            // Another 2xx than the documented one proves nothing: its rows stay unknown.
            return fault::of_answer(&got, &self.sync.object).map_or(Ok(outcomes), Err);
        };
        let [(place, _)] = ids.as_slice() else {
            return Err(Fault::split(format!("HubSpot refused to archive the batch: {}", error.category)));
        };
        outcomes.set_at(*place, answer::verdict(&error, Operation::Archive))?;
        Ok(outcomes)
    }
}

#[async_trait]
impl Destination for HubSpotDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        self.object_schema().await.map(Some)
    }

    async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        self.look_up(query).await
    }

    async fn read_back(&self, rows: &[Address]) -> Result<Option<Vec<Found>>, Fault> {
        self.read_addresses(rows).await.map(Some)
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        if batch.rows.len() > MAX_INPUTS {
            return Err(Fault::split(format!("{} rows are more than the {MAX_INPUTS} of a call", batch.rows.len())));
        }
        let outcomes = match batch.operation {
            Operation::Archive => self.archive(batch).await?,
            Operation::Move => self.relocate(batch).await?,
            _ => self.send(batch, &self.targets(batch)).await?,
        };
        Ok(Delivery::Settled(outcomes))
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let mut targets = self.targets(batch);
        let mut requests = Vec::new();
        let looks_up = matches!(batch.operation, Operation::Archive | Operation::Move);
        if let Some(property) = self.sync.match_property.as_ref().filter(|_| looks_up) {
            let values = match_values(&targets);
            if !values.is_empty() {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                requests.push(self.read_call(property.id_property(), &values, &[property.name.as_str()])?);
            }
            // Their ids are known only after that call.
            targets
                .iter_mut()
                .filter(|target| matches!(target, Target::Value(_)))
                .for_each(|target| *target = Target::Unknown);
        }
        if batch.operation == Operation::Archive {
            let ids: Vec<&str> = targets.iter().filter_map(Target::id).collect();
            if !ids.is_empty() {
                requests.push(self.archive_call(&ids)?);
            }
        } else {
            let draft = Draft::of(&self.sync, batch, &targets);
            if !draft.inputs.is_empty() {
                requests.push(self.write_call(batch.operation, &draft)?);
            }
        }
        Ok(self.http.previews(&requests))
    }
}

/// A body as JSON.
pub(super) fn json(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(|error| Fault::bug("a request cannot be written as JSON").caused_by(error))
}

/// The error of a call that HubSpot refused because of what its rows say; nothing of it was applied.
fn refusal(answer: &Answer) -> Option<VendorError> {
    if answer.status.is_success() {
        return None;
    }
    let error = fault::vendor_error(answer);
    let of_rows = match answer.status {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => true,
        StatusCode::NOT_FOUND => error.category == answer::NOT_FOUND,
        _ => false,
    };
    of_rows.then_some(error)
}

fn not_confirmed() -> Reason {
    Reason::new("MATCH_NOT_CONFIRMED", "HubSpot answered the look-up with a record that has another match value")
}
