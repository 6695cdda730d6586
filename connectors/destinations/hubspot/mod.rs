//! HubSpot: contacts, companies, deals and custom objects (CRM objects API v3).
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: token, limits, base URL |
//! | `object` | which objects, their paths and scopes |
//! | `sync` | `[into]` and the facts of each operation |
//! | `values` | a field's value as HubSpot's text |
//! | `draft` | a batch as the inputs of one call |
//! | `wire` | reading the vendor's JSON |
//! | `answer` | what an answer says of each row |
//! | `fault` | what a refused call means |
//! | `send` | the destination itself: writes |
//! | `records` | looking records up |
//! | `inspect` | identity, scopes and properties |
//! | `sandbox` | the stand-in of the API |
//!
//! # Facts, and where they come from
//!
//! *Spec* is HubSpot's published OpenAPI description (`HubSpot-public-api-spec-collection`, CRM 424/v3).
//!
//! - 100 inputs a batch call (vendor documentation). A byte limit is not documented: none is assumed.
//! - Every value is a string; an empty string clears a property; multi-select values are joined by `;`;
//!   a `date` is an ISO date or midnight UTC in milliseconds (vendor documentation).
//! - `objectWriteTraceId` on every input switches on multi-status answers: 207 with `results` and `errors`,
//!   matched by that id, never by position. Documented for batch create; a third party reports it for upsert.
//!   A row that the answer does not name stays unknown, so nothing rests on it.
//! - Without multi-status one bad row refuses the whole batch with 400: it is then cut in two.
//! - 204 settles `batch/archive` as a whole (spec). Archived records can be restored for 90 days.
//! - There is no idempotency key. Upsert, update and archive may be repeated; create may not: a row that changes after
//!   its record was created is refused (`ALREADY_CREATED`).
//! - With `email` as the match of contacts HubSpot does not support partial upserts (contacts guide).
//!   A contact found through a secondary address gets no new primary `email`: the match value is sent
//!   as the address of the record and not among its properties.
//! - Limits: 100, 190 or 250 calls in 10 s by plan; 429 names a policy, and `DAILY` means that nothing goes
//!   through before midnight of the account's time zone. 477 means that the account is being moved.
//! - The account is known by its hub id: token introspection for private apps (vendor page, shape from third
//!   parties), then for OAuth (spec), then the account's details (spec), which tell no scopes.
//!
//! - A look-up goes through `batch/read` by a property with unique values: two records never have one value. By other
//!   properties it would take the search, which is limited apart from the rest and lags behind writes: it is not offered.
//!
//! Not verified against a live account: the shape of property errors in a 207; the code `READ_ONLY_VALUE`; a
//! 404 from `batch/archive` for records that are gone; whether a date-time without a zone is taken as UTC (so
//! `describe` does not accept such columns for `datetime`).

mod account;
mod answer;
mod draft;
mod fault;
mod inspect;
mod object;
mod records;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
pub(crate) mod tests;
mod values;
mod wire;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed};

/// `type = "hubspot"`.
pub static HUBSPOT: DestinationKind = DestinationKind {
    name: "hubspot",
    title: "HubSpot",
    summary: "CRM records, written in batches and matched by a unique property",
    objects: &[Object {
        name: ObjectName::Like("contacts, companies, deals, custom objects (2-123, p123_name)"),
        modes: &[Mode::Upsert, Mode::Update, Mode::Create],
        removed: &[Removed::Ignore, Removed::Archive, Removed::Clear],
        flat: true,
        instead: &[
            (
                "audience",
                "use mode = \"upsert\" with a property that marks the members, and an active list in HubSpot that filters by it",
            ),
            ("append", "use mode = \"create\" for records that are never changed, or mode = \"upsert\""),
            (
                "delete",
                "use removed = \"archive\": archived records can be restored for 90 days, then HubSpot deletes them",
            ),
        ],
        ..Object::PLAIN
    }],
    proof: "spec",
    validated: include_str!("validated.txt"),
    errors: &[
        (
            "INVALID_EMAIL, INVALID_OPTION … (rejects)",
            "HubSpot refuses a property of the row: mend the value or the mapping",
        ),
        (
            "MATCH_NOT_CONFIRMED (rejects)",
            "HubSpot keeps the match value in another form, and did not speak of the one that it was asked for",
        ),
        ("MISSING_SCOPES", "the token lacks a scope: `doctor` prints the smallest set"),
        ("429", "waited for; where the policy is `DAILY`, until midnight of the account's time zone"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::HubSpotAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: serde_json::json!({}) },
    sandbox: Some(sandbox::kind),
};
