//! Accounts that take one row a call: what is the vendor's own, and the rest of it.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::batch::{Batch, Delivery, Operation, Outcomes, Reason, Row, Verdict};
use crate::config::ConfigTable;
use crate::context::Kit;
use crate::destination::{Account, AccountReport, Destination, Prepared, Run, Tickets};
use crate::facts::{Evidence, Facts};
use crate::fault::Fault;
use crate::http::{Answer, Auth, Http, HttpAccount, Request};
use crate::preview::RequestPreview;
use crate::shape::SyncShape;
use crate::value::{FieldRef, ValueRef};

/// A checked account whose calls take one row each, which the match field finds. It is an [`Account`] by that.
#[async_trait]
pub trait RowCalls: Clone + Debug + Send + Sync + 'static {
    /// What it has of an account over HTTP.
    fn over(&self) -> &HttpAccount;

    /// Its credential.
    fn auth(&self, kit: &Kit) -> Auth;

    /// What is true of every operation; how many rows a call takes, what proves them accepted and how long a lost call
    /// may still take effect is known.
    fn facts(&self) -> Facts;

    /// Why a field cannot have this name, as the end of a sentence; by default each can.
    fn refuses(&self, target: &str) -> Option<&'static str> {
        let _ = target;
        None
    }

    /// The call of a row.
    ///
    /// # Errors
    /// Why the row has none.
    fn call(&self, operation: Operation, row: &OneRow<'_>) -> Result<Request, Reason>;

    /// What an answer says of its row.
    ///
    /// # Errors
    /// What it says of the call.
    fn verdict(&self, answer: &Answer) -> Result<Verdict, Fault>;

    /// Who are we there? Writes nothing.
    async fn report(&self, http: &Http) -> Result<AccountReport, Fault>;
}

/// A row with a match value.
#[derive(Debug)]
pub struct OneRow<'a> {
    /// The match value; of a removal, the remembered one.
    pub id: String,
    /// The row.
    pub row: &'a Row,
    matched: usize,
    targets: &'a [String],
}

impl OneRow<'_> {
    /// The fields besides the match field, each as `json` has its value, which is NULL where it is to be emptied.
    pub fn members(&self, json: impl Fn(ValueRef<'_>) -> Value) -> Map<String, Value> {
        let fields =
            self.targets.iter().zip(self.row.fields.iter()).enumerate().filter(|(place, _)| *place != self.matched);
        let members = fields.filter_map(|(_, (target, field))| match field {
            FieldRef::Skip => None,
            FieldRef::Clear => Some((target.clone(), json(ValueRef::Null))),
            FieldRef::Set(value) => Some((target.clone(), json(value))),
        });
        members.collect()
    }
}

impl<A: RowCalls> Account for A {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        for field in &shape.fields {
            if let Some(why) = self.refuses(&field.target) {
                let message = format!("`{}` {why}", field.target);
                into.problems().refuse("reserved-target", &field.span, message, "take the field out");
            }
        }
        let (account, matched) = (self.clone(), shape.match_field.as_ref()?.0);
        let (object, targets) = (shape.object.as_ref()?.0.clone(), shape.targets());
        Some(Arc::new(RowSync { account, object, operations: shape.operations.clone(), matched, targets }))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(self.over())
    }
}

/// A sync to such an account.
#[derive(Clone, Debug)]
struct RowSync<A> {
    account: A,
    object: String,
    operations: Vec<Operation>,
    matched: usize,
    targets: Vec<String>,
}

impl<A: RowCalls> RowSync<A> {
    fn call(&self, operation: Operation, row: &Row) -> Result<Request, Reason> {
        let id = match operation.is_removal() {
            true => row.address.match_value.clone().filter(|id| !id.is_empty()),
            false => Some(row.match_value(self.matched)?),
        };
        let id = id.ok_or_else(|| Reason::new("NO_MATCH_VALUE", "what the record is found by is not remembered"))?;
        let invalid = row.fields.iter().filter_map(FieldRef::value).find_map(|value| match value {
            ValueRef::Invalid(why) => Some(Reason::new("INVALID_VALUE", why)),
            _ => None,
        });
        invalid.map_or(Ok(()), Err)?;
        self.account.call(operation, &OneRow { id, row, matched: self.matched, targets: &self.targets })
    }
}

impl<A: RowCalls> Prepared for RowSync<A> {
    fn facts(&self, operation: Operation) -> Facts {
        Facts {
            max_rows: usize::from(self.operations.contains(&operation)),
            evidence: Evidence::Call,
            settle_after: self.account.over().settle_after(),
            ..self.account.facts()
        }
    }

    fn object(&self) -> String {
        self.object.clone()
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let http = self.account.over().client(&kit, self.account.auth(&kit))?;
        Ok(Arc::new(RowSender { sync: self.clone(), http }))
    }
}

#[derive(Debug)]
struct RowSender<A> {
    sync: RowSync<A>,
    http: Http,
}

#[async_trait]
impl<A: RowCalls> Destination for RowSender<A> {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.sync.account.report(&self.http).await
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(1)?;
        let Some(row) = batch.rows.first() else { return Ok(Delivery::Settled(Outcomes::of(batch))) };
        let verdict = match self.sync.call(batch.operation, row) {
            Ok(call) => self.sync.account.verdict(&self.http.send(call).await?)?,
            Err(reason) => Verdict::Rejected(reason),
        };
        Ok(Delivery::Settled(Outcomes::all(batch, &verdict)))
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        // A row that is refused makes no call.
        let calls: Vec<Request> =
            batch.rows.iter().filter_map(|row| self.sync.call(batch.operation, row).ok()).collect();
        Ok(self.http.previews(&calls))
    }
}
