//! The whole life of a sync, simulated: a model that changes, plans, deliveries, power cuts, settling. Plans, logs and
//! snapshots are the real files; clock, destination and what a power cut leaves of the files are simulated.
//!
//! | file | its one job |
//! |---|---|
//! | `model` | rows that change from version to version |
//! | `sink` | the destination: what it has, what it answers |
//! | `disk` | the log, and what a power cut leaves of it |
//! | `process` | one process that delivers a plan, to its end or to a power cut |
//! | `world` | all of it, round after round, and what must be true |
//!
//! A seed is one life. `BACKHAUL_SEED=n` plays that one, `BACKHAUL_SEEDS=n` the first n.

mod disk;
mod model;
mod process;
mod sink;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Lives in a run of all tests.
const SEEDS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Plays these lives on all cores; gives the seeds of those that failed.
fn play(seeds: std::ops::Range<u64>) -> Vec<u64> {
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let play_on = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return failed;
            }
            if catch_unwind(AssertUnwindSafe(|| World::new(seed).play())).is_err() {
                failed.push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..workers).map(|_| scope.spawn(play_on)).collect();
        working.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    })
}

#[test]
fn whatever_fails_in_whichever_life_the_destination_ends_as_the_model() {
    let seeds = match number("BACKHAUL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BACKHAUL_SEEDS").unwrap_or(SEEDS),
    };
    let failed = play(seeds);
    let again: Vec<String> =
        failed.iter().take(5).map(|seed| format!("BACKHAUL_SEED={seed} cargo test --lib whichever_life")).collect();
    assert!(failed.is_empty(), "{} lives failed; again:\n{}", failed.len(), again.join("\n"));
}

#[test]
fn a_seed_is_the_same_life_every_time() {
    let journals = [7, 7, 8].map(|seed| World::new(seed).play());
    assert!(journals[0].len() > 20, "{:?}", journals[0]);
    assert_eq!(journals[0], journals[1]);
    assert_ne!(journals[0], journals[2]);
}
