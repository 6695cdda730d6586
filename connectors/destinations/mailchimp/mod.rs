//! Mailchimp: members of an audience (list), and static segments of them (Marketing API 3.0).
//!
//! ```toml
//! # backhaul.toml
//! [destinations.newsletter]
//! type = "mailchimp"
//! key  = { secret = "mailchimp-key" }         # ends in its data centre, which is the host: …-us21
//!
//! # a sync of members
//! [into]
//! object        = "members"
//! list          = "abc123"                    # the audience's id, from its settings
//! mode          = "upsert"
//! match         = "email_address"
//! status_if_new = "subscribed"                # of members that are new; others keep theirs
//! removed       = "archive"
//!
//! # [fields]
//! # email_address        = { column = "email", as = "email" }
//! # "merge_fields.FNAME" = "first_name"
//! # "merge_fields.PLAN"  = "plan"
//!
//! # a sync of a static segment
//! # [into]
//! # object  = "segment"
//! # list    = "abc123"
//! # segment = 123
//! # mode    = "audience"
//! ```
//!
//! An OAuth token goes with its data centre: `token = { secret = "…" }`, `data_center = "us21"`.
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: key or token, host, connections |
//! | `sync` | `[into]`, the ways in which things are done, and the facts of each operation |
//! | `member` | a row as a member; the calls about members |
//! | `answer` | what an answer says of each row |
//! | `job` | jobs of operations, and the archives of their results |
//! | `send` | the destination |
//! | `inspect` | whose credential it is; the list's merge fields |
//! | `sandbox` | the stand-in |
//!
//! # Objects
//!
//! | object | mode | a removed row | how it is written | rows |
//! |---|---|---|---|---|
//! | `members`, with `status_if_new` | `upsert` | `ignore`, `archive`, `delete` | a job of `PUT`s | 1,000 |
//! | `members`, with a field `status` | `upsert` | the same | `POST /lists/{list}`, errors by address | 500 |
//! | `members` | `update` | the same | a job of `PATCH`es | 1,000 |
//! | `segment` | `audience` | is taken out | `POST /lists/{list}/segments/{segment}` | 500 |
//!
//! Rows that left are archived (`DELETE`) or deleted for good by jobs of 1,000. A row whose address changed is written, and
//! when that is answered the old member is removed as `removed` says; with `ignore` it stays.
//!
//! # The state of a member, and who may change it
//!
//! The call that writes 500 members has one `status` for new and existing ones; to leave it out is allowed by the
//! description, which does not say what becomes of the state then. So it is used only where the model has the state of each
//! row: **a field `status` overwrites what people chose**. Otherwise each member is a `PUT`, whose `status_if_new` is for
//! new ones alone; that is one operation a row, hence the job.
//!
//! - Whom an answer names as `archived`, or as `unsubscribed` or `cleaned` when something else was asked for, is rejected
//!   (`STATUS_KEPT`): Mailchimp took the fields and kept the state, and says so in no other way.
//! - So a member who was archived does not come back with a `PUT`; with a field `status` that is `subscribed` it does (both by
//!   reports of others, not by documents). `removed = "archive"` without a field `status` is warned of.
//! - `delete` is for good: Mailchimp refuses to import the address ever again. It must be confirmed by `never_again = true`.
//!
//! # Fields
//!
//! `email_address` (required), `email_type`, `language`, `vip`, `location.…`, `ip_signup`, `timestamp_signup`, `ip_opt`,
//! `timestamp_opt`, `interests.ID`, `merge_fields.TAG` (of an address also its parts: `merge_fields.ADDRESS.city`);
//! `status` and `tags` (`upsert` only: tags that a row no longer has are taken off); without `status` also
//! `marketing_permissions`. Merge fields that the list does not have are told before anything is sent. NULL empties a merge
//! field by an empty text, and tags by an empty list; of the others no document says how they are emptied, and the row is
//! refused (`CANNOT_BE_EMPTIED`) unless the field says `null = "skip"`.
//!
//! Addresses are compared without regard to case, and two rows that differ in nothing else would be one member, which one of
//! them could remove: an address that is not in lower case is refused (`as = "email"` brings it there).
//!
//! # Facts, and where they come from
//!
//! *Spec* is Mailchimp's published description (Swagger 2.0, version 3.0.55), *guide* its fundamentals and its guide to batches.
//!
//! - The host is in the key: `{dc}.api.mailchimp.com` (guide). A member's id is the MD5 of the address in lower case (spec).
//! - `POST /lists/{list}` answers 200 whatever became of its members, and names each by its address (spec). Segments pass
//!   over addresses that are not on the list without a word (spec): who was to be added and is not named is asked for, and is
//!   rejected (`NOT_ON_LIST`) or, being on the list, in the segment.
//! - Jobs: at most 1,000 operations, 500 open jobs (guide); the results are a gzipped tar of JSON, which name operations by
//!   our `operation_id` (guide). They lie on another host, which the answer names: it gets no credential, must be reached by
//!   HTTPS, and a redirect is not followed.
//! - Ten connections of a user; 429 beyond. No headers tell what is left, and none how long to wait (guide): a second, and then
//!   the engine's backoff. A 403 that is not JSON is the edge's, and means the same (guide). A call ends after 120 s.
//! - Every call may be made again: each says how a member shall be, or that it shall be gone. A job whose start was lost runs
//!   all the same, and its repetition after it.
//! - No scopes and no rights that could be read: the key can do what its user can. `check` tells the user's role.
//!
//! Not verified against a live account: how long results are kept, and their URL holds; that jobs run in the order in which
//! they came (spec: one at a time); what a number or a boolean in a text's place comes to (booleans go as texts); which role
//! is the least; required merge fields that a row does not have (refused by Mailchimp, row by row).
//!
//! Not offered: events, notes, making segments, tags of a `PUT` (spec has none there), `clear`.

mod account;
mod answer;
mod inspect;
mod job;
mod member;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed};

/// `type = "mailchimp"`.
pub static MAILCHIMP: DestinationKind = DestinationKind {
    name: "mailchimp",
    title: "Mailchimp",
    summary: "members of an audience, found by their address, and static segments of them",
    objects: &[
        Object {
            name: ObjectName::Is("members"),
            modes: &[Mode::Upsert, Mode::Update],
            removed: &[Removed::Ignore, Removed::Archive, Removed::Delete],
            matched: &[sync::ADDRESS],
            confirm: Some((sync::CONFIRM, "the address of a deleted member can never be imported again")),
            instead: &[("clear", "use removed = \"archive\"")],
            ..Object::PLAIN
        },
        Object {
            name: ObjectName::Is("segment"),
            modes: &[Mode::Audience],
            matched: &[sync::ADDRESS],
            ..Object::PLAIN
        },
    ],
    proof: "spec",
    validated: include_str!("validated.txt"),
    errors: &[
        ("Invalid Resource, ERROR_GENERIC (rejects)", "the address or a field is refused: mend it in the model"),
        ("STATUS_KEPT, Member In Compliance State (rejects)", "people come back of their own will alone"),
        ("Forgotten Email Not Subscribed (rejects)", "the address was deleted for good"),
        ("NOT_LOWERCASE (rejects)", "bring the address into one form: as = \"email\""),
        ("NOT_ON_LIST (rejects)", "only members of the list can be in a segment: deliver them there first"),
        ("401", "the key or token is not good: make a new one"),
        ("403, 404", "the user may not do that; or the account has no such `list` or `segment`"),
        ("429, 403 without JSON", "waited for"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::MailchimpAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: sync::json_schema() },
    sandbox: Some(sandbox::kind),
};
