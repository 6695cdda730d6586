//! The crash matrix: every failpoint × every destination × five seeds, on a sync of 10,000 rows. The program is
//! killed there by SIGKILL and run again until it is done, and the judge compares the destination's own journal with
//! the model.
//!
//! The first seed of a world is killed in its first load, the others in a run of some hundred changes. In every other
//! seed the model takes half of them back between the kill and the next run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::failpoints;
use super::kind::Kind;
use super::world::World;
use crate::support::customers::Customers;
use crate::support::dice::Dice;
use crate::support::warehouse::Warehouse;

/// Only cells whose name (`mirror deliver::after_send`) has this text.
const VARIABLE: &str = "BACKHAUL_CRASH";
/// Rows of the model.
const ROWS: i64 = 10_000;
/// Kills in a cell.
const SEEDS: u64 = 5;

/// A model in a warehouse, to be copied.
type Template = (Warehouse, Customers);

/// A destination and a failpoint.
struct Cell {
    kind: Kind,
    failpoint: String,
}

impl Cell {
    fn name(&self) -> String {
        format!("{} {}", self.kind.name(), self.failpoint)
    }
}

/// What became of a cell.
#[derive(Default)]
struct Outcome {
    kills: u64,
    /// The most rows that one kill cost a second write.
    sent_again: u64,
    lost: usize,
    false_removals: usize,
    /// Why it failed.
    failure: Option<String>,
}

#[test]
fn a_kill_at_every_failpoint_loses_nothing_and_removes_nothing_by_mistake() {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    let cells: Vec<Cell> = failpoints::all()
        .into_iter()
        .flat_map(|failpoint| Kind::ALL.map(|kind| Cell { kind, failpoint: failpoint.clone() }))
        .filter(|cell| cell.kind.comes_by(&cell.failpoint) && cell.name().contains(&asked))
        .collect();
    assert!(!cells.is_empty(), "no cell has `{asked}` in its name");
    let template = template();

    let (queue, outcomes) = (Mutex::new(cells.iter().enumerate()), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((place, cell)) = queue.lock().expect("the queue").next() else { return };
                    let outcome = outcome_of(cell, &template);
                    outcomes.lock().expect("the outcomes").push((place, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("the outcomes");
    outcomes.sort_by_key(|(place, _)| *place);
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    // Past the harness's capture: the table is what this test is run for.
    write!(std::io::stderr(), "{}", table(&cells, &outcomes)).expect("a writable stderr");
    let failed: Vec<String> = cells
        .iter()
        .zip(&outcomes)
        .filter_map(|(cell, outcome)| Some((cell.name(), outcome.failure.as_ref()?)))
        .map(|(name, failure)| format!("{name}: {failure}\nagain: {VARIABLE}=\"{name}\" tests/run crash::matrix\n"))
        .collect();
    assert!(failed.is_empty(), "{} of {} cells failed\n{}", failed.len(), cells.len(), failed.join("\n"));
}

fn template() -> Template {
    let (warehouse, mut customers) = (Warehouse::sqlite(), Customers::new(ROWS));
    customers.publish(&warehouse, None);
    (warehouse, customers)
}

fn outcome_of(cell: &Cell, template: &Template) -> Outcome {
    let mut outcome = Outcome::default();
    let played = catch_unwind(AssertUnwindSafe(|| play(cell, template, &mut outcome)));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().cloned();
        outcome.failure =
            Some(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default());
    }
    outcome
}

fn play(cell: &Cell, template: &Template, outcome: &mut Outcome) {
    let Cell { kind, failpoint } = cell;
    let mut world = World::new(*kind, template, failpoints::is_of_held_runs(failpoint));
    let mut again_before = 0;
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let before = world.rows();
        if seed > 0 {
            world.change(&mut dice);
        }
        let (first, later) = kind.passes(failpoint, before.len() as u64);
        let nth = 1 + dice.below(if seed == 0 { first } else { later });
        world.kill(failpoint, nth, &mut dice);
        outcome.kills += 1;
        if seed % 2 == 1 {
            world.take_back(&before, &mut dice);
        }
        world.finish();

        let judgement = world.judge();
        let again = judgement.sent_again - again_before;
        again_before = judgement.sent_again;
        outcome.sent_again = outcome.sent_again.max(again);
        outcome.lost = outcome.lost.max(judgement.lost.len() + judgement.stale.len());
        outcome.false_removals = judgement.false_removals.len();
        judgement.assert_converged();
        let most = kind.most_again(failpoint);
        assert!(again <= most, "seed {seed}: {again} rows were sent again, {most} may be");
    }
    world.assert_at_rest();
}

/// A line for each failpoint, and in it for each destination: kills, most rows sent again, lost, falsely removed.
fn table(cells: &[Cell], outcomes: &[Outcome]) -> String {
    let mut text = format!("\n{:26}", "kills/again/lost/removed");
    Kind::ALL.iter().for_each(|kind| write!(text, " {:>15}", kind.name()).expect("text"));
    let (mut last, mut column) = ("", 0);
    for (cell, outcome) in cells.iter().zip(outcomes) {
        if cell.failpoint != last {
            write!(text, "\n{:26}", cell.failpoint).expect("text");
            (last, column) = (&cell.failpoint, 0);
        }
        let place = Kind::ALL.iter().position(|kind| *kind == cell.kind).expect("a kind");
        write!(text, "{:1$}", "", 16 * (place - column)).expect("text");
        column = place + 1;
        let Outcome { kills, sent_again, lost, false_removals, failure } = outcome;
        let mark = if failure.is_some() { "!" } else { "" };
        write!(text, " {:>15}", format!("{mark}{kills}/{sent_again}/{lost}/{false_removals}")).expect("text");
    }
    text + "\n"
}
