//! `max_step` and `max_step_per`: how far values may move from those that were accepted.

use std::time::Duration;

use super::fields::number;
use super::{Hold, rows};
use crate::config::FieldGuard;
use crate::diff::Op;
use crate::snapshot::values::Past;

/// The guarded fields whose values are compared, and how many were found to move too far.
pub struct Steps<'a> {
    fields: Vec<Stepping<'a>>,
    /// In microseconds since 1970.
    now: i64,
}

struct Stepping<'a> {
    guard: &'a FieldGuard,
    place: usize,
    too_far: u64,
    drifted: u64,
}

impl<'a> Steps<'a> {
    /// Of these guards; `targets` are the mapped fields in the order of the ops' values, `now` is in microseconds
    /// since 1970. `None` where nothing is compared.
    pub fn new(guards: &'a [FieldGuard], targets: &[&str], now: i64) -> Option<Self> {
        let stepping = |guard: &'a FieldGuard| {
            let place = targets.iter().position(|target| *target == guard.field)?;
            Some(Stepping { guard, place, too_far: 0, drifted: 0 })
        };
        let fields: Vec<_> = guards.iter().filter(|guard| guard.compares()).filter_map(stepping).collect();
        (!fields.is_empty()).then_some(Self { fields, now })
    }

    /// The names of the fields.
    pub fn fields(&self) -> Vec<&'a str> {
        self.fields.iter().map(|field| field.guard.field.as_str()).collect()
    }

    /// The numbers that an op sets the fields to.
    pub fn values(&self, op: &Op) -> Vec<Option<f64>> {
        let value =
            |field: &Stepping<'_>| op.fields.get(field.place).and_then(number).filter(|value| value.is_finite());
        self.fields.iter().map(value).collect()
    }

    /// Looks at the new values of a key, and at what is known of it.
    pub fn look(&mut self, values: &[Option<f64>], past: &[Option<Past>]) {
        let now = self.now;
        for ((field, value), past) in self.fields.iter_mut().zip(values).zip(past) {
            let (Some(value), Some(past)) = (*value, *past) else { continue };
            field.too_far += u64::from(field.guard.max_step.is_some_and(|step| step.is_exceeded(past.last, value)));
            let drifts = field.guard.max_step_per.is_some_and(|(step, window)| {
                let start = if is_over(past, window, now) { past.last } else { past.start };
                step.is_exceeded(start, value)
            });
            field.drifted += u64::from(drifts);
        }
    }

    /// What is known of the field at `place` once `value` is accepted: the first change after a window's end begins
    /// the next one.
    pub fn next(&self, place: usize, past: Option<Past>, value: f64) -> Past {
        let window = self.fields.get(place).and_then(|field| field.guard.max_step_per).map(|(_, window)| window);
        match past {
            None => Past { last: value, start: value, since: self.now },
            Some(past) if window.is_none_or(|window| is_over(past, window, self.now)) => {
                Past { last: value, start: past.last, since: self.now }
            }
            Some(past) => Past { last: value, ..past },
        }
    }

    /// The reasons to hold the plan.
    pub fn holds(&self) -> Vec<Hold> {
        self.fields.iter().flat_map(Stepping::holds).collect()
    }
}

impl Stepping<'_> {
    fn holds(&self) -> Vec<Hold> {
        let field = &self.guard.field;
        let too_far = self.guard.max_step.filter(|_| self.too_far > 0).map(|step| {
            let text = format!("{} would move `{field}` by more than max_step = {step}", rows(self.too_far));
            Hold::new("max_step", text)
        });
        let drifted = self.guard.max_step_per.filter(|_| self.drifted > 0).map(|(step, window)| {
            let window = jiff::SignedDuration::try_from(window).unwrap_or(jiff::SignedDuration::MAX);
            let text = format!(
                "{} would move `{field}` by more than max_step_per = {step} in {window:#} with the runs before",
                rows(self.drifted)
            );
            Hold::new("max_step_per", text)
        });
        too_far.into_iter().chain(drifted).collect()
    }
}

fn is_over(past: Past, window: Duration, now: i64) -> bool {
    i64::try_from(window.as_micros()).is_ok_and(|window| now.saturating_sub(past.since) >= window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Step;

    const HOUR: i64 = 3_600_000_000;

    fn guard() -> FieldGuard {
        FieldGuard {
            field: "bid".into(),
            floor: None,
            ceiling: None,
            max_step: Some(Step::Share(0.1)),
            max_step_per: Some((Step::Share(0.2), Duration::from_secs(24 * 3600))),
        }
    }

    /// Codes of the reasons to hold a plan that sets one bid, `hours` after 1970, and what is known after it.
    fn set(past: Option<Past>, value: f64, hours: i64) -> (Vec<String>, Past) {
        let guards = [guard()];
        let mut steps = Steps::new(&guards, &["name", "bid"], hours * HOUR).expect("a field that is compared");
        steps.look(&[Some(value)], &[past]);
        (steps.holds().into_iter().map(|hold| hold.code).collect(), steps.next(0, past, value))
    }

    #[test]
    fn a_ratchet_of_three_percent_a_run_is_stopped_before_a_fifth() {
        let (mut past, mut bid, mut runs) = (set(None, 1.0, 0).1, 1.0_f64, 0);
        let held = loop {
            bid *= 1.03;
            runs += 1;
            let (codes, next) = set(Some(past), bid, runs);
            if !codes.is_empty() {
                break codes;
            }
            past = next;
        };
        assert_eq!((held, runs), (vec![String::from("max_step_per")], 7));
        assert!(past.last < 1.2, "{} was accepted", past.last);
    }

    #[test]
    fn one_step_is_measured_from_the_value_accepted_last() {
        let past = set(None, 1.0, 0).1;
        assert_eq!(set(Some(past), 1.1, 1).0, Vec::<String>::new());
        assert_eq!(set(Some(past), 1.11, 1).0, ["max_step"]);
        assert_eq!(set(Some(past), 0.7, 1).0, ["max_step", "max_step_per"]);
        assert_eq!(set(None, 99.0, 1).0, Vec::<String>::new(), "nothing to compare with");
    }

    #[test]
    fn a_window_begins_with_the_first_change_after_the_last_one() {
        let first = set(None, 1.0, 0).1;
        let second = set(Some(first), 1.1, 23).1;
        assert_eq!(second, Past { last: 1.1, start: 1.0, since: 0 });
        assert_eq!(set(Some(second), 1.21, 23).0, ["max_step_per"]);
        let (codes, third) = set(Some(second), 1.21, 24);
        assert_eq!((codes, third), (Vec::new(), Past { last: 1.21, start: 1.1, since: 24 * HOUR }));
    }
}
