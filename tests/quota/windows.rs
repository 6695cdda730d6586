//! What of its quota a delivery uses, at every vendor's stand-in, which judges it: virtual time, real sockets.
//!
//! The vendor's real limit holds on both sides: the stand-in refuses whatever is beyond it, in windows that roll and in
//! windows that begin anew, and the account keeps to the vendor's own (`quota` is written). The delivery is the engine's,
//! from its ops on: batches, calls in flight, jobs that are asked after. The clock of the one thread on which all runs is
//! paused: it goes on where everyone waits for it, so that hours pass in seconds and no result depends on how quick the
//! machine is. Every answer takes 50 ms of that time; what else a real network does to calls on their way is not in it.
//!
//! Calls of one row are as many as 20 windows need; `BACKHAUL_QUOTA=full` has them take 100,000 rows, too.

use backhaul_kit::Operation;
use serde_json::Value as Json;

use super::bench::{Bench, Delivery, rows};

/// Windows that a delivery lasts at least, besides the last one.
const WINDOWS: usize = 20;
/// The share of the quota that has to be used.
const SHARE: f64 = 0.98;

#[tokio::test(start_paused = true)]
async fn hubspot_100_calls_in_10_seconds() {
    let contacts = Delivery {
        kind: "hubspot",
        stand_in: ("hubspot", &[("properties", "contacts.customer_id:string:unique"), ("latency", "50")]),
        account: "token = { file = \"secret\" }",
        sync: "[into]\nobject = \"contacts\"\nmode = \"upsert\"\nmatch = \"customer_id\"\n\
               [fields]\ncustomer_id = \"id\"\nemail = \"email\"\n",
        operation: Operation::Upsert,
        rows: 100_000,
        batch: 45,
    };
    is_used_and_kept(contacts, 100, "10s").await;
}

#[tokio::test(start_paused = true)]
async fn stripe_20_calls_a_second() {
    let customers = Delivery {
        kind: "stripe",
        stand_in: ("stripe", &[("latency", "50")]),
        account: "key = { file = \"secret\" }",
        sync: "[into]\nobject = \"customers\"\nmode = \"upsert\"\n\
               [fields]\n\"metadata.customer_id\" = \"id\"\nemail = \"email\"\n",
        operation: Operation::Upsert,
        rows: rows(300),
        batch: 1,
    };
    is_used_and_kept(customers, 20, "1s").await;
}

#[tokio::test(start_paused = true)]
async fn zendesk_200_calls_a_minute_for_calls_of_one_row() {
    let organizations = Delivery {
        sync: "[into]\nobject = \"organizations\"\nmode = \"upsert\"\nmatch = \"external_id\"\n\
               [fields]\nexternal_id = \"id\"\nname = \"name\"\n",
        rows: rows(4300),
        batch: 1,
        ..USERS
    };
    is_used_and_kept(organizations, 200, "1m").await;
}

#[tokio::test(start_paused = true)]
async fn zendesk_200_calls_a_minute_for_jobs_and_what_becomes_of_them() {
    is_used_and_kept(USERS, 200, "1m").await;
}

const USERS: Delivery = Delivery {
    kind: "zendesk",
    stand_in: ("zendesk", &[("latency", "50")]),
    account: "subdomain = \"acme\"\ntoken = { file = \"secret\" }",
    sync: "[into]\nobject = \"users\"\nmode = \"upsert\"\nmatch = \"external_id\"\n\
           [fields]\nexternal_id = \"id\"\nname = \"name\"\nemail = \"email\"\n",
    operation: Operation::Upsert,
    rows: 100_000,
    batch: 45,
};

#[tokio::test(start_paused = true)]
async fn google_data_manager_300_calls_a_minute() {
    let members = Delivery {
        kind: "google-data-manager",
        stand_in: ("google-data-manager", &[("latency", "50")]),
        account: "service_account = { file = \"secret\" }\naccount = \"111-222-3333\"\n\
                  customer_match_terms = \"accepted\"",
        sync: "[into]\naudience = \"987\"\nmode = \"audience\"\n\
               [fields]\nemail = \"email\"\n\
               [consent]\nad_user_data = { column = \"ads\", granted = [\"yes\"] }\n\
               ad_personalization = { column = \"ads\", granted = [\"yes\"] }\n",
        operation: Operation::AudienceAdd,
        rows: 100_000,
        batch: 31,
    };
    is_used_and_kept(members, 300, "1m").await;
}

#[tokio::test(start_paused = true)]
async fn any_http_api_the_limits_that_the_operator_gives() {
    let rows = Delivery {
        kind: "http",
        // Some API that says nothing of its limit in a way that the destination knows.
        stand_in: ("hubspot", &[("properties", "contacts.customer_id:string:unique"), ("latency", "50")]),
        account: "token = { file = \"secret\" }\nlimits = [{ cap = 100, per = \"10s\" }]",
        sync: "[into]\nmode = \"upsert\"\n[into.request]\nurl = \"/crm/v3/objects/contacts/batch/upsert\"\n\
               batch_size = 100\nsuccess = { evidence = \"call\", statuses = [200] }\nresend_safe = true\nbody = '''\n\
               {\"inputs\": [{% for row in rows %}{\"idProperty\": \"customer_id\", \"id\": {{ row.fields.customer_id }},\n\
               \"properties\": {\"customer_id\": {{ row.fields.customer_id }}, \"email\": {{ row.fields.email }}}}\n\
               {% if not loop.last %},{% endif %}{% endfor %}]}'''\n\
               [fields]\ncustomer_id = \"id\"\nemail = \"email\"\n",
        operation: Operation::Upsert,
        rows: 100_000,
        batch: 45,
    };
    is_used_and_kept(rows, 100, "10s").await;
}

#[tokio::test(start_paused = true)]
async fn mixpanel_900_calls_a_minute() {
    let profiles = Delivery {
        kind: "mixpanel",
        stand_in: ("mixpanel", &[("latency", "50")]),
        account: "region = \"eu\"\ntoken = { file = \"secret\" }",
        sync: "[into]\nobject = \"profiles\"\nmode = \"upsert\"\nmatch = \"$distinct_id\"\n\
               [fields]\n\"$distinct_id\" = \"id\"\n\"$email\" = \"email\"\n",
        operation: Operation::Upsert,
        rows: rows(19_500),
        batch: 1,
    };
    is_used_and_kept(profiles, 900, "1m").await;
}

/// A delivery over at least [`WINDOWS`] windows, once in each kind of window.
async fn is_used_and_kept(delivery: Delivery, cap: usize, length: &str) {
    for window in ["rolling", "fixed"] {
        let limit = format!("{cap}/{length}");
        let bench = Bench::new(delivery, &[("limit", &limit), ("window", window)]).await;
        let (delivered, took) = bench.deliver().await;
        let usage = bench.usage().await;
        let used = let_through(&usage);
        let (_, whole) = used.split_last().expect("a window");
        let share = whole.iter().sum::<u64>() as f64 / (cap * whole.len()) as f64;
        let least = whole.iter().min().copied().unwrap_or_default();
        let (kind, rows, windows) = (delivery.kind, delivery.rows, whole.len());
        let what = format!(
            "{kind} {limit} {window}: {rows} rows, {} calls, {} refused, {:.0} s, {windows} windows, {share:.4} used, \
             {least} in the least",
            usage["let_through"],
            usage["refused"],
            took.as_secs_f64()
        );
        eprintln!("{what}");
        assert_eq!(delivered.counts.accepted, delivery.rows, "{what}: {delivered:?}");
        assert_eq!(usage["refused"], 0, "{what}");
        assert!(whole.len() >= WINDOWS, "{what}");
        assert!(share >= SHARE && least >= (cap as f64 * SHARE) as u64, "{what}: {used:?}");
    }
}

/// The calls of each window that the stand-in let through.
fn let_through(usage: &Json) -> Vec<u64> {
    let windows = usage["windows"].as_array().expect("windows");
    windows.iter().map(|window| window["let_through"].as_u64().expect("a number")).collect()
}
