//! The destination: one row a call, and what it comes to.

use async_trait::async_trait;
use backhaul_kit::http::{Form, Http, Request, idempotency_key};
use backhaul_kit::{
    AccountReport, Address, Batch, ChangeKind, Delivery, Destination, Fault, Mode, Operation, Outcomes, Prepared as _,
    Reason, RequestPreview, Row, Run, Tickets, Verdict,
};
use reqwest::Method;
use reqwest::header::HeaderValue;

use super::answer::{self, Said};
use super::params;
use super::records::Search;
use super::sync::{CUSTOMERS, Finder, StripeSync};
use super::wire::Customer;

/// Former customers that a creation may be answered with, one after the other, before the row waits for another run.
const MOST_FORMER: usize = 8;
/// How far the clock here may be behind Stripe's, in seconds.
const SKEW: i64 = 60;

/// The customers of one Stripe account.
#[derive(Debug)]
pub(super) struct StripeDestination {
    pub(super) sync: StripeSync,
    pub(super) http: Http,
}

/// A row, ready to be sent: the customer of `id`; else the one that is found; else a new one.
struct Draft {
    form: Form,
    /// The customer's id, where it is known.
    id: Option<String>,
    /// Match values to search for where it is not, or where that customer is gone: the old one first.
    searched: Vec<String>,
    /// The match value to create a customer of, where none is found, and what it then has.
    created: Option<(String, Form)>,
}

impl StripeDestination {
    fn draft(&self, operation: Operation, row: &Row) -> Result<Draft, Reason> {
        let by_id = self.sync.finder == Finder::Id;
        let Address { remote_id, match_value: old } = row.address.clone();
        let draft = if operation.is_removal() {
            let form = params::emptied(&self.sync.params, self.sync.match_place);
            let (id, searched) = if by_id { (remote_id.or(old), None) } else { (remote_id, old) };
            Draft { form, id, searched: searched.into_iter().collect(), created: None }
        } else {
            let form = params::form(&self.sync.params, &row.fields, false)?;
            let fresh = params::form(&self.sync.params, &row.fields, true)?;
            let value = row.match_value(self.sync.match_place)?;
            if by_id {
                Draft { form, id: Some(value), searched: Vec::new(), created: None }
            } else if operation == Operation::Create && remote_id.is_some() {
                return Err(already_created());
            } else {
                // What is created for the first time is not looked for.
                let searches = operation != Operation::Create || row.change != ChangeKind::Add;
                let old = old.filter(|old| *old != value);
                let searched = old.into_iter().chain([value.clone()]).filter(|_| searches).collect();
                Draft {
                    form,
                    id: remote_id,
                    searched,
                    created: (self.sync.mode != Mode::Update).then_some((value, fresh)),
                }
            }
        };
        if draft.id.as_deref().is_some_and(|id| !is_id(id)) { Err(no_id()) } else { Ok(draft) }
    }

    /// The call that does it to a customer that is there.
    fn call(&self, operation: Operation, id: &str, form: &Form) -> Result<Request, Fault> {
        match operation {
            Operation::Delete => self.sync.account.call(Method::DELETE, &[CUSTOMERS, id]),
            _ => Ok(self.sync.account.call(Method::POST, &[CUSTOMERS, id])?.form(form.clone())),
        }
    }

    /// `former` is a customer that an earlier creation of this match value made, and that has it no more.
    fn create_call(&self, value: &str, former: Option<&str>, form: &Form) -> Result<Request, Fault> {
        let Finder::Metadata(key) = &self.sync.finder else {
            return Err(Fault::bug("a creation of a customer that is matched by its id"));
        };
        let parts = ["backhaul", CUSTOMERS, key, value, former.unwrap_or_default()];
        let once = HeaderValue::from_str(&idempotency_key(parts.map(str::as_bytes)))
            .map_err(|error| Fault::bug("an idempotency key that is no header").caused_by(error))?;
        let mut request = self.sync.account.call(Method::POST, &[CUSTOMERS])?.form(form.clone());
        request.headers.insert("idempotency-key", once);
        Ok(request)
    }

    async fn send(&self, run: &Run, operation: Operation, row: &Row) -> Result<Verdict, Fault> {
        let draft = match self.draft(operation, row) {
            Ok(draft) => draft,
            Err(reason) => return Ok(Verdict::Rejected(reason)),
        };
        let (mut gone, mut refusal) = (None, not_found());
        let mut searched = draft.searched.iter();
        let mut known = draft.id;
        loop {
            let id = match known.take() {
                Some(id) => id,
                None => match searched.next() {
                    None => break,
                    Some(value) => match self.find(value).await? {
                        Search::One(id) => id,
                        Search::Refused(verdict) => return Ok(verdict),
                        Search::Nothing => continue,
                    },
                },
            };
            let answer = self.http.send(self.call(operation, &id, &draft.form)?).await?;
            match answer::of_write(&answer, Some(&id), operation == Operation::Delete, &self.sync.params)? {
                Said::Verdict(verdict) => return Ok(verdict),
                Said::Gone(_) if operation.is_removal() => return Ok(Verdict::Unchanged),
                Said::Gone(reason) => (gone, refusal) = (Some(id), reason),
            }
        }
        match &draft.created {
            Some((value, fresh)) => self.create(run, value, gone, fresh).await,
            // A removed customer may be there and not yet be in the index.
            None => Ok(Verdict::Rejected(refusal)),
        }
    }

    /// Creates a customer. `former` is the one that was there before, where one is known.
    async fn create(&self, run: &Run, value: &str, mut former: Option<String>, form: &Form) -> Result<Verdict, Fault> {
        for _ in 0..MOST_FORMER {
            let answer = self.http.send(self.create_call(value, former.as_deref(), form)?).await?;
            let verdict = answer::of_write(&answer, None, false, &self.sync.params)?.verdict();
            let Verdict::Written { remote_id: Some(id) } = &verdict else { return Ok(verdict) };
            let made: Customer = answer.json().unwrap_or_default();
            if made.created >= run.started.as_second() + SKEW {
                return Ok(verdict);
            }
            // The stored answer to an earlier run's creation? Its customer may be deleted, or have another match value.
            match self.read(id).await {
                Ok(Some(customer)) if self.is_of(&customer, value) => return Ok(verdict),
                Ok(_) => former = Some(id.clone()),
                // It may have been created: whatever keeps us from looking says nothing of that.
                Err(_) => return Ok(Verdict::Unknown),
            }
        }
        Ok(Verdict::Retry(None))
    }
}

#[async_trait]
impl Destination for StripeDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn write(&self, run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        if self.sync.facts(batch.operation).max_rows == 0 {
            return Err(Fault::bug(format!("`{}` is no write of customers", batch.operation.as_str())));
        }
        batch.at_most(1)?;
        let said = match batch.rows.first() {
            Some(row) => Some((0, self.send(run, batch.operation, row).await?)),
            None => None,
        };
        Outcomes::at_places(batch, said).map(Delivery::Settled)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let mut requests = Vec::new();
        for row in &batch.rows {
            // A row that is refused here makes no call.
            let Ok(draft) = self.draft(batch.operation, row) else { continue };
            if let Some(id) = &draft.id {
                requests.push(self.call(batch.operation, id, &draft.form)?);
                continue;
            }
            for value in &draft.searched {
                requests.extend(self.search_call(value)?);
            }
            // What is not found is created.
            if let Some((value, fresh)) = &draft.created {
                requests.push(self.create_call(value, None, fresh)?);
            }
        }
        Ok(self.http.previews(&requests))
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
