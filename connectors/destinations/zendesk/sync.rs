//! `[into]` of a sync to Zendesk, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::{
    Account as _, AddressKind, Destination, Evidence, Facts, Fault, Kit, Nest, Operation, Order, Prepared, Removed,
    SyncShape,
};

use super::account::ZendeskAccount;
use super::object::{EXTERNAL_ID, ID, ORGANIZATIONS, Object, TICKETS, USERS};
use super::records;
use super::send::ZendeskDestination;

/// Records in a job.
const MAX_ROWS: usize = 100;
/// Jobs at once: of the account's 30, a third is left to others.
const JOBS: usize = 20;
/// Calls at once where there are no jobs.
const CALLS: usize = 8;
/// How long a job that was begun without our hearing of it may still be at work: our guess.
const SETTLED: Duration = Duration::from_secs(120);

/// A checked sync to Zendesk.
#[derive(Clone, Debug)]
pub(super) struct ZendeskSync {
    pub(super) account: ZendeskAccount,
    pub(super) object: &'static Object,
    /// Place and name of the match field.
    pub(super) matched: (usize, String),
    pub(super) nest: Nest,
    pub(super) skip_verify_email: bool,
}

impl ZendeskSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &ZendeskAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let errors = into.problems().errors();
        let skip_verify_email = into.bool("skip_verify_email").unwrap_or(true);
        let object = object(into, shape)?;
        let matched = matched(into, shape, object);
        check_removed(into, shape, object);
        shape.refuse_conditional_writes("Zendesk", into.problems());
        for (place, field) in shape.fields.iter().enumerate() {
            let is_match = shape.match_field.as_ref().is_some_and(|(own, _)| *own == place);
            if field.target != ID || !is_match {
                object.check(field, into.problems());
            }
        }
        let targets: Vec<&str> = shape.fields.iter().map(|field| field.target.as_str()).collect();
        let nest = Nest::compile(&targets);
        if into.problems().errors() > errors {
            return None;
        }
        let matched = (matched?, targets.get(matched?)?.to_string());
        Some(Self { account: account.clone(), object, matched, nest: nest.ok()?, skip_verify_email })
    }

    /// Whether records are found by an id that somebody else gave them.
    pub(super) fn by_external_id(&self) -> bool {
        self.matched.1 == EXTERNAL_ID
    }

    /// The scopes of the smallest token.
    pub(super) fn scopes(&self) -> Vec<String> {
        vec![String::from("read"), format!("{}:write", self.object.name)]
    }
}

impl Prepared for ZendeskSync {
    fn facts(&self, operation: Operation) -> Facts {
        let address = match (operation, self.object.is_tickets()) {
            (Operation::Upsert, false) | (Operation::Update, true) => AddressKind::MatchValue,
            (Operation::Delete, false) => AddressKind::RemoteId,
            // A new address of e-mail is one more of the same user, and another id is another record.
            (Operation::Move, _) if self.by_external_id() => AddressKind::RemoteId,
            _ => return Facts { max_rows: 0, ..Facts::default() },
        };
        let alone = operation == Operation::Upsert && self.object.is_upserted_alone();
        let (max_rows, evidence, concurrency) =
            if alone { (1, Evidence::Row, CALLS) } else { (MAX_ROWS, Evidence::Job, JOBS) };
        let timeout = self.account.http.timeout().max(Duration::from_secs(1));
        Facts {
            max_rows,
            evidence,
            resend_safe: true,
            address,
            // An external id must be given up before another row takes it.
            order: Order::RemovalsFirst,
            concurrency,
            settle_after: if alone || self.account.is_stand_in() { timeout } else { timeout.max(SETTLED) },
            scopes: self.scopes(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.object.name.to_owned()
    }

    fn limiter(&self, kit: &Kit) -> Option<Arc<Limiter>> {
        Some(self.account.limiter(kit))
    }

    fn check_lookup(&self, object: &str, by: &str) -> Result<Vec<String>, String> {
        if !records::is_looked_up(object, by) {
            return Err(String::from("looks up users and organizations by external_id, and nothing else"));
        }
        Ok(vec![String::from("read")])
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(ZendeskDestination::new(self.clone(), self.account.client(&kit)?)))
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    serde_json::json!({
        "properties": {
            "skip_verify_email": {
                "description": "New users of Zendesk get no message that asks them to verify their address. Default true.",
                "type": "boolean"
            }
        }
    })
}

fn object(into: &ConfigTable, shape: &SyncShape) -> Option<&'static Object> {
    let Some((name, span)) = &shape.object else {
        into.missing("object");
        return None;
    };
    let object = Object::named(name);
    if object.is_none() {
        let message = format!("Zendesk's \"{name}\" cannot be written here");
        let remedy = format!("one of: {}, {}, {}", USERS.name, ORGANIZATIONS.name, TICKETS.name);
        into.problems().push(Problem::error("unknown-object", message).at(span).remedy(remedy));
    }
    object
}

/// The place of the match field.
fn matched(into: &ConfigTable, shape: &SyncShape, object: &Object) -> Option<usize> {
    let ((mode, span), only) = (&shape.mode, object.mode());
    if *mode != only {
        let message = format!("Zendesk's {} cannot be written in mode \"{}\"", object.name, mode.as_str());
        let remedy = format!("use mode = \"{}\"", only.as_str());
        into.problems().push(Problem::error("unsupported-mode", message).at(span).remedy(remedy));
    }
    let Some((place, span)) = &shape.match_field else {
        into.missing("match");
        return None;
    };
    let target = shape.fields.get(*place)?.target.as_str();
    if !object.finders.contains(&target) {
        let message = format!("Zendesk's {} are not matched by `{target}`", object.name);
        let remedy = format!("match by {}", object.finders.join(" or "));
        into.problems().push(Problem::error("unsupported-match", message).at(span).remedy(remedy));
    }
    Some(*place)
}

fn check_removed(into: &ConfigTable, shape: &SyncShape, object: &Object) {
    let (removed, span) = &shape.removed;
    let deletes = !object.is_tickets();
    if *removed == Removed::Ignore || (*removed == Removed::Delete && deletes) {
        return;
    }
    let message = format!("removed = \"{}\" is not offered for Zendesk's {}", removed.as_str(), object.name);
    let remedy = if deletes { "use removed = \"delete\" or \"ignore\"" } else { "use removed = \"ignore\"" };
    into.problems().push(Problem::error("unsupported-removed", message).at(span).remedy(remedy));
}
