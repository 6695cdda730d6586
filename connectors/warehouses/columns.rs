//! A model's columns and the projected ones among them.

use backhaul_kit::config::nearest;
use backhaul_kit::{Fault, Projection, Schema};

/// Refuses columns that cannot be told apart; `same` says which names the warehouse takes for equal.
///
/// # Errors
/// `Config`, with the names.
pub(super) fn unique(model: &str, names: &[&str], same: fn(&str, &str) -> bool) -> Result<(), Fault> {
    let mut twice: Vec<&str> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        if names[..i].iter().any(|n| same(n, name)) && !twice.iter().any(|n| same(n, name)) {
            twice.push(name);
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = twice.iter().map(|n| format!("`{n}`")).collect();
    Err(Fault::config(format!("model `{model}` has more than one column named {}", list.join(" and "))))
}

/// The places of the projected columns in the schema.
///
/// # Errors
/// `Config` where the model has no such column, with the nearest it has.
pub(super) fn places(model: &str, schema: &Schema, projection: &Projection) -> Result<Vec<usize>, Fault> {
    if projection.key.is_empty() || projection.key.iter().any(|k| *k >= projection.columns.len()) {
        return Err(Fault::bug("a projection without a key, or with a key outside its columns"));
    }
    projection.columns.iter().map(|name| place(model, schema, name)).collect()
}

fn place(model: &str, schema: &Schema, name: &str) -> Result<usize, Fault> {
    schema.column(name).map(|(at, _)| at).ok_or_else(|| {
        let fault = Fault::config(format!("model `{model}` has no column `{name}`"));
        match nearest(name, schema.names()) {
            Some(near) => fault.remedy(format!("did you mean `{near}`?")),
            None => fault.remedy(format!("its columns: {}", schema.names().collect::<Vec<_>>().join(", "))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_name_are_named() {
        let fault = unique("people", &["a", "b", "a", "a", "b"], str::eq).expect_err("twice");
        assert_eq!(fault.to_string(), "model `people` has more than one column named `a` and `b`");
        assert!(unique("people", &["a", "A"], str::eq).is_ok());
        assert!(unique("people", &["a", "A"], str::eq_ignore_ascii_case).is_err());
    }
}
