//! When a sync is due. Pure: times come in, times go out.
//!
//! A *slot* is a moment at which the schedule wants a run. The last used slot is recorded before its run starts,
//! so that a restart neither forgets a slot nor uses it twice; slots that passed meanwhile become one run, for one
//! run covers them all. `every` counts from the epoch (`15m` means :00, :15, :30, :45), whatever the time zone
//! does; `cron` is read on the wall clock of its zone: a fixed time that a change to summer time skips comes right
//! after the gap, and one that a change back repeats comes once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Schedule;

/// A recorded slot that lies further ahead than this was recorded by a wrong clock.
const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// What a schedule wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A run, for this slot and all before it.
    Now {
        /// The slot to record.
        slot: Timestamp,
    },
    /// Nothing before this time.
    At(Timestamp),
    /// Nothing by the clock: only by command, or when other syncs finish.
    Unknown,
}

/// The slot to record before anything is due, where there is one: a schedule that is seen for the first time starts
/// to count now (`every` has its first run at once instead), and a slot recorded by a clock that was ahead is
/// replaced, lest the sync stand still until that time comes again.
pub fn anchor(schedule: &Schedule, last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    match (last, schedule) {
        (_, Schedule::Manual) | (None, Schedule::Every(_)) => None,
        (None, _) => Some(now),
        (Some(last), _) => (last.duration_since(now) > MOST_AHEAD).then_some(now),
    }
}

/// What the schedule wants at `now`, after the slot `last` was used. `parents` holds, for each sync that an `after`
/// schedule names, when it last finished well.
pub fn due(schedule: &Schedule, last: Option<Timestamp>, parents: &[Option<Timestamp>], now: Timestamp) -> Due {
    match schedule {
        Schedule::Manual => Due::Unknown,
        Schedule::Every(period) => every(*period, last, now),
        Schedule::Cron { cron, zone } => match last {
            Some(last) => by_cron(cron, zone, last, now),
            None => by_cron(cron, zone, now, now),
        },
        Schedule::After(_) => after(last, parents),
    }
}

fn every(period: Duration, last: Option<Timestamp>, now: Timestamp) -> Due {
    let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
    let slot = now.as_millisecond().div_euclid(period).saturating_mul(period);
    let at = |millis: i64| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    match last {
        Some(last) if last >= at(slot) => {
            let next = last.as_millisecond().div_euclid(period).saturating_add(1).saturating_mul(period);
            Due::At(at(next))
        }
        _ => Due::Now { slot: at(slot) },
    }
}

fn by_cron(cron: &croner::Cron, zone: &jiff::tz::TimeZone, last: Timestamp, now: Timestamp) -> Due {
    let Ok(next) = cron.find_next_occurrence(&last.to_zoned(zone.clone()), false) else { return Due::Unknown };
    let next = next.timestamp();
    if next > now {
        return Due::At(next);
    }
    let latest = cron.find_previous_occurrence(&now.to_zoned(zone.clone()), true);
    let slot = latest.map_or(next, |zoned| zoned.timestamp().max(next));
    Due::Now { slot: slot.min(now) }
}

/// Due when every parent has finished well since the last slot; the slot is when the last of them did.
fn after(last: Option<Timestamp>, parents: &[Option<Timestamp>]) -> Due {
    let Some(finished) = parents.iter().copied().collect::<Option<Vec<Timestamp>>>() else { return Due::Unknown };
    let (Some(first), Some(slot)) = (finished.iter().min(), finished.iter().max()) else { return Due::Unknown };
    if last.is_none_or(|last| *first > last) { Due::Now { slot: *slot } } else { Due::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;
    use std::str::FromStr as _;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn cron(pattern: &str, zone: &str) -> Schedule {
        Schedule::Cron {
            cron: Box::new(croner::Cron::from_str(pattern).expect("a pattern")),
            zone: TimeZone::get(zone).expect("a zone"),
        }
    }

    /// The slots a daemon would use that looks every minute.
    fn slots(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
        let (mut now, mut last, mut used) = (at(from), Some(at(from)), Vec::new());
        while now < at(to) {
            if let Due::Now { slot } = due(schedule, last, &[], now) {
                assert!(slot <= now && last.is_none_or(|last| slot > last));
                used.push(slot.to_string());
                last = Some(slot);
            }
            now += SignedDuration::from_mins(1);
        }
        used
    }

    #[test]
    fn every_counts_from_the_epoch_and_begins_at_once() {
        let schedule = Schedule::Every(Duration::from_secs(900));
        let now = at("2026-11-20T12:07:00Z");
        assert_eq!(anchor(&schedule, None, now), None);
        assert_eq!(due(&schedule, None, &[], now), Due::Now { slot: at("2026-11-20T12:00:00Z") });
        let last = Some(at("2026-11-20T12:00:00Z"));
        assert_eq!(due(&schedule, last, &[], now), Due::At(at("2026-11-20T12:15:00Z")));
        let on_time = at("2026-11-20T12:15:00Z");
        assert_eq!(due(&schedule, last, &[], on_time), Due::Now { slot: on_time });
    }

    #[test]
    fn slots_that_passed_become_one_run() {
        let last = Some(at("2026-11-20T12:00:00Z"));
        let now = at("2026-11-21T12:07:00Z");
        let every = Schedule::Every(Duration::from_secs(900));
        assert_eq!(due(&every, last, &[], now), Due::Now { slot: at("2026-11-21T12:00:00Z") });
        let cron = cron("*/10 * * * *", "UTC");
        assert_eq!(due(&cron, last, &[], now), Due::Now { slot: at("2026-11-21T12:00:00Z") });
    }

    #[test]
    fn a_small_step_back_of_the_clock_doubles_nothing() {
        let schedule = Schedule::Every(Duration::from_secs(900));
        let last = Some(at("2026-11-20T12:15:00Z"));
        let stepped = at("2026-11-20T12:14:30Z");
        assert_eq!(anchor(&schedule, last, stepped), None);
        assert_eq!(due(&schedule, last, &[], stepped), Due::At(at("2026-11-20T12:30:00Z")));
        let daily = cron("15 12 * * *", "UTC");
        assert_eq!(due(&daily, last, &[], stepped), Due::At(at("2026-11-21T12:15:00Z")));
    }

    #[test]
    fn a_clock_that_was_a_day_ahead_does_not_stop_the_sync_for_a_day() {
        let last = Some(at("2026-11-21T12:15:00Z"));
        let now = at("2026-11-20T12:16:00Z");
        for schedule in [Schedule::Every(Duration::from_secs(900)), cron("*/15 * * * *", "UTC")] {
            assert_eq!(anchor(&schedule, last, now), Some(now));
            assert_eq!(due(&schedule, Some(now), &[], now), Due::At(at("2026-11-20T12:30:00Z")));
        }
    }

    #[test]
    fn a_clock_that_steps_a_day_ahead_and_back_costs_one_run_and_no_slot_after_it() {
        let true_time = at("2026-11-20T12:02:00Z");
        for schedule in [Schedule::Every(Duration::from_secs(900)), cron("*/15 * * * *", "Europe/Berlin")] {
            let mut last = Some(at("2026-11-20T12:00:00Z"));
            // A look at the schedule, as the daemon does it: whether a run is started.
            let mut look = |now: Timestamp| {
                last = anchor(&schedule, last, now).or(last);
                let Due::Now { slot } = due(&schedule, last, &[], now) else { return false };
                last = Some(slot);
                true
            };
            let day = SignedDuration::from_hours(24);
            assert!(!look(true_time));
            assert!(look(true_time + day), "slots passed, by the clock");
            assert!(!look(true_time + day));
            assert!(!look(true_time), "no slot of today is used twice");
            assert!(look(at("2026-11-20T12:15:00Z")), "the next slot is not waited for a day");
            assert!(!look(true_time - day));
            assert!(look(at("2026-11-20T12:30:00Z")));
        }
    }

    #[test]
    fn a_new_cron_schedule_waits_for_its_next_time() {
        let schedule = cron("0 3 * * *", "Europe/Berlin");
        let now = at("2026-11-20T12:00:00Z");
        assert_eq!(anchor(&schedule, None, now), Some(now));
        assert_eq!(due(&schedule, None, &[], now), Due::At(at("2026-11-21T02:00:00Z")));
    }

    #[test]
    fn a_time_that_summer_time_skips_comes_right_after_the_gap() {
        // Berlin, 2026-03-29: 02:00 becomes 03:00.
        let used = slots(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z");
        assert_eq!(
            used,
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_winter_time_repeats_comes_once() {
        // Berlin, 2026-10-25: 03:00 becomes 02:00.
        let used = slots(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00:00Z", "2026-10-27T12:00:00Z");
        assert_eq!(used, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]);
    }

    #[test]
    fn an_interval_goes_on_evenly_through_both_changes() {
        let expected = |from: &str| -> Vec<String> {
            (1..=12).map(|n| (at(from) + SignedDuration::from_mins(30 * n)).to_string()).collect()
        };
        for (from, to) in
            [("2026-03-28T22:00:00Z", "2026-03-29T04:30:00Z"), ("2026-10-24T22:00:00Z", "2026-10-25T04:30:00Z")]
        {
            let every = Schedule::Every(Duration::from_secs(1800));
            assert_eq!(slots(&every, from, to), expected(from), "every");
            assert_eq!(slots(&cron("*/30 * * * *", "Europe/Berlin"), from, to), expected(from), "cron");
        }
    }

    #[test]
    fn a_child_runs_once_all_its_parents_have_finished_anew() {
        let schedule = Schedule::After(vec!["a".into(), "b".into()]);
        let (one, two, three) = (at("2026-11-20T01:00:00Z"), at("2026-11-20T02:00:00Z"), at("2026-11-20T03:00:00Z"));
        let wants = |last, parents: &[Option<Timestamp>]| due(&schedule, last, parents, at("2026-11-20T12:00:00Z"));
        assert_eq!(wants(Some(one), &[Some(two), None]), Due::Unknown);
        assert_eq!(wants(Some(one), &[Some(two), Some(three)]), Due::Now { slot: three });
        assert_eq!(wants(Some(three), &[Some(two), Some(three)]), Due::Unknown);
        assert_eq!(wants(Some(two), &[Some(two), Some(three)]), Due::Unknown);
        assert_eq!(anchor(&schedule, None, one), Some(one));
    }

    proptest! {
        /// Whatever the clock does within an hour's step, no slot is used twice.
        #[test]
        fn no_slot_is_used_twice(steps in prop::collection::vec(-3000i64..6000, 1..200), period in 1u64..7200) {
            let schedule = Schedule::Every(Duration::from_secs(period));
            let (mut now, mut last): (Timestamp, Option<Timestamp>) = (at("2026-11-20T12:00:00Z"), None);
            for step in steps {
                now += SignedDuration::from_secs(step);
                if anchor(&schedule, last, now).is_some() {
                    break;
                }
                match due(&schedule, last, &[], now) {
                    Due::Now { slot } => {
                        prop_assert!(slot <= now && last.is_none_or(|last| slot > last));
                        last = Some(slot);
                    }
                    Due::At(next) => prop_assert!(next > now),
                    Due::Unknown => prop_assert!(false),
                }
            }
        }
    }
}
