//! Salesforce: records of any object, by sObject Collections, and by Bulk API 2.0 where a run is large (API v67.0).
//!
//! ```toml
//! # backhaul.toml
//! [destinations.crm]
//! type        = "salesforce"
//! domain      = "acme.my.salesforce.com"              # My Domain: for tokens and API
//! client_id   = "3MVG9…"                              # consumer key of an external client app
//! username    = "sync@acme.example"                   # JWT bearer: the user that the app acts for
//! private_key = { secret = "salesforce-key" }         # the key of the app's certificate, PEM
//! quota       = "50%"                                 # of the organisation's daily calls
//!
//! # a sync
//! [into]
//! object  = "Account"
//! mode    = "upsert"
//! match   = "Ext_Id__c"
//! removed = "delete"
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: domain, app, credential |
//! | `sync` | `[into]` and the facts of each operation |
//! | `draft` | a batch as records, in JSON or in CSV |
//! | `answer` | what an answer says of each row, and what a refused call means |
//! | `bulk` | jobs |
//! | `records` | finding records, by SOQL |
//! | `inspect` | which organisation it is, and what the user may do there |
//! | `send` | the destination itself |
//! | `sandbox` | the stand-in of the API |
//!
//! # What the app needs
//!
//! An *external client app* (new connected apps are restricted since Spring '26) with the OAuth scope `api`, and either
//! the JWT bearer flow, with a certificate and users that an administrator has authorised beforehand, or client
//! credentials (`client_secret` instead of `username` and `private_key`), with a run-as user. The user has the licence
//! *Salesforce Integration*, the profile *Minimum Access - API Only Integrations*, and one permission set: read, create
//! and edit on the object (delete only where the sync deletes), edit on the mapped fields. `backhaul doctor` names what
//! is missing and what is too much.
//!
//! # Objects
//!
//! | mode | how | found by | a call takes | a job |
//! |---|---|---|---|---|
//! | `upsert` | upsert by external id | the match value | 200 rows | yes |
//! | `update` | a query, then update by id; by id alone where `match = "Id"` | the match value | 200 | only with `match = "Id"` |
//! | `create` | insert; not repeated, asked after where its answer was lost | | 200 | yes |
//! | removed: `delete`, `clear` | by id, as it was remembered; else a query first | the record's id | 200 | yes |
//! | a changed match value | update by id; else a query for the old and for the new value | the record's id | 200 | yes |
//!
//! `match` is a field that is marked *External ID*; `check` refuses others before anything is written. `delete` moves
//! records into the recycle bin. `clear` writes NULL into all mapped fields but the match. NULL empties a field, and so
//! does the empty text; `null = "skip"` leaves it. An array becomes the values of a multi-select picklist. References
//! are ids: `lookup` and `ref` find them.
//!
//! Salesforce pays no regard to the case of most external ids and addresses: two rows whose match values differ in case
//! alone are one record to it, and a query's record counts for both.
//!
//! # Calls or jobs
//!
//! A run that sends more than `bulk_above` rows (2,000 unless `[into]` says otherwise) is cut into batches of 10,000,
//! each of which becomes a job; what is left for a batch of 200 or fewer, and rows that come again, go by calls. A job
//! does nothing before it is closed, and its ticket is saved before its file is sent and before it is closed: whatever
//! breaks off, the next question after it closes it, or calls it off and has its rows come again. Results are joined to
//! rows by the external id (by the id, where rows have one), since they come in no order. A job that failed keeps what it
//! had done; unprocessed rows come again, rows in no file are unknown, a job that Salesforce has forgotten (after 7 days)
//! is lost. A job that takes a day is called off.
//!
//! # Facts, and where they come from
//!
//! *Doc* is Salesforce's documentation, *3p* what third parties read or do.
//!
//! - sObject Collections: 200 rows a call, `allOrNone` false, results in the order of the rows, 200 even where rows fail
//!   (doc). An id counts only where the answer gives it.
//! - Bulk API 2.0: states, three result files, CSV with `#N/A` for NULL and nothing for *leave it*, 32,000 characters a
//!   field and 400,000 a record, one batch of Salesforce's for 10,000 rows (doc). A row beyond, or one
//!   that says the text `#N/A`, is cut out of its batch and goes by a call.
//! - A day's calls: `Sforce-Limit-Info: api-usage=18/5000` in each answer, over a rolling day (3p). Once our share is
//!   used up nothing is sent for an hour, and the run ends. `REQUEST_LIMIT_EXCEEDED` means that, or too many long calls
//!   at once (3p).
//! - A call may run for ten minutes (doc): after a lost answer its rows are left alone as long.
//! - 401 `INVALID_SESSION_ID`: a new token is asked for once (doc). `UNABLE_TO_LOCK_ROW` and "Too many SOQL queries"
//!   come again (3p). One value that cannot be read (`JSON_PARSER_ERROR`) has a call refused as a whole (3p): the batch is
//!   cut until its row is alone.
//! - SOQL: `'` and `\` are escaped with `\`; a query's answer has pages of at most 2,000 records (doc).
//!
//! Not verified: that JSON's null clears a field in Collections; that numbers are taken for text fields (`as = "text"`
//! makes them text); that `userinfo` answers a token whose only scope is `api`; whether `updateOnly` works for
//! Collections (it is not used); the longest query (12,000 characters here); whether blanks around a text are kept alike
//! by calls and jobs; the row codes other than `REQUIRED_FIELD_MISSING` and `MALFORMED_ID`, and that a record that was
//! deleted before is answered with `ENTITY_IS_DELETED`; `permissionable` as the mark of fields whose rights are given
//! one by one. No account was tried.
//!
//! Not offered: relations by external id (`Owner.Ext__c`), hard deletion, composite graphs, assignment rules, platform
//! events. Jobs run in parallel: rows of one parent may lock each other out and come again.

mod account;
mod answer;
mod bulk;
mod draft;
mod inspect;
mod records;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed};

/// `type = "salesforce"`.
pub static SALESFORCE: DestinationKind = DestinationKind {
    name: "salesforce",
    title: "Salesforce",
    summary: "Records of any object, by external id: 200 a call, or in jobs of Bulk API 2.0 where a run is large",
    objects: &[Object {
        name: ObjectName::Like("any, by API name (Account, Subscription__c)"),
        modes: &[Mode::Upsert, Mode::Update, Mode::Create],
        removed: &[Removed::Ignore, Removed::Delete, Removed::Clear],
        instead: &[("archive", "use \"delete\" (into the recycle bin), \"clear\" or \"ignore\"")],
        ..Object::PLAIN
    }],
    proof: "docs only",
    validated: "",
    errors: &[
        ("REQUIRED_FIELD_MISSING, DUPLICATE_VALUE … (rejects)", "Salesforce's own words are in `rejects show`"),
        ("NOT_FOUND, AMBIGUOUS_MATCH (rejects)", "none, or several records have the match value"),
        ("INVALID_SESSION_ID, invalid_grant", "check certificate or secret, user, `audience` and `domain`"),
        ("INSUFFICIENT_ACCESS …", "`backhaul doctor` names the right"),
        ("REQUEST_LIMIT_EXCEEDED", "the day's calls are used up: the run ends, and a later one goes on"),
        ("UNABLE_TO_LOCK_ROW", "comes again; fewer rows of one parent at once help"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::SalesforceAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: sync::json_schema() },
    sandbox: Some(sandbox::kind),
};
