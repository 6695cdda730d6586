//! Checks that one row can fail by itself.

use backhaul_kit::Value;

use crate::config::CheckKind;

/// Whether the value fails the check; never where the check is not of single values.
pub(super) fn fails(kind: &CheckKind, value: &Value) -> bool {
    match kind {
        CheckKind::NotNull(_) => value.is_null(),
        _ if value.is_null() => false,
        CheckKind::AcceptedValues { values, .. } => !of_text(value, |text| values.contains(text)),
        CheckKind::Regex { pattern, .. } => !of_text(value, |text| pattern.is_match(text)),
        CheckKind::Range { min, max, .. } => !number(value)
            .is_some_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
        CheckKind::Unique(_) | CheckKind::Freshness { .. } | CheckKind::RowCount { .. } => false,
    }
}

/// What is wrong with such values, after "in 3 of 1000 rows".
pub(super) fn complaint(kind: &CheckKind) -> String {
    match kind {
        CheckKind::NotNull(_) => String::from("is NULL"),
        CheckKind::AcceptedValues { values, .. } => format!("is none of the {} accepted values", values.len()),
        CheckKind::Regex { pattern, .. } => format!("does not match {}", pattern.as_str()),
        CheckKind::Range { min, max, .. } => match (min, max) {
            (Some(min), Some(max)) => format!("is not within {min} to {max}"),
            (Some(min), None) => format!("is not {min} or more"),
            (None, Some(max)) => format!("is not {max} or less"),
            (None, None) => String::from("is no number"),
        },
        CheckKind::Unique(_) => String::from("repeats the value of another row"),
        CheckKind::Freshness { .. } | CheckKind::RowCount { .. } => String::from("fails"),
    }
}

fn of_text(value: &Value, holds: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Text(text) => holds(text),
        Value::Invalid(_) => false,
        other => holds(&other.to_text()),
    }
}

/// The value as a number, where it is one or a text that is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        Value::Decimal(text) | Value::Number(text) | Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|n: &f64| n.is_finite())
}
