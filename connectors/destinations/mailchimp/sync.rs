//! `[into]` of a sync to Mailchimp, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, nearest, schema};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, Nest, Operation, Order, Prepared, Removed, SyncShape,
};

use super::account::MailchimpAccount;
use super::send::MailchimpDestination;

/// Members in a call, of a list and of a segment.
const MAX_MEMBERS: usize = 500;
/// Operations in a job.
const MAX_OPERATIONS: usize = 1000;
/// The field that finds members.
pub(super) const ADDRESS: &str = "email_address";
/// Consents, of which the list's call knows nothing.
const MARKETING: &str = "marketing_permissions";
/// What confirms `removed = "delete"`.
pub(super) const CONFIRM: &str = "never_again";
/// The states of a member that may be asked for.
pub(super) const STATUSES: &str = "subscribed unsubscribed cleaned pending transactional";
/// What a member has, by the first part of its path.
const FIELDS: &str = "email_address email_type interests ip_opt ip_signup language location marketing_permissions \
                      merge_fields status tags timestamp_opt timestamp_signup vip";

/// How an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `POST /lists/{list}`: many members, with their states.
    List,
    /// `POST /batches`: an operation for each row, done later.
    Job,
    /// Two calls one after the other: the new member, then the old one.
    Move,
    /// `POST /lists/{list}/segments/{segment}`.
    Segment,
}

/// A checked sync to Mailchimp.
#[derive(Clone, Debug)]
pub(super) struct MailchimpSync {
    pub(super) account: MailchimpAccount,
    pub(super) list: String,
    /// The static segment, where not the list itself is written.
    pub(super) segment: Option<u64>,
    /// The state of a member that is new; none where the sync has the state of each.
    pub(super) status_if_new: Option<&'static str>,
    pub(super) mode: Mode,
    pub(super) removed: Removed,
    /// The fields' names, in the order of the sync's.
    pub(super) targets: Vec<String>,
    /// Where they stand in a member.
    pub(super) nest: Nest,
}

impl MailchimpSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &MailchimpAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let statuses: Vec<(&str, &'static str)> = STATUSES.split(' ').map(|name| (name, name)).collect();
        let ((mode, _), list) = (&shape.mode, into.required_text_at("list"));
        let (upserts, mapped) = (*mode == Mode::Upsert, shape.place_of("status").is_some());
        // Keys that an object has no use for are not known.
        let segment = if *mode == Mode::Audience { into.number("segment", 1) } else { None };
        let status_if_new = if upserts { into.choice_at("status_if_new", &statuses) } else { None };
        let problems = into.problems();
        if let Some((_, span)) = list.as_ref().filter(|(id, _)| !is_id(id)) {
            let remedy = "letters and digits, from the audience's settings";
            problems.refuse("bad-id", span, "`list` is the id of no list", remedy);
        }
        if *mode == Mode::Audience && segment.is_none() {
            into.missing("segment");
        }
        match &status_if_new {
            None if upserts && !mapped => {
                let remedy =
                    "write status_if_new = \"subscribed\", \"pending\" …; or map `status`, which sets it for all";
                problems.refuse("missing-status", &shape.span, "nothing says whether new members get mail", remedy);
            }
            Some((_, span)) if mapped => {
                problems.refuse(
                    "contradiction",
                    span,
                    "`status` says it of new members too",
                    "take one of the two out",
                );
            }
            _ => {}
        }
        if let ((Removed::Archive, span), false) = (&shape.removed, mapped) {
            let problem = Problem::warning("archive-stays", "who was archived stays so when the row comes back");
            problems.push(problem.at(span).remedy("map `status`, which brings members back"));
        }
        for field in &shape.fields {
            let (name, known) = (root(&field.target), || FIELDS.split(' '));
            let (code, message, remedy) = match name {
                ADDRESS => continue,
                _ if segment.is_some() => ("unknown-field", "is nothing that a segment takes", "leave it out"),
                "tags" if !upserts || !mapped => ("unsupported-field", "go with `status` in an upsert", "map `status`"),
                MARKETING if upserts && mapped => ("unsupported-field", "cannot go with `status`", "use status_if_new"),
                _ if known().any(|known| known == name) => continue,
                _ => ("unknown-field", "is no field of a member", "a merge field is written \"merge_fields.TAG\""),
            };
            let near = nearest(name, known()).filter(|near| *near != name);
            problems.refuse_near(code, &field.span, format!("`{}` {message}", field.target), near, remedy);
        }
        let (account, list, nest) = (account.clone(), list?.0, shape.nest(problems)?);
        let (status_if_new, removed) = (status_if_new.map(|(status, _)| status), shape.removed.0);
        Some(Self { account, list, segment, status_if_new, mode: *mode, removed, targets: shape.targets(), nest })
    }

    /// How an operation is done; `None` where it is not offered.
    pub(super) fn way(&self, operation: Operation) -> Option<Way> {
        match operation {
            Operation::AudienceAdd | Operation::AudienceRemove => self.segment.map(|_| Way::Segment),
            Operation::Move => Some(if self.segment.is_some() { Way::Segment } else { Way::Move }),
            _ if self.segment.is_some() => None,
            Operation::Upsert if self.status_if_new.is_none() => Some(Way::List),
            Operation::Upsert | Operation::Update => Some(Way::Job),
            _ => (self.removed.operation() == Some(operation)).then_some(Way::Job),
        }
    }
}

impl Prepared for MailchimpSync {
    fn facts(&self, operation: Operation) -> Facts {
        let (max_rows, evidence) = match self.way(operation) {
            Some(Way::List | Way::Segment) => (MAX_MEMBERS, Evidence::Row),
            Some(Way::Job) => (MAX_OPERATIONS, Evidence::Job),
            Some(Way::Move) => (1, Evidence::Row),
            None => return Facts { max_rows: 0, ..Facts::default() },
        };
        Facts {
            max_rows,
            evidence,
            // Every call says how a member shall be, or that it shall be gone.
            resend_safe: true,
            address: AddressKind::MatchValue,
            order: Order::RemovalsFirst,
            concurrency: self.account.connections(),
            settle_after: self.account.http.settle_after(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        let segment = self.segment.map_or_else(|| String::from("members"), |id| format!("segment {id}"));
        format!("{segment} of list {}", self.list)
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(MailchimpDestination::new(self.clone(), &kit)?))
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    serde_json::json!({ "properties": {
        "list": schema::text("The audience's id, from its settings."),
        "status_if_new": schema::choice(STATUSES.split(' '), "The state of members that are new; others keep theirs."),
        "segment": schema::count("The id of a static segment."),
        CONFIRM: schema::flag("Confirms removed = \"delete\": nothing brings an address back.")
    } })
}

/// The first part of a path.
pub(super) fn root(target: &str) -> &str {
    target.split(['.', '[']).next().unwrap_or(target)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
