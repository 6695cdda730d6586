//! Zendesk Support: users, organizations and tickets, in jobs of a hundred records.
//!
//! ```toml
//! [destinations.support]
//! type      = "zendesk"
//! subdomain = "acme"                          # of acme.zendesk.com
//! token     = { secret = "zendesk-token" }    # OAuth; or `email` and `api_token`
//! plan      = "professional"                  # team, growth, professional, enterprise, enterprise_plus
//! quota     = "50%"                           # of the plan's calls in a minute
//!
//! [into]
//! object  = "users"
//! mode    = "upsert"
//! match   = "external_id"
//! removed = "delete"
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: credential, plan, base URL |
//! | `object` | the objects, their fields, and what finds them |
//! | `sync` | `[into]` and the facts of each operation |
//! | `draft` | a row as a record |
//! | `send` | the destination |
//! | `job` | what became of a job's rows |
//! | `answer` | what a refused call means |
//! | `records` | calls that change nothing; looking up by external ids |
//! | `inspect` | whose credential it is, what it may do, which fields there are |
//! | `sandbox` | the stand-in |
//!
//! # Objects
//!
//! | object | mode | found by | a removed row | a call takes |
//! |---|---|---|---|---|
//! | `users` | `upsert` | `external_id`, `email` | `ignore`, `delete` | a job of 100 |
//! | `organizations` | `upsert` | `external_id` | `ignore`, `delete` | one; of deletions and moves a job of 100 |
//! | `tickets` | `update` | `id` | `ignore` | a job of 100 |
//!
//! Custom fields are `user_fields.KEY`, `organization_fields.KEY` and `custom_fields.ID` (of tickets). A field that the
//! account does not have stops a run before it writes; those of tickets are not looked at.
//!
//! - `delete` is what Zendesk calls a soft deletion. Who is deleted and comes back is upserted as anybody else.
//! - A row whose `external_id` changed keeps its record: it is written by its id, which is looked for by the old and the
//!   new one where it was never learnt. So is who is to be deleted. An external id with a comma cannot be looked for: its
//!   row is rejected, and nobody is made in its place.
//! - A row whose `email` changed where users are matched by it is *another* user, and the first one stays.
//! - **`email` of a user is written once**: on a user that is there, another address becomes one more address (users
//!   page). External ids pay no regard to case: two rows whose ids differ in case only are one record, which the last
//!   of them has.
//! - `role` and `custom_role_id` are refused: they could make anybody a paid agent or an admin. So are fields of agents,
//!   and a ticket's `comment`, which would be one more comment each time that the row is sent.
//! - An upsert that meets an agent or admin with this `email` or `external_id` changes that one.
//!
//! # Jobs
//!
//! A bulk call is answered at once and done later: its ticket is kept, and asked after when half as much time again has
//! passed, from every second to every 30. Results are read by their `index`, else by the id that was sent, else by their
//! place where there are as many as rows; a result that names another record than that, and a row without a result,
//! leave the row unknown. `completed` says nothing of rows: each needs a result that says so. A job of which Zendesk
//! knows nothing (404), or that is older than the day for which it tells, is lost: its rows are in doubt, and are sent
//! again, which is safe by external id, address or id.
//!
//! 30 jobs may be open in an account: a sync keeps to 20. `TooManyJobs`, and a header that says that nothing is left of
//! jobs or of a kind of call, make the sync wait; nothing was applied.
//!
//! # Facts, and where they come from
//!
//! *Ref* is the vendor's reference (developer.zendesk.com/api-reference), some of it as its published OpenAPI files and
//! mirrors have it. There is no description that requests were validated against.
//!
//! - `users/create_or_update_many` (100; matched by `email` or `external_id`), `users/update_many`,
//!   `organizations/update_many`, `tickets/update_many` (100, by `id`), `users/destroy_many`,
//!   `organizations/destroy_many` (100 ids), `organizations/create_or_update` (one, by id or `external_id`; not by
//!   name), `show_many?external_ids=` (100): ref, users, organizations, tickets.
//! - Bulk imports of users are off until Zendesk's support enables them: 403, which ends the run (ref, users).
//! - Job states, results of bulk creations (`id`, `index`) and updates (`id`, `success`, `status`), one day of memory:
//!   ref, job_statuses. Refused rows (`error`, `details`, `status = "Failed"`, the row's place as `id`): a user's post.
//! - 30 jobs; calls in a minute by plan; the headers; `Retry-After`: ref, rate-limits.
//! - Scopes are `read`, `write`, `impersonate`, or `RESOURCE:read|write`; `oauth/tokens/current` tells them; an invalid
//!   scope gives a token that is refused with 403 (ref, oauth_tokens). Which scope `job_statuses` needs was not found, so
//!   the smallest grant is `read` and `RESOURCE:write`.
//! - API tokens have no scopes. None can be made since 27 October 2026, and none is taken from 30 April 2027
//!   (developer.zendesk.com, oauth-migration).
//! - `users/me` answers anonymous users too (ref): whoever has no id there is nobody here.
//! - `user_fields`, `organization_fields`: pages by cursor (ref, user_fields, pagination).
//! - Deleting users is for admins (ref); a custom role may do what it is given: a refusal ends the run.
//!
//! Not verified against a live account: what a null does to a field (it is sent as null; `removed = "clear"` is not
//! offered for that reason); forms of dates in custom fields (dates go out as `2026-01-31`, times as ISO 8601); whether
//! a list of `tags` replaces those that are there; whether a soft-deleted user's `external_id` is free again; who wins
//! where `email` and `external_id` are of two users; whether results keep the order of rows; the status of `TooManyJobs`
//! (it is known by its code); how long a job that was begun without our hearing of it may still be at work (two minutes
//! are waited before its rows are sent again).

mod account;
mod answer;
mod draft;
mod inspect;
mod job;
mod object;
mod records;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema};

/// `type = "zendesk"`.
pub static ZENDESK: DestinationKind = DestinationKind {
    name: "zendesk",
    title: "Zendesk Support",
    summary: "users and organizations by external id, tickets by id; in jobs of 100 records",
    objects: object::OBJECTS,
    proof: "docs only",
    validated: "",
    errors: &[
        ("RecordInvalid, UserUpdateError … (rejects)", "Zendesk's words are in `rejects show`: mend the value"),
        ("NO_ADDRESS, INVALID_ID (rejects)", "the record's id is not known, and cannot be looked for or is no number"),
        ("MATCH_NOT_CONFIRMED (rejects)", "the external id has a comma: Zendesk cannot be asked for it"),
        ("403 Data imports are not enabled", "the account's owner must have Zendesk's support enable them"),
        ("401, 403", "the credential is not good, lacks a scope, or its user may not do this"),
        ("429, TooManyJobs", "waited for: the account's calls or its 30 jobs are used up"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::ZendeskAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: sync::json_schema() },
    sandbox: Some(sandbox::kind),
};
