//! Names of warehouses, destinations, models, syncs and mappings.

use backhaul_kit::config::{Problem, Span, nearest};

/// Names become file names and labels.
const MAX_CHARS: usize = 64;

/// Why `name` is no name; `what` says of what.
pub(super) fn check(what: &str, name: &str) -> Option<Problem> {
    let mut bytes = name.bytes();
    let well_formed = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && name.len() <= MAX_CHARS;
    (!well_formed).then(|| {
        Problem::error("bad-name", format!("\"{name}\" cannot be the name of a {what}")).remedy(
            "a name starts with a lower-case letter or a digit, and goes on with these, `-` and `_`; at most 64 characters",
        )
    })
}

/// A reference to something that is not there, with the nearest that is.
pub(super) fn unknown<'a>(
    code: &'static str,
    what: &str,
    name: &str,
    span: &Span,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    let mut problem = Problem::error(code, format!("there is no {what} \"{name}\"")).at(span);
    if let Some(near) = nearest(name, known.clone()) {
        problem = problem.label(format!("did you mean \"{near}\"?"));
    }
    let names: Vec<&str> = known.collect();
    problem.remedy(if names.is_empty() {
        format!("this project has no {what} yet")
    } else {
        format!("known: {}", names.join(", "))
    })
}
