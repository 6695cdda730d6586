//! What of its quota a delivery uses, at every vendor's stand-in, which judges it: virtual time, real sockets.
//!
//! The vendor's real limit holds on both sides: the stand-in refuses whatever is beyond it, in windows that roll and in
//! windows that begin anew, and the account keeps to the vendor's own (`quota` is written). The delivery is the engine's,
//! from its ops on: batches, calls in flight, jobs that are asked after. The clock of the one thread on which all runs is
//! paused: it goes on where everyone waits for it, so that hours pass in seconds and no result depends on how quick the
//! machine is. Every answer takes 50 ms of that time; what else a real network does to calls on their way is not in it.
//!
//! Calls of one row are as many as 20 windows need; `BACKHAUL_QUOTA=full` has them take 100,000 rows, too.

use serde_json::Value as Json;

use super::bench::{Bench, Delivery, is_full, rows};
use super::vendors::{DATA_MANAGER, HTTP, HUBSPOT, META, MIXPANEL, STRIPE, ZENDESK, ZENDESK_ORGANIZATIONS};

/// Windows that a delivery lasts at least, besides the last one.
const WINDOWS: usize = 20;
/// The share of the quota that has to be used.
const SHARE: f64 = 0.98;

#[tokio::test(start_paused = true)]
async fn hubspot_100_calls_in_10_seconds() {
    is_used_and_kept(Delivery::of(HUBSPOT, 100_000, 45), 100, "10s").await;
}

#[tokio::test(start_paused = true)]
async fn stripe_20_calls_a_second() {
    is_used_and_kept(Delivery::of(STRIPE, rows(300), 1), 20, "1s").await;
}

#[tokio::test(start_paused = true)]
async fn zendesk_200_calls_a_minute_for_calls_of_one_row() {
    is_used_and_kept(Delivery::of(ZENDESK_ORGANIZATIONS, rows(4300), 1), 200, "1m").await;
}

#[tokio::test(start_paused = true)]
async fn zendesk_200_calls_a_minute_for_jobs_and_what_becomes_of_them() {
    is_used_and_kept(Delivery::of(ZENDESK, 100_000, 45), 200, "1m").await;
}

#[tokio::test(start_paused = true)]
async fn google_data_manager_300_calls_a_minute() {
    is_used_and_kept(Delivery::of(DATA_MANAGER, 100_000, 31), 300, "1m").await;
}

#[tokio::test(start_paused = true)]
async fn any_http_api_the_limits_that_the_operator_gives() {
    is_used_and_kept(Delivery::of(HTTP, 100_000, 45), 100, "10s").await;
}

#[tokio::test(start_paused = true)]
async fn mixpanel_900_calls_a_minute() {
    is_used_and_kept(Delivery::of(MIXPANEL, rows(19_500), 1), 900, "1m").await;
}

/// Meta tells how many percent of the last hour's calls are used, and not how many calls that are: 5000 is what an account
/// has at least, of which a tenth stands for calls that take more.
#[tokio::test(start_paused = true)]
async fn meta_an_hour_of_which_whole_percents_are_told() {
    let (batch, cap) = if is_full() { (1, 5000) } else { (9, 500) };
    is_used_and_kept(Delivery::of(META, 100_000, batch), cap, "1h").await;
}

#[tokio::test(start_paused = true)]
async fn meta_half_of_such_an_hour() {
    let (batch, cap) = if is_full() { (1, 5000) } else { (18, 500) };
    is_used_and_kept(Delivery { quota: 50, ..Delivery::of(META, 100_000, batch) }, cap, "1h").await;
}

/// A delivery over at least [`WINDOWS`] windows, once in each kind of window.
async fn is_used_and_kept(delivery: Delivery, cap: usize, length: &str) {
    for window in ["rolling", "fixed"] {
        let limit = format!("{cap}/{length}");
        let bench = Bench::new(delivery, &[("latency", "50"), ("limit", &limit), ("window", window)]).await;
        let (delivered, took) = bench.deliver().await;
        let usage = bench.usage().await;
        let used = let_through(&usage);
        let (_, whole) = used.split_last().expect("a window");
        let ours = (cap as u64 * delivery.quota) as f64 / 100.0;
        let share = whole.iter().sum::<u64>() as f64 / (ours * whole.len() as f64);
        let least = whole.iter().min().copied().unwrap_or_default();
        let most = whole.iter().max().copied().unwrap_or_default();
        let (kind, quota, rows, windows) = (delivery.vendor.kind, delivery.quota, delivery.rows, whole.len());
        let what = format!(
            "{kind} {quota}% of {limit} {window}: {rows} rows, {} calls, {} refused, {:.0} s, {windows} windows, \
             {share:.4} used, {least} to {most} in a window",
            usage["let_through"],
            usage["refused"],
            took.as_secs_f64()
        );
        eprintln!("{what}");
        assert_eq!(delivered.counts.accepted, delivery.rows, "{what}: {delivered:?}");
        assert_eq!(usage["refused"], 0, "{what}");
        assert!(whole.len() >= WINDOWS, "{what}");
        assert!(share >= SHARE && least >= (ours * SHARE) as u64 && most as f64 <= ours, "{what}: {used:?}");
    }
}

/// The calls of each window that the stand-in let through.
fn let_through(usage: &Json) -> Vec<u64> {
    let windows = usage["windows"].as_array().expect("windows");
    windows.iter().map(|window| window["let_through"].as_u64().expect("a number")).collect()
}
