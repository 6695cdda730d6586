//! Any HTTP API that takes rows in calls and says what became of them.
//!
//! ```toml
//! # backhaul.toml
//! [destinations.loyalty]
//! type    = "http"
//! url     = "https://api.example.com/v2"
//! token   = { secret = "loyalty-token" }      # or header = { name, value }, or basic = { user, password }
//! headers = { Accept = "application/json" }
//! limits  = [{ cap = 100, per = "10s" }]
//! quota   = "50%"
//!
//! # a sync
//! [into]
//! mode    = "upsert"
//! removed = "delete"
//!
//! [into.request]
//! url        = "/customers/batch"
//! batch_size = 100
//! key_field  = "external_id"                  # {"customers": [{"external_id": "42", …}, …]}
//! rows_field = "customers"
//!
//! [into.request.success]
//! evidence = "row"                            # the answer names the rows that it accepted
//! results  = "results"
//! key      = "external_id"
//! id       = "id"
//! ok       = { field = "status", value = ["created", "updated"] }
//! error    = "error.message"
//!
//! [into.remove]
//! url     = "/customers/{{ key }}"
//! success = { evidence = "call", statuses = [204] }
//! unchanged_statuses = [404]                  # already gone
//! ```
//!
//! # The account
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `url` | where the API is, perhaps with a path that all calls share | required |
//! | `token` | a secret, sent as `Authorization: Bearer …` | none |
//! | `header = { name, value }` | a secret in a header of its own | none |
//! | `basic = { user, password }` | HTTP basic authentication | none |
//! | `oauth = { token_url, client_id, client_secret, … }` | OAuth 2.0 access tokens, see below | none |
//! | `headers` | plain headers of every call; no secrets | none |
//! | `limits = [{ cap, per }]` | at most `cap` calls in `per`, all together | none |
//! | `quota` | our share of `limits` | `"100%"` |
//! | `concurrency` | calls in flight | 4 |
//! | `timeouts = { connect, first_byte, total }` | how long to wait | 10 s, as `total`, 60 s |
//! | `private_hosts` | hosts (of `url` and `token_url`) that may have addresses inside your network; without it only public ones are connected to, loopback where the URL says so, and a cloud's metadata never | none |
//! | `proxy = { url, user, password }` | the proxy through which calls go; those that the environment names are not used | none |
//! | `ca_bundle` | a PEM file of authorities that are trusted besides the system's | none |
//! | `identity` | whose account it is; a general API cannot be asked | host and port of `url` |
//! | `check` | a path that must answer 2xx to a GET | no call |
//!
//! **`oauth`** asks `token_url` for access tokens (`grant = "client_credentials"`, the default, or `"refresh_token"` with
//! a secret `refresh_token`). All calls and syncs of the account share one, which is renewed before it expires, or when
//! the API refuses it: one question for all who wait. `scope` is what is asked for; id and secret go into HTTP basic
//! authentication or, with `secret_in = "form"`, into the form, with whatever stands in `form` (`audience`).
//!
//! # The calls
//!
//! `[into.request]` is made for rows in the model, `[into.remove]` for rows that left it (required where
//! something is removed). Both have the same keys:
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `url` | a path below the account's `url`; a template | required |
//! | `method` | POST, PUT, PATCH, DELETE, GET | POST; DELETE for removals |
//! | `headers` | plain headers | `Content-Type: application/json` where there is a body |
//! | `batch_size` | rows in one call | 1 |
//! | `max_bytes` | the largest body | no limit |
//! | `concurrency` | calls in flight | the account's |
//! | `body` | a template | the row as a JSON object, or the rows as an array |
//! | `key_field` | the member of each row's object that gets its key, as text | not written |
//! | `rows_field` | the member of an enclosing object that gets the array | the bare array |
//! | `success` | what proves that a row was accepted, see below | required |
//! | `unchanged_statuses` | of a call with one row: it already was as asked | none |
//! | `reject_statuses` | refused for its rows, nothing applied | 400, 404, 409, 422 |
//! | `retry_statuses` | nothing applied, come again later | 429 |
//! | `idempotency = { header, per }` | a header that is the same when a call is made again | none |
//! | `resend_safe` | whether a call whose answer was lost may be made again | PUT, DELETE, or `idempotency` |
//!
//! Of the other statuses, 401 and 403 speak of the credential, 413 has the batch cut in two, 503 with
//! `Retry-After` says to wait, and 408 and 5xx leave open whether the call was applied.
//!
//! **Templates** are minijinja. With `batch_size = 1` they read `key`, `keys.COLUMN`, `fields.TARGET`
//! (`fields["address.city"]`), `remote_id`, `match_value` and `change`; otherwise a list `rows` of these. All
//! calls have `operation`, `run` and `sync`. Values are escaped for where they stand: in a URL
//! percent-encoded; in a body by its `Content-Type`: as JSON *with quotes* (`{"id": {{ key }}}`), XML or form data.
//! A row whose template fails, gives broken JSON, or has an empty value or `..` in its URL is rejected and
//! not sent. Removed rows have no fields. Of a row that moves, `match_value` is the old one, by which the API
//! still knows it.
//!
//! **`success`** has no default, because a 200 alone proves nothing:
//! - `evidence = "call"`: a status of `statuses` (default 200, 201, 204) settles every row of the call, if the
//!   flag `ok = { field, value }` of the answer is set, where one is given. `id` is where a record's id stands
//!   (`batch_size = 1`). A refused call of several rows is cut in two until the bad row is alone.
//! - `evidence = "row"`: an answer with a status of `statuses` (default 200, 201, 207) has a list at `results`
//!   (default: it is the list) whose members name their row by `key`, by `index` (from 0) or `in_order = true`.
//!   A member is good where the flag `ok` is set or, without one, where nothing stands at `error`. `unchanged`
//!   and `retry` are flags too. A row that is not named stays unknown.
//! - `evidence = "job"`: a status of `statuses` (default 200, 201, 202) says that the API works on the rows, and
//!   `job` where to ask after that: `id` is where the job's id stands (default `id`), `url` a path with `{{ job }}`,
//!   `done` a flag of its answer, `failed` another; whatever is neither is running. It is asked `every` (default 2 s),
//!   until `give_up_after` (default 24 h); with `lost_statuses` (default 404, 410) the API has forgotten it. The rows
//!   of a lost job are in doubt. The answer that is `done` or `failed` can name rows as with `evidence = "row"`; where
//!   it does not, `done` settles every row, and those of a failed job are in doubt. The job's id is on disk before
//!   the first question, and a restarted run asks on.
//!
//! `error` and `error_code` are where a refusal's words stand. Paths are dotted members (`data.results`).
//!
//! **`[into.read_back]`** (optional) asks with a GET, row by row, whether a row whose answer was lost is there: `url`
//! is a template of that row, `absent_statuses` (default 404) say that it is not, and of an answer with success the
//! flag `found`, where one is given, must be set (a search that finds nothing answers 200 too); `id` is where the
//! record's id stands. With it `on_unknown = "read_back"` is the default of calls that are not `resend_safe`.
//!
//! **Idempotency keys** are SHA-256 over the sync, the operation and each row's key and fingerprint. With
//! `per = "run"` the run's id is added: a row that goes from A to B and back to A must not get the answer
//! that the API remembers of the first A. With `per = "value"` (the default of the modes `create` and
//! `append`, where a second record would be the harm) the same value has the same key for ever.

mod account;
mod job;
mod oauth;
mod read_back;
mod render;
mod request;
mod schema;
mod send;
mod success;
mod sync;
mod template;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, Mode, Object, ObjectName, Removed};

/// `type = "http"`.
pub static HTTP: DestinationKind = DestinationKind {
    name: "http",
    title: "HTTP",
    summary: "any HTTP API: URL, method, body and what proves success are yours to say",
    objects: &[Object {
        name: ObjectName::Perhaps("named as you like; `[into.request]` says where rows go"),
        modes: &[Mode::Upsert, Mode::Update, Mode::Create, Mode::Audience, Mode::Append],
        removed: &[Removed::Ignore, Removed::Archive, Removed::Delete],
        instead: &[("clear", "use removed = \"delete\" with an `[into.remove]` that sends what clears them")],
        ..Object::PLAIN
    }],
    proof: "real HTTP servers",
    validated: "",
    errors: &[],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::HttpAccount::read(table)?)),
    schema: schema::kind,
    sandbox: None,
};
