//! `[guards.fields.X]`: what the values of a plan may be.

use backhaul_kit::{FieldRef, ValueRef};

use super::{Hold, rows};
use crate::config::FieldGuard;
use crate::diff::Op;

/// The reasons to hold a plan for its values. `targets` are the mapped fields in the order of the ops' values. What is
/// not sent, cleared or NULL is not judged.
///
/// # Errors
/// An op cannot be read.
pub fn judge_values<E>(
    guards: &[FieldGuard],
    targets: &[&str],
    ops: impl Iterator<Item = Result<Op, E>>,
) -> Result<Vec<Hold>, E> {
    let mut watched: Vec<Watched<'_>> = guards.iter().filter_map(|guard| Watched::new(guard, targets)).collect();
    for op in ops {
        let op = op?;
        if op.kind.is_sent() && !op.fields.is_empty() {
            watched.iter_mut().for_each(|field| field.look(&op));
        }
    }
    Ok(watched.iter().flat_map(Watched::holds).collect())
}

/// A guarded field, and how many values were found wanting.
struct Watched<'a> {
    guard: &'a FieldGuard,
    place: usize,
    below: u64,
    above: u64,
    no_number: u64,
}

impl<'a> Watched<'a> {
    fn new(guard: &'a FieldGuard, targets: &[&str]) -> Option<Self> {
        let place = targets.iter().position(|target| *target == guard.field)?;
        Some(Self { guard, place, below: 0, above: 0, no_number: 0 })
    }

    fn look(&mut self, op: &Op) {
        let Some(value) = op.fields.get(self.place).and_then(number) else { return };
        self.no_number += u64::from(!value.is_finite());
        self.below += u64::from(self.guard.floor.is_some_and(|floor| value < floor));
        self.above += u64::from(self.guard.ceiling.is_some_and(|ceiling| value > ceiling));
    }

    fn holds(&self) -> Vec<Hold> {
        let field = &self.guard.field;
        let limit = |limit: Option<f64>| limit.unwrap_or_default();
        let found = [
            ("not_a_number", self.no_number, format!("set `{field}` to what is no number")),
            ("floor", self.below, format!("set `{field}` below its floor = {}", limit(self.guard.floor))),
            ("ceiling", self.above, format!("set `{field}` above its ceiling = {}", limit(self.guard.ceiling))),
        ];
        let counted = found.into_iter().filter(|(_, count, _)| *count > 0);
        counted.map(|(code, count, what)| Hold::new(code, format!("{} would {what}", rows(count)))).collect()
    }
}

/// The number that a field is set to; NaN for what is none, `None` where there is nothing to judge.
pub(super) fn number(field: FieldRef<'_>) -> Option<f64> {
    match field.value()? {
        ValueRef::Null => None,
        ValueRef::Int(number) => Some(number as f64),
        ValueRef::Float(number) => Some(number),
        ValueRef::Decimal(text) | ValueRef::Number(text) | ValueRef::Text(text) => {
            Some(text.trim().parse().unwrap_or(f64::NAN))
        }
        _ => Some(f64::NAN),
    }
}
