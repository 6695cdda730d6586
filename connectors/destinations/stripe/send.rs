//! The destination: one row a call, and what it comes to.

use async_trait::async_trait;
use backhaul_kit::http::{Form, Http, Request, idempotency_key};
use backhaul_kit::{
    AccountReport, Batch, ChangeKind, Delivery, Destination, Fault, Mode, Operation, Outcomes, Reason, Removed,
    RequestPreview, Row, Run, SaveTicket, Ticket, Verdict,
};
use reqwest::Method;
use reqwest::header::HeaderValue;

use super::answer::{self, Said};
use super::params;
use super::records::Search;
use super::sync::{CUSTOMERS, Finder, StripeSync};

/// Deleted customers that a creation may be answered with, one after the other, before the row waits for another run.
const MOST_DEAD: usize = 8;

/// The customers of one Stripe account.
#[derive(Debug)]
pub(super) struct StripeDestination {
    pub(super) sync: StripeSync,
    pub(super) http: Http,
}

/// A row, ready to be sent.
struct Draft<'a> {
    form: Form,
    /// The match value.
    value: String,
    /// The customer's id, where it is known.
    id: Option<&'a str>,
    /// Match values to search for where it is not: the old one first.
    searched: Vec<&'a str>,
}

impl StripeDestination {
    fn draft<'a>(&self, row: &'a Row) -> Result<Draft<'a>, Reason> {
        let form = params::form(&self.sync.params, &row.fields)?;
        let value = row.fields.get(self.sync.match_place).map(params::text).transpose()?.flatten();
        let value = value.filter(|value| !value.is_empty()).map(std::borrow::Cow::into_owned);
        let value = value.ok_or_else(|| Reason::new("NO_MATCH_VALUE", "the match field has no value in this row"))?;
        let old = row.address.match_value.as_deref().filter(|old| *old != value);
        Ok(Draft { form, value, id: row.address.remote_id.as_deref(), searched: old.into_iter().collect() })
    }

    fn update_call(&self, id: &str, form: Form) -> Result<Request, Fault> {
        Ok(self.sync.account.call(Method::POST, &[CUSTOMERS, id])?.form(form))
    }

    /// `dead` is a deleted customer that an earlier creation of this match value made.
    fn create_call(&self, value: &str, dead: Option<&str>, form: Form) -> Result<Request, Fault> {
        let Finder::Metadata(key) = &self.sync.finder else {
            return Err(Fault::bug("a creation of a customer that is matched by its id"));
        };
        let parts = ["backhaul", CUSTOMERS, key, value, dead.unwrap_or_default()];
        let once = HeaderValue::from_str(&idempotency_key(parts.map(str::as_bytes)))
            .map_err(|error| Fault::bug("an idempotency key that is no header").caused_by(error))?;
        let mut request = self.sync.account.call(Method::POST, &[CUSTOMERS])?.form(form);
        request.headers.insert("idempotency-key", once);
        Ok(request)
    }

    async fn update(&self, id: &str, form: Form) -> Result<Said, Fault> {
        if !is_id(id) {
            return Ok(Said::Verdict(Verdict::Rejected(no_id())));
        }
        let answer = self.http.send(self.update_call(id, form)?).await?;
        answer::of_write(&answer, Some(id), false, &self.sync.params)
    }

    /// Creates a customer. `dead` is the one that was there before, where one is known.
    async fn create(&self, value: &str, mut dead: Option<String>, form: &Form) -> Result<Verdict, Fault> {
        for _ in 0..MOST_DEAD {
            let answer = self.http.send(self.create_call(value, dead.as_deref(), form.clone())?).await?;
            let verdict = answer::of_write(&answer, None, false, &self.sync.params)?.verdict();
            let Verdict::Written { remote_id: Some(id) } = &verdict else { return Ok(verdict) };
            if self.sync.removed != Removed::Delete && dead.is_none() {
                return Ok(verdict);
            }
            // The stored answer of a customer that was deleted since?
            match self.read(id).await {
                Ok(Some(_)) => return Ok(verdict),
                Ok(None) => dead = Some(id.clone()),
                // It may have been created: whatever keeps us from looking says nothing of that.
                Err(_) => return Ok(Verdict::Unknown),
            }
        }
        Ok(Verdict::Retry(None))
    }

    /// Writes a row that is in the model.
    async fn put(&self, operation: Operation, row: &Row) -> Result<Verdict, Fault> {
        let draft = match self.draft(row) {
            Ok(draft) => draft,
            Err(reason) => return Ok(Verdict::Rejected(reason)),
        };
        if self.sync.finder == Finder::Id {
            return Ok(self.update(&draft.value, draft.form).await?.verdict());
        }
        let (makes, mut dead) = (self.sync.mode != Mode::Update, None);
        if let Some(id) = draft.id {
            if operation == Operation::Create {
                return Ok(Verdict::Rejected(already_created()));
            }
            match self.update(id, draft.form.clone()).await? {
                Said::Gone(_) => dead = Some(id.to_owned()),
                said @ Said::Verdict(_) => return Ok(said.verdict()),
            }
        }
        let new = operation == Operation::Create && row.change == ChangeKind::Add;
        for value in draft.searched.iter().copied().chain([draft.value.as_str()]).filter(|_| !new) {
            match self.find(value).await? {
                Search::Nothing => {}
                Search::Refused(verdict) => return Ok(verdict),
                Search::One(id) => match self.update(&id, draft.form.clone()).await? {
                    Said::Gone(_) => dead = Some(id),
                    said @ Said::Verdict(_) => return Ok(said.verdict()),
                },
            }
        }
        if makes { self.create(&draft.value, dead, &draft.form).await } else { Ok(Verdict::Rejected(not_found())) }
    }

    /// Deletes or empties the customer of a row that left the model.
    async fn take_away(&self, operation: Operation, row: &Row) -> Result<Verdict, Fault> {
        let id = match (self.known(row), &row.address.match_value) {
            (Some(id), _) => id.to_owned(),
            (None, None) => return Ok(Verdict::Rejected(not_found())),
            (None, Some(value)) => match self.find(value).await? {
                Search::One(id) => id,
                Search::Refused(verdict) => return Ok(verdict),
                // It may be there and not yet be in the index.
                Search::Nothing => return Ok(Verdict::Rejected(not_found())),
            },
        };
        if !is_id(&id) {
            return Ok(Verdict::Rejected(no_id()));
        }
        let answer = self.http.send(self.removal_call(operation, &id)?).await?;
        let deleted = operation == Operation::Delete;
        Ok(match answer::of_write(&answer, Some(&id), deleted, &self.sync.params)? {
            Said::Gone(_) => Verdict::Unchanged,
            Said::Verdict(verdict) => verdict,
        })
    }

    fn removal_call(&self, operation: Operation, id: &str) -> Result<Request, Fault> {
        match operation {
            Operation::Delete => self.sync.account.call(Method::DELETE, &[CUSTOMERS, id]),
            _ => self.update_call(id, params::emptied(&self.sync.params, self.sync.match_place)),
        }
    }

    /// The id of a removed row's customer, where it is known.
    fn known<'a>(&self, row: &'a Row) -> Option<&'a str> {
        let by_match = row.address.match_value.as_deref().filter(|_| self.sync.finder == Finder::Id);
        row.address.remote_id.as_deref().or(by_match)
    }

    fn requests(&self, batch: &Batch) -> Result<Vec<Request>, Fault> {
        let mut requests = Vec::new();
        let search = |value: &str| match &self.sync.finder {
            Finder::Metadata(key) => self.search_call(key, value).map(Some),
            Finder::Id => Ok(None),
        };
        for row in &batch.rows {
            if batch.operation.is_removal() {
                match (self.known(row), &row.address.match_value) {
                    (Some(id), _) if is_id(id) => requests.push(self.removal_call(batch.operation, id)?),
                    (None, Some(value)) => requests.extend(search(value)?),
                    _ => {}
                }
                continue;
            }
            let Ok(draft) = self.draft(row) else { continue };
            let id = if self.sync.finder == Finder::Id { Some(draft.value.as_str()) } else { draft.id };
            if let Some(id) = id {
                if is_id(id) && batch.operation != Operation::Create {
                    requests.push(self.update_call(id, draft.form)?);
                }
                continue;
            }
            if !(batch.operation == Operation::Create && row.change == ChangeKind::Add) {
                for value in draft.searched.iter().copied().chain([draft.value.as_str()]) {
                    requests.extend(search(value)?);
                }
            }
            // What is not found is created.
            if self.sync.mode != Mode::Update {
                requests.push(self.create_call(&draft.value, None, draft.form)?);
            }
        }
        Ok(requests)
    }
}

#[async_trait]
impl Destination for StripeDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn write(
        &self,
        _run: &Run,
        _session: Option<&Ticket>,
        batch: &Batch,
        _save: &dyn SaveTicket,
    ) -> Result<Delivery, Fault> {
        let mut outcomes = Outcomes::of(batch);
        match batch.rows.as_slice() {
            [] => {}
            [row] => {
                let verdict = match batch.operation {
                    Operation::Delete | Operation::Clear => self.take_away(batch.operation, row).await?,
                    Operation::Upsert | Operation::Update | Operation::Create | Operation::Move => {
                        self.put(batch.operation, row).await?
                    }
                    other => return Err(Fault::bug(format!("`{}` is no write of customers", other.as_str()))),
                };
                if verdict != Verdict::Unknown {
                    outcomes.set_at(0, verdict)?;
                }
            }
            rows => return Err(Fault::split(format!("{} rows in a call of one", rows.len()))),
        }
        Ok(Delivery::Settled(outcomes))
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        Ok(self.requests(batch)?.iter().map(|request| request.preview(self.http.auth())).collect())
    }
}

/// Whether a text can be an id. Anything else must not become a part of a path.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn no_id() -> Reason {
    Reason::new("INVALID_ID", "this is no id of a customer: letters, digits, `_` and `-`")
}

fn already_created() -> Reason {
    Reason::new("ALREADY_CREATED", "this row's customer was created before, and mode create changes none")
}

fn not_found() -> Reason {
    let text =
        "Stripe's search finds no customer with this value; what was written in the last hour may be missing in it";
    Reason::new("NOT_FOUND", text)
}
