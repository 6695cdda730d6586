//! What Zendesk has: objects, their fields, and what finds them.

use backhaul_kit::config::{Problems, nearest};
use backhaul_kit::{self as kit, FieldShape, Mode, ObjectName, Removed};

/// The record's own id; it finds records and is never written.
pub(super) const ID: &str = "id";
/// The id that somebody else gave the record.
pub(super) const EXTERNAL_ID: &str = "external_id";
/// What could make somebody a paid agent or an admin.
const ROLES: &[&str] = &["role", "custom_role_id"];

/// A kind of record.
#[derive(Debug)]
pub(super) struct Object {
    /// Its name in `[into]`, in paths and in bodies.
    pub(super) name: &'static str,
    /// What holds its custom fields.
    pub(super) custom: &'static str,
    /// The other fields that a sync may write, in words.
    fields: &'static str,
}

pub(super) static USERS: Object = Object {
    name: "users",
    custom: "user_fields",
    fields: "alias details email external_id locale locale_id name notes organization_id phone remote_photo_url \
             shared_phone_number suspended tags time_zone verified",
};

static ORGANIZATIONS: Object = Object {
    name: "organizations",
    custom: "organization_fields",
    fields: "details domain_names external_id group_id name notes shared_comments shared_tickets tags",
};

static TICKETS: Object = Object {
    name: "tickets",
    custom: "custom_fields",
    fields: "assignee_id custom_status_id due_at external_id group_id organization_id priority problem_id requester_id \
             status subject tags type",
};

/// What a sync may do with each.
pub(super) const OBJECTS: &[kit::Object] = &[
    kit::Object {
        name: ObjectName::Is("users"),
        modes: &[Mode::Upsert],
        removed: &[Removed::Ignore, Removed::Delete],
        matched: &[EXTERNAL_ID, "email"],
        ..kit::Object::PLAIN
    },
    kit::Object {
        name: ObjectName::Is("organizations"),
        modes: &[Mode::Upsert],
        removed: &[Removed::Ignore, Removed::Delete],
        matched: &[EXTERNAL_ID],
        ..kit::Object::PLAIN
    },
    // Nobody but Zendesk gives tickets their ids.
    kit::Object { name: ObjectName::Is("tickets"), modes: &[Mode::Update], matched: &[ID], ..kit::Object::PLAIN },
];

impl Object {
    /// The object of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        [&USERS, &ORGANIZATIONS, &TICKETS].into_iter().find(|object| object.name == name)
    }

    /// The fields that a sync may write, besides custom ones.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.fields.split_whitespace()
    }

    /// Whether its records are written one by one where they are not written by their ids.
    pub(super) fn is_upserted_alone(&self) -> bool {
        self.name == ORGANIZATIONS.name
    }

    /// Whether it is the object of tickets, whose custom fields have ids and not keys.
    pub(super) fn is_tickets(&self) -> bool {
        self.name == TICKETS.name
    }

    /// Refuses a field that cannot be written.
    pub(super) fn check(&self, field: &FieldShape, problems: &Problems) {
        let target = field.target.as_str();
        let key = target.strip_prefix(self.custom).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        let letters = !self.is_tickets();
        let is_key = |byte: u8| byte.is_ascii_digit() || letters && (byte.is_ascii_alphabetic() || byte == b'_');
        if self.fields().any(|known| known == target) || (!key.is_empty() && key.bytes().all(is_key)) {
            return;
        }
        let (near, known) = (nearest(target, self.fields()), self.fields().collect::<Vec<_>>().join(", "));
        if ROLES.contains(&target) {
            let message = format!("`{target}` is not written from data: it could make anybody an agent or an admin");
            problems.refuse("forbidden-field", &field.span, message, "take it out: who is new becomes an end user");
        } else {
            let message = format!("Zendesk's {} have no field `{target}` that can be written here", self.name);
            let example = if letters { "plan" } else { "27642" };
            let remedy = format!("one of {known}; or a custom field, as \"{}.{example}\"", self.custom);
            problems.refuse_near("unknown-field", &field.span, message, near, &remedy);
        }
    }
}
