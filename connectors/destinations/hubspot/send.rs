//! The destination: writes, and what they come to.

use async_trait::async_trait;
use backhaul_kit::http::{Http, Request};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Finder, Lookup, Match, ObjectSchema, Operation, Outcomes,
    RequestPreview, Run, Tickets,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::draft::Draft;
use super::object::ObjectType;
use super::sync::{HubSpotSync, MAX_INPUTS};
use super::{answer, fault};

/// One object of one HubSpot account.
#[derive(Debug)]
pub(super) struct HubSpotDestination {
    pub(super) sync: HubSpotSync,
    pub(super) http: Http,
}

impl HubSpotDestination {
    /// The JSON of a call that only reads.
    pub(super) async fn read(&self, request: Request) -> Result<Value, Fault> {
        let answer = self.http.ask(request).await?;
        match fault::of_answer(&answer, &self.sync.object) {
            Some(fault) => Err(fault.not_applied()),
            None => answer.json().ok_or_else(|| Fault::transient("HubSpot's answer is unreadable")),
        }
    }

    pub(super) fn batch_call(&self, object: &ObjectType, action: &str, body: &Value) -> Result<Request, Fault> {
        let path = ["crm", "v3", "objects", object.path(), "batch", action];
        Ok(self.sync.account.http.call(Method::POST, &path)?.json(body.to_string()))
    }

    fn write_call(&self, draft: &Draft) -> Result<Request, Fault> {
        let action = match draft.operation {
            Operation::Upsert => "upsert",
            Operation::Create => "create",
            Operation::Update | Operation::Move | Operation::Clear => "update",
            Operation::Archive => "archive",
            other => return Err(Fault::bug(format!("`{}` is no write of HubSpot objects", other.as_str()))),
        };
        self.batch_call(&self.sync.object, action, &json!({ "inputs": draft.inputs }))
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
        self.matches(query).await
    }

    fn preview_lookup(&self, query: &Lookup) -> Result<Vec<RequestPreview>, Fault> {
        Ok(self.http.previews(&self.read_calls(query)?))
    }

    fn finder(&self, operation: Operation) -> Option<Finder> {
        self.sync.finder(operation)
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(MAX_INPUTS)?;
        let draft = Draft::of(&self.sync, batch);
        if draft.inputs.is_empty() {
            return Outcomes::at_places(batch, draft.settled).map(Delivery::Settled);
        }
        let answer = self.http.send(self.write_call(&draft)?).await?;
        answer::of_write(&answer, batch, &draft, &self.sync.object).map(Delivery::Settled)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let draft = Draft::of(&self.sync, batch);
        if draft.inputs.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.http.previews(&[self.write_call(&draft)?]))
    }
}
