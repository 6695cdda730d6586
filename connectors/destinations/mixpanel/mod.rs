//! Mixpanel: events (Import API) and user profiles (Engage API).
//!
//! ```toml
//! # backhaul.toml
//! [destinations.product]
//! type   = "mixpanel"
//! region = "eu"                               # us, eu, in: a project lives in one of them
//! token  = { secret = "mixpanel-token" }      # the project's token, from its settings
//!
//! # a sync of events
//! [into]
//! object = "events"
//! mode   = "append"
//!
//! [fields]
//! event       = { value = "order_paid" }
//! time        = "paid_at"
//! distinct_id = "customer_id"
//! total       = "total"
//!
//! # a sync of profiles
//! # [into]
//! # object  = "profiles"
//! # mode    = "upsert"
//! # match   = "$distinct_id"
//! # removed = "delete"
//! #
//! # [fields]
//! # "$distinct_id" = "customer_id"
//! # "$email"       = "email"
//! # plan           = "plan"
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: region, token, limits |
//! | `sync` | `[into]` and the facts of each operation |
//! | `draft` | a batch as calls |
//! | `event` | a row as an event; `$insert_id` |
//! | `answer` | what an answer says of each row |
//! | `send` | the destination |
//! | `sandbox` | the stand-in |
//!
//! # Objects
//!
//! | object | mode | a removed row | found by | a call takes |
//! |---|---|---|---|---|
//! | `events` | `append` | `ignore` | | 2,000 events |
//! | `profiles` | `upsert` | `ignore`, `delete`, `clear` | `$distinct_id` | `profiles_per_call`, by default one |
//!
//! **Events** need the fields `event`, `time` and `distinct_id` (NULL: nobody's event); all others are properties. `time`
//! is a point in time, a date (its midnight in UTC), text with a zone, or an integer of seconds or milliseconds, which
//! goes out as it is. NULLs are left out. `ip` is 0 unless a field says otherwise: the events would have the location
//! of this machine.
//!
//! **Profiles** need `$distinct_id`, which is their `match`; all others are properties (`$set`), NULLs are emptied
//! (`$unset`, a call of its own). A row whose `$distinct_id` changed is written anew, and its old profile removed as
//! `removed` says; with `ignore` it stays.
//!
//! # A repeated call, and what `$insert_id` is worth
//!
//! `$insert_id` is a hash of the sync's name, the row's key and all that the event says. Not of the row's stored
//! fingerprint: that depends on a seed of the snapshot, and a state that was lost or rebuilt would send every event under
//! another id. So the same row of the same sync is the same event, whenever it is sent: `append` is safe to repeat.
//! Within these limits, which are Mixpanel's:
//!
//! - Reports drop a repetition at once (event, `time`, `distinct_id` and `$insert_id` are equal, the newest counts), for
//!   good when the day is compacted (hours or days later, not guaranteed). *Exports of raw events show both.*
//! - A `time` in the future is overwritten by the time of arrival, and the repetition has another. Such a row is refused
//!   here and comes again.
//! - A row that changed is another event, and the first one stays: use `append` for rows that never change. So is a row
//!   of a sync that was renamed or whose fields were changed, when it is sent again.
//!
//! `$set`, `$unset` and `$delete` may be repeated. A profile that another row took over, while it is not known whether
//! the row that left it was moved, is removed by the repetition of that move.
//!
//! # Facts, and where they come from
//!
//! *Spec* is Mixpanel's published OpenAPI description (mixpanel/docs), *ref* its reference pages.
//!
//! - `POST /import?strict=1`: HTTP basic with the token as user and no password, and then no `project_id`, although spec
//!   has it as required: it belongs to service accounts (ref), which need the role of an owner. A project token can write and do
//!   nothing else: there is no smaller grant.
//! - 200 and 400 count the events taken in, 400 names the others by index and `$insert_id` (spec; ref spells the member
//!   `$insert_id` too, both are read). What is not counted stays unknown.
//! - `POST /engage?strict=1&verbose=1&ip=0`: no credential, the token stands in each record. **The status is 200 even for
//!   records that are not valid**; `1` in the body says that *one or more* records are valid, and nothing of the token
//!   (spec). So one profile a call is proved and more are not: `profiles_per_call` above 1 takes the `1` for all, at
//!   your word. `0` for several has them sent one by one.
//! - A wrong token makes profiles vanish. `check` therefore offers `/import` an event that breaks three rules (`time`
//!   before 1971, a forbidden `distinct_id`, a forbidden `$insert_id`): 400 for the right token, 401 for a wrong one (spec).
//! - 2,000 events, 2,000 profile updates, 1 MB each (ref). A call takes 10 MB (ref) or 2,097,152 bytes (spec's 413):
//!   the smaller is kept.
//! - 2 GB or 1.8 million events a minute (30,000 a second), 10 to 20 senders (ref): 900 calls a minute of at most 2 MiB
//!   and 2,000 events keep both. A limit of `/engage` was not found; the same is used. Neither was `Retry-After`; it is
//!   honoured.
//! - Fewer than 255 properties; forbidden ids; strings are **cut at 255 characters** (ref). An id beyond is refused
//!   here, since two could become one; other texts are cut there in silence.
//! - Mixpanel keeps events: single ones cannot be removed. `$delete` is sent with `$ignore_alias`, so that an id which was
//!   merged into another person does not delete that person.
//!
//! Not verified against a live account: what `strict=1` answers for profiles (its records' messages have no documented
//! form; what says anything but success is taken for a refusal); `ip` as the number 0; the answer to a 400 that names no
//! record; whether the forbidden ids are compared in lower case (they are here). There is no call that tells the
//! project of a token: the account's identity is the region and a digest of the token, so that **a renewed
//! token is another account**.

mod account;
mod answer;
mod draft;
mod event;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed, WritePolicy};

/// `type = "mixpanel"`.
pub static MIXPANEL: DestinationKind = DestinationKind {
    name: "mixpanel",
    title: "Mixpanel",
    summary: "events, told apart by $insert_id, and user profiles",
    objects: &[
        Object {
            name: ObjectName::Is("events"),
            modes: &[Mode::Append],
            flat: true,
            instead: &[("upsert", "use mode = \"append\": an event is never changed")],
            ..Object::PLAIN
        },
        Object {
            name: ObjectName::Is("profiles"),
            modes: &[Mode::Upsert],
            removed: &[Removed::Ignore, Removed::Delete, Removed::Clear],
            matched: &[sync::PROFILE_ID],
            flat: true,
            writes: &[WritePolicy::IfEmpty],
            instead: &[("update", "use mode = \"upsert\": Mixpanel makes a profile that is not there")],
            ..Object::PLAIN
        },
    ],
    proof: "spec",
    validated: include_str!("validated.txt"),
    errors: &[
        (
            "TIME_IN_FUTURE (rejects)",
            "a repeated call would be a second event: the row comes again when its time has come",
        ),
        ("FORBIDDEN_ID, ID_TOO_LONG (rejects)", "Mixpanel would merge or cut the id: mend it in the model"),
        ("INVALID_RECORD (rejects)", "Mixpanel named the record; its words are in `rejects show`"),
        ("401", "the token, or `region`, is not the project's"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::MixpanelAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: serde_json::json!({}) },
    sandbox: Some(sandbox::kind),
};
