//! What is held, and what is not.

use super::*;
use crate::diff::CauseCounts;

fn guards() -> Guards {
    Guards {
        min_rows: None,
        max_rows: None,
        max_added: None,
        max_changed: None,
        max_removed: Threshold::Percent { fraction: 0.2, beyond: 100 },
        max_removed_per_day: None,
        max_withdrawn: Threshold::Percent { fraction: 0.1, beyond: 100 },
        max_rejected: Threshold::Percent { fraction: 0.5, beyond: 100 },
        first_run_max: 10_000,
        on_remap: OnRemap::Hold,
        key_shift: OnKeyShift::Hold,
        canary: None,
        canary_max_rejects: 0.01,
        fields: Vec::new(),
    }
}

fn codes(counts: &PlanCounts, accepted: u64, change: impl Fn(&mut Case<'_>, &mut Guards)) -> Vec<String> {
    let mut own = guards();
    let base = guards();
    let mut case = Case {
        of_part: false,
        counts,
        accepted,
        removed_lately: 0,
        stand_in: false,
        remap: false,
        guards: &base,
        raised: &[],
        yes: false,
    };
    change(&mut case, &mut own);
    let case = Case { guards: &own, ..case };
    judge(&case).into_iter().map(|h| h.code).collect()
}

#[test]
fn removals_are_held_above_the_share_and_only_beyond_the_count() {
    let counts = |removed| PlanCounts { rows: 900, removed, ..PlanCounts::default() };
    assert!(codes(&counts(100), 400, |_, _| ()).is_empty(), "25 %, but not beyond 100 rows");
    assert_eq!(codes(&counts(101), 400, |_, _| ()), ["max_removed"]);
    assert!(codes(&counts(200), 1000, |_, _| ()).is_empty(), "exactly 20 %");
    assert_eq!(codes(&counts(201), 1000, |_, _| ()), ["max_removed"]);
}

#[test]
fn people_who_may_not_be_sent_have_a_limit_of_their_own_and_those_held_out_none() {
    let counts = |withdrawn, suppressed, held_out, left| PlanCounts {
        rows: 900,
        removed: withdrawn + suppressed + held_out + left,
        removed_for: CauseCounts { withdrawn, suppressed, held_out, erased: 0 },
        ..PlanCounts::default()
    };
    assert!(codes(&counts(60, 40, 900, 100), 1000, |_, _| ()).is_empty(), "exactly 10 %, and all the others");
    assert!(codes(&counts(60, 40, 0, 0), 100, |_, _| ()).is_empty(), "not beyond 100 rows");
    assert_eq!(codes(&counts(60, 41, 0, 0), 1000, |_, _| ()), ["max_withdrawn"]);
    assert_eq!(codes(&counts(0, 0, 0, 201), 1000, |_, _| ()), ["max_removed"]);
    let of_a_day = |case: &mut Case<'_>, _: &mut Guards| case.removed_lately = 150;
    assert!(codes(&counts(40, 40, 500, 0), 1000, of_a_day).is_empty(), "none of them left the model");
}

#[test]
fn an_empty_model_is_held_once_anything_was_accepted() {
    let counts = PlanCounts::default();
    assert!(codes(&counts, 0, |_, _| ()).is_empty());
    assert_eq!(codes(&counts, 1, |_, _| ()), ["empty_model"]);
}

#[test]
fn a_large_first_run_waits_for_a_yes_on_a_live_account_only() {
    let counts = PlanCounts { rows: 10_001, added: 10_001, ..PlanCounts::default() };
    assert_eq!(codes(&counts, 0, |_, _| ()), ["first_run_max"]);
    assert!(codes(&counts, 0, |case, _| case.yes = true).is_empty());
    assert!(codes(&counts, 0, |case, _| case.stand_in = true).is_empty());
    assert!(codes(&counts, 0, |_, guards| guards.first_run_max = 10_001).is_empty());
    assert!(codes(&counts, 5, |_, _| ()).is_empty(), "not the first run");
}

#[test]
fn rows_that_wait_for_rows_of_the_plan_are_judged_with_them() {
    let counts = PlanCounts { rows: 30_000, added: 6_000, waiting: 20_000, next_wave: 5_000, ..PlanCounts::default() };
    assert_eq!(codes(&counts, 0, |_, _| ()), ["first_run_max"]);
    let cap = |n| move |_: &mut Case<'_>, guards: &mut Guards| guards.max_added = Some(Threshold::Count(n));
    assert_eq!(codes(&counts, 9_000, cap(10_999)), ["max_added"]);
    assert!(codes(&counts, 9_000, cap(11_000)).is_empty());
}

#[test]
fn a_mapping_change_is_held_unless_told_otherwise() {
    let counts = PlanCounts { rows: 10, changed: 10, ..PlanCounts::default() };
    assert_eq!(codes(&counts, 10, |case, _| case.remap = true), ["remap"]);
    let full = |case: &mut Case<'_>, guards: &mut Guards| {
        case.remap = true;
        guards.on_remap = OnRemap::Full;
    };
    assert!(codes(&counts, 10, full).is_empty());
}

#[test]
fn repeats_of_doubtful_rows_are_not_changes() {
    let counts = PlanCounts { rows: 50, changed: 30, repeats: 25, ..PlanCounts::default() };
    let cap = |n| move |_: &mut Case<'_>, guards: &mut Guards| guards.max_changed = Some(Threshold::Count(n));
    assert!(codes(&counts, 50, cap(5)).is_empty());
    assert_eq!(codes(&counts, 50, cap(4)), ["max_changed"]);
}

#[test]
fn row_counts_are_bounds_on_the_model() {
    let counts = PlanCounts { rows: 50, ..PlanCounts::default() };
    assert_eq!(codes(&counts, 50, |_, g| g.min_rows = Some(51)), ["min_rows"]);
    assert_eq!(codes(&counts, 50, |_, g| g.max_rows = Some(49)), ["max_rows"]);
}

#[test]
fn removals_of_a_day_add_up() {
    let counts = |removed| PlanCounts { rows: 900, removed, ..PlanCounts::default() };
    let lately = |removed| move |case: &mut Case<'_>, _: &mut Guards| case.removed_lately = removed;
    // 150 now and 90 before, of 1,090 that there were.
    assert_eq!(codes(&counts(150), 1000, lately(90)), ["max_removed_per_day"]);
    assert!(codes(&counts(150), 1000, lately(60)).is_empty(), "210 of 1,060 are less than 20 %");
    assert!(codes(&counts(0), 1000, lately(900)).is_empty(), "this plan removes nothing");
    let own = |case: &mut Case<'_>, guards: &mut Guards| {
        case.removed_lately = 90;
        guards.max_removed_per_day = Some(Threshold::Count(240));
    };
    assert!(codes(&counts(150), 1000, own).is_empty());
    assert_eq!(codes(&counts(151), 1000, own), ["max_removed_per_day"]);
}

#[test]
fn a_limit_of_a_day_holds_a_single_plan_too() {
    let counts = PlanCounts { rows: 900, removed: 11, ..PlanCounts::default() };
    let own = |_: &mut Case<'_>, guards: &mut Guards| guards.max_removed_per_day = Some(Threshold::Count(10));
    assert_eq!(codes(&counts, 1000, own), ["max_removed_per_day"]);
}

#[test]
fn a_raised_limit_lets_more_pass_and_no_more_than_that() {
    let counts = |removed| PlanCounts { rows: 700, removed, ..PlanCounts::default() };
    let raised = [Raised { limit: "max_removed".into(), to: Threshold::Percent { fraction: 0.3, beyond: 20 } }];
    let held = |removed, lately| {
        let guards = guards();
        let counts = counts(removed);
        let case = Case {
            of_part: false,
            counts: &counts,
            accepted: 1000,
            removed_lately: lately,
            stand_in: false,
            remap: false,
            guards: &guards,
            raised: &raised,
            yes: false,
        };
        judge(&case)
    };
    assert_eq!(held(300, 0), []);
    assert_eq!(held(200, 100), [], "the limit of a day is raised with that of a plan");
    let over = held(301, 0);
    assert_eq!(over.len(), 1);
    assert!(over[0].text.ends_with("above max_removed = 20% beyond 100 (raised to 30% beyond 20)"), "{}", over[0].text);
}

#[test]
fn a_shift_of_keys_is_told_from_growth_and_from_removals() {
    let counts = |new_keys, left| PlanCounts { rows: 1000, new_keys, left, ..PlanCounts::default() };
    assert_eq!(codes(&counts(1000, 900), 900, |_, _| ()), ["key_shift"]);
    assert_eq!(codes(&counts(501, 451), 900, |_, _| ()), ["key_shift"]);
    assert!(codes(&counts(500, 900), 900, |_, _| ()).is_empty(), "half of the model is old");
    assert!(codes(&counts(1000, 450), 900, |_, _| ()).is_empty(), "half of the old keys are there");
    let few = PlanCounts { rows: 20, new_keys: 20, left: 20, ..PlanCounts::default() };
    assert!(codes(&few, 20, |_, _| ()).is_empty(), "too few to tell");
    assert!(codes(&counts(1000, 900), 900, |_, guards| guards.key_shift = OnKeyShift::Send).is_empty());
}

#[test]
fn only_limits_of_removals_are_about_removals() {
    let about = |code| Hold::new(code, String::new()).is_about_removals();
    assert!(about("max_removed") && about("max_removed_per_day"));
    assert!(!about("empty_model") && !about("key_shift") && !about("max_changed"));
}
