//! Stripe: customers, with their metadata (API v1, version 2023-08-16).
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]`: key, limits, base URL |
//! | `sync` | `[into]`, what finds a customer, and the facts of each operation |
//! | `params` | the sync's fields as parameters, a row as a form |
//! | `wire` | the vendor's JSON, and nothing else |
//! | `answer` | what an answer says of its one row, and what a refused call means |
//! | `send` | the destination itself |
//! | `records` | finding customers that are there |
//! | `inspect` | whose key it is, and what it may do |
//! | `sandbox` | the stand-in of the API |
//!
//! ```toml
//! [destinations.billing]
//! type  = "stripe"
//! key   = { secret = "stripe-key" }      # a restricted key (rk_…) with "Customers: Write" and nothing else
//! quota = "50%"                          # of 20 calls in a second
//!
//! [into]
//! object  = "customers"
//! mode    = "upsert"
//! match   = "metadata.customer_id"
//! removed = "clear"
//! ```
//!
//! # What finds a customer
//!
//! Stripe has no upsert, and `email` is not unique. Once a customer was written, its id (`cus_…`) is remembered and used.
//! Before that:
//!
//! - `match = "metadata.NAME"` (every mode): the id of the source stands in the customer's metadata. A customer whose
//!   id is not known is searched for. The search lags (usually less than a minute; up to an hour in incidents), so it
//!   decides nothing that was written lately. What it finds is read again before it is written to. What it does not
//!   find is created with an `Idempotency-Key` made of the match field and its value: for at least 24 hours Stripe
//!   answers the same creation with the same customer, and refuses another one under the same key
//!   (`idempotency_error`: the row is deferred until the search has caught up). After that time the search knows the
//!   customer. As far as Stripe keeps both of its words, a lost answer makes no second customer.
//! - `match = "id"` (mode `update`): a column holds the ids. Nothing is searched.
//!
//! A field with `write = "on_create"` goes with the creation alone.
//!
//! `create` searches only for rows in doubt. A row that changes after it was created is rejected
//! (`ALREADY_CREATED`).
//!
//! Updates carry no `Idempotency-Key`: they may be repeated as they are, and where a value goes from A to B and back
//! within 24 hours, the stored answer to A would be replayed and B would stay. For the same reason a customer that is
//! not made within the run (give or take a minute) is read back: the stored answer may be of one that was deleted since,
//! or got another match value. The row's customer is then created under the next key. Where another row takes over a
//! match value that was created less than 24 hours ago, with other values, it is deferred for the rest of that time.
//!
//! # Facts, and where they come from
//!
//! *Spec* is Stripe's published OpenAPI description (`stripe/openapi`, version 2023-08-16).
//!
//! - One customer a call, in form encoding with brackets (spec). What is left out stays; `metadata` merges key by key,
//!   and an empty value takes a key away (spec).
//! - `DELETE` is for good and cancels the customer's subscriptions at once (spec): `removed = "delete"` must be
//!   confirmed by `cancel_subscriptions = true`. Nothing can be archived. `clear` empties what the sync wrote.
//! - Idempotency keys: status and body of the first call are stored, of a 500 too; nothing is stored where validation
//!   fails or another call with the key is running (vendor documentation). So a creation that was answered with 500 can
//!   be answered with it for 24 hours; its row is in doubt as long.
//! - Limits: 25 calls in a second for each endpoint, 20 for the search, 100 in all of a live account (vendor
//!   documentation): 20 in all by default. 429 has no documented header.
//! - Errors: 400, 402 and 404 speak of the row; 401 of the key; 403 names the missing permission (third parties);
//!   409 means that a call with the same idempotency key is running (third parties).
//! - The search is not offered to merchants in India (spec): use `match = "id"`.
//!
//! Not verified: the caps of metadata (50 keys, 40 and 500 characters); that an empty value empties `name`, `email`,
//! `phone`, `description` and the parts of `address` (the spec has it for `metadata` and `tax_exempt`); whether parts of
//! an `address` that are not sent stay (a sync that does not always send all six is warned of); how quotes in a search
//! are escaped (with a backslash here; a refused search rejects its row alone); that a deleted customer is answered with
//! 404; which permission reads the account (without it the account's name is `unknown`); names of permissions other than
//! `rak_customer_write` and `rak_customer_read`. No call tells what a restricted key may do.
//!
//! Not offered: `shipping` (all of it or nothing may be sent), lists, means of payment, balances, coupons, taxes.

mod account;
mod answer;
mod inspect;
mod params;
mod records;
pub mod sandbox;
mod send;
mod sync;
#[cfg(test)]
mod tests;
mod wire;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed, WritePolicy};

/// `type = "stripe"`.
pub static STRIPE: DestinationKind = DestinationKind {
    name: "stripe",
    title: "Stripe",
    summary: "Customers and their metadata, one a call, matched by a metadata key or by id",
    objects: &[Object {
        name: ObjectName::Is(sync::CUSTOMERS),
        modes: &[Mode::Upsert, Mode::Update, Mode::Create],
        removed: &[Removed::Ignore, Removed::Delete, Removed::Clear],
        writes: &[WritePolicy::OnCreate],
        confirm: Some((sync::CONFIRM, "deleting a customer is for good, and cancels its subscriptions at once")),
        instead: &[
            ("audience", "use mode = \"upsert\"; a metadata key can mark the members of an audience"),
            ("archive", "use removed = \"clear\" to empty what was written, or \"ignore\""),
        ],
        ..Object::PLAIN
    }],
    proof: "spec",
    validated: include_str!("validated.txt"),
    errors: &[
        ("email_invalid … (rejects)", "Stripe refuses a parameter of the row: mend the value or the mapping"),
        (
            "idempotency_error",
            "the same customer was created a short while ago with other values: the row is deferred until the search has caught up",
        ),
        ("401, 403", "the key is not good, or lacks the permission \"Customers: Write\""),
        ("429", "waited for"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::StripeAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: sync::json_schema() },
    sandbox: Some(sandbox::kind),
};
