//! Destinations that push back for long, on a clock that the test sets.

use std::time::Duration;

use backhaul_kit::{Batch, Fault, Operation, Outcomes, Reason, Verdict};

use super::machine::Table;
use super::{facts, op};
use crate::snapshot::log::Fate;
use backhaul_kit::{Delivery, Facts};

const SECOND: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(100);

/// Answers every call that is out after [`LATENCY`]; gives how many there were.
fn answer_all(table: &mut Table, answer: impl Fn(&Batch, Duration) -> Result<Delivery, Fault>) -> usize {
    let batches = std::mem::take(&mut table.sent);
    table.now += LATENCY;
    let count = batches.len();
    for batch in batches {
        let verdict = answer(&batch, table.now);
        table.answer(batch, verdict);
    }
    count
}

#[test]
fn ten_minutes_of_429_see_one_probe_a_window_and_then_a_ramp() {
    const STORM: Duration = Duration::from_secs(600);
    for asked in [None, Some(SECOND), Some(30 * SECOND)] {
        let facts = Facts { concurrency: 8, ..facts() };
        let mut table = Table::new(Operation::Upsert, &facts, (0..1_000).map(op));
        let (mut rounds, mut after) = (Vec::new(), Vec::new());
        while !table.done {
            if table.sent.is_empty() {
                table.wait();
                continue;
            }
            let stormy = table.now < STORM;
            let calls = answer_all(&mut table, |batch, now| match now <= STORM + LATENCY {
                true if stormy => Err(Fault::throttled("slow down", asked)),
                _ => Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Unchanged))),
            });
            if stormy { rounds.push((table.now, calls)) } else { after.push(calls) }
        }
        let total: usize = rounds.iter().map(|(_, calls)| calls).sum();
        println!("429 for 10 min, Retry-After {asked:?}: {total} calls in the storm, then in flight {after:?}");
        assert_eq!(rounds[0].1, 8, "all workers find out together");
        assert!(rounds[1..].iter().all(|(_, calls)| *calls == 1), "one probe a window: {rounds:?}");
        let least = asked.unwrap_or_default();
        assert!(rounds.windows(2).all(|pair| pair[1].0 - pair[0].0 >= least), "{rounds:?}");
        assert!(rounds.len() <= 25, "{} probes", rounds.len());
        assert_eq!(after[..3], [1, 2, 4], "it opens step by step");
        assert!(table.fates().iter().all(|(_, fate)| *fate == Fate::Accepted), "no row is given up");
        assert_eq!(table.fates().len(), 1_000);
    }
}

#[test]
fn a_destination_that_fails_half_of_its_calls_is_not_pressed_without_end() {
    let facts = Facts { concurrency: 4, ..facts() };
    let mut table = Table::new(Operation::Upsert, &facts, (0..10_000).map(op));
    let mut sent = 0;
    while !table.done {
        if table.sent.is_empty() {
            table.wait();
            continue;
        }
        sent += table.sent.iter().map(|batch| batch.rows.len()).sum::<usize>();
        // Nine rows of ten are not taken, whenever they come.
        answer_all(&mut table, |batch, _| {
            let mut outcomes = Outcomes::of(batch);
            for row in &batch.rows {
                let verdict = if row.op % 10 == 0 { Verdict::Unchanged } else { Verdict::Retry(None) };
                outcomes.set(row.op, verdict)?;
            }
            Ok(Delivery::Settled(outcomes))
        });
    }
    // Five attempts of 9,000 rows would be 46,000.
    assert!(sent <= 10_000 + 10_000 / 2 + 200, "{sent} rows were sent");
    assert_eq!(table.fates().len(), 10_000);
}

#[test]
fn poison_rows_of_a_large_batch_are_found_within_the_bound() {
    const ROWS: u64 = 1_000;
    for poison in [vec![0], vec![17, 500, 999], (0..10).map(|n| n * 100 + 7).collect::<Vec<u64>>()] {
        let facts = Facts { max_rows: 1_000, concurrency: 1, ..facts() };
        let mut table = Table::new(Operation::Upsert, &facts, (0..ROWS).map(op));
        let mut calls = 0;
        while !table.done {
            if table.sent.is_empty() {
                table.wait();
                continue;
            }
            calls += answer_all(&mut table, |batch, _| {
                if !batch.rows.iter().any(|row| poison.contains(&row.op)) {
                    return Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Unchanged)));
                }
                if batch.rows.len() > 1 {
                    return Err(Fault::split("one of them is bad"));
                }
                Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Rejected(Reason::new("BAD", "bad")))))
            });
        }
        let bound = 2 * poison.len() * 10 + 1;
        assert!(calls <= bound, "{calls} calls for {} bad rows, at most {bound}", poison.len());
        let rejected: Vec<u64> =
            table.fates().into_iter().filter(|(_, fate)| *fate == Fate::Rejected).map(|(op, _)| op).collect();
        let mut sorted = rejected.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, poison);
        assert_eq!(table.fates().len() as u64, ROWS);
    }
}
