//! `[into]` of a sync to Mailchimp, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, Span, nearest};
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
/// What confirms `removed = "delete"`.
const CONFIRM: &str = "never_again";
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
    /// The place of the address among the fields.
    pub(super) address: usize,
    /// The fields' names, in the order of the sync's.
    pub(super) targets: Vec<String>,
    /// Where they stand in a member.
    pub(super) nest: Nest,
}

impl MailchimpSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &MailchimpAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let errors = into.problems().errors();
        let statuses: Vec<(&str, &'static str)> = STATUSES.split(' ').map(|name| (name, name)).collect();
        let (list, segment) = (into.required_text_at("list"), into.number("segment", 1));
        let (status_if_new, confirmed) = (into.choice_at("status_if_new", &statuses), into.bool(CONFIRM));
        shape.refuse_conditional_writes("Mailchimp", into.problems());
        let problems = into.problems();
        let refuse = |code, message: &str, span: &Span, remedy: &str| {
            problems.push(Problem::error(code, message).at(span).remedy(remedy));
        };
        if let Some((_, span)) = list.as_ref().filter(|(id, _)| !is_id(id)) {
            refuse("bad-id", "`list` is the id of no list", span, "letters and digits, from the audience's settings");
        }
        let (mode, at_mode) = (shape.mode.0, &shape.mode.1);
        if let Some((object, span)) = &shape.object {
            match (object.as_str(), mode, segment) {
                ("members", Mode::Upsert | Mode::Update, None) | ("segment", Mode::Audience, Some(_)) => {}
                ("members", _, Some(_)) => {
                    refuse("contradiction", "`segment` is for object \"segment\"", span, "take it out");
                }
                ("segment", Mode::Audience, None) => into.missing("segment"),
                ("members" | "segment", ..) => {
                    let remedy = "members are written in mode \"upsert\" or \"update\", a segment in mode \"audience\"";
                    refuse("unsupported-mode", &format!("no {object} in mode \"{}\"", mode.as_str()), at_mode, remedy);
                }
                _ => refuse("unknown-object", "Mailchimp has no such object here", span, "one of members, segment"),
            }
        } else {
            into.missing("object");
        }
        let (upserts, mapped) = (mode == Mode::Upsert, shape.fields.iter().any(|field| field.target == "status"));
        match &status_if_new {
            None if upserts && !mapped => {
                let message = "nothing says whether members that are new shall get mail";
                let remedy =
                    "write status_if_new = \"subscribed\" (or \"pending\" …); or map `status`, which sets it for all";
                refuse("missing-status", message, &shape.span, remedy);
            }
            Some((_, span)) if mapped || !upserts => {
                let message = "`status_if_new` is for mode \"upsert\" without a field `status`";
                refuse("contradiction", message, span, "take one of the two out");
            }
            _ => {}
        }
        let (removed, span) = &shape.removed;
        match removed {
            Removed::Clear => {
                let message = "Mailchimp does not say how a member is emptied";
                refuse("unsupported-removed", message, span, "use removed = \"archive\" or \"ignore\"");
            }
            Removed::Delete if confirmed != Some(true) => {
                let message = "the address of a member that was deleted can never be imported again";
                refuse("unconfirmed-removal", message, span, "say that this is meant: never_again = true");
            }
            Removed::Archive if !mapped => {
                let problem = Problem::warning("archive-stays", "who was archived stays so when the row comes back");
                problems.push(problem.at(span).remedy("map `status`, which brings members back"));
            }
            _ => {}
        }
        for field in &shape.fields {
            let (name, known) = (root(&field.target), || FIELDS.split(' '));
            let (code, message, remedy) = match name {
                ADDRESS => continue,
                _ if segment.is_some() => ("unknown-field", "is nothing that a segment takes", "leave it out"),
                "tags" if !(upserts && mapped) => {
                    ("unsupported-field", "need mode \"upsert\" and `status`", "map `status`")
                }
                "marketing_permissions" if upserts && mapped => {
                    ("unsupported-field", "cannot go with `status`", "use status_if_new")
                }
                _ if known().any(|known| known == name) => continue,
                _ => ("unknown-field", "is no field of a member", "a merge field is written \"merge_fields.TAG\""),
            };
            let problem = Problem::error(code, format!("`{}` {message}", field.target)).at(&field.span).remedy(remedy);
            let near = nearest(name, known()).filter(|near| *near != name);
            problems.push(match near {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
        let address = shape.fields.iter().position(|field| field.target == ADDRESS);
        if address.is_none() {
            let remedy = "add email_address = { column = \"…\", as = \"email\" } to [fields]";
            refuse("missing-field", "no field is mapped to `email_address`", &shape.span, remedy);
        }
        if let Some((_, span)) = shape.match_field.as_ref().filter(|(place, _)| Some(*place) != address) {
            let message = "members are found by their address alone";
            refuse("unsupported-match", message, span, "write match = \"email_address\"");
        }
        let targets: Vec<String> = shape.fields.iter().map(|field| field.target.clone()).collect();
        let nest = Nest::compile(&targets);
        for error in nest.as_ref().err().into_iter().flatten() {
            let span = shape.fields.get(error.target).map_or(&shape.span, |field| &field.span);
            refuse("bad-path", &error.message, span, "write it as \"merge_fields.TAG\"");
        }
        if problems.errors() > errors {
            return None;
        }
        let (account, list, address, nest) = (account.clone(), list?.0, address?, nest.ok()?);
        let (status_if_new, removed) = (status_if_new.map(|(status, _)| status), *removed);
        Some(Self { account, list, segment, status_if_new, mode, removed, address, targets, nest })
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
            concurrency: self.account.connections,
            settle_after: self.account.timeout.max(Duration::from_secs(1)),
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
    let statuses: Vec<&str> = STATUSES.split(' ').collect();
    serde_json::json!({ "properties": {
        "list": { "description": "The audience's id, from its settings.", "type": "string" },
        "status_if_new": { "description": "The state of members that are new; others keep theirs.", "enum": statuses },
        "segment": { "description": "The id of a static segment.", "type": "integer", "minimum": 1 },
        CONFIRM: { "description": "Confirms removed = \"delete\": nothing brings an address back.", "type": "boolean" }
    } })
}

/// The first part of a path.
pub(super) fn root(target: &str) -> &str {
    target.split(['.', '[']).next().unwrap_or(target)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
