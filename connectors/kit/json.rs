//! Reading a vendor's JSON leniently: unknown members are ignored, and what is null or has another form is nothing.

use serde_json::Value;

/// The items of a list.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A member's text; empty where it has none.
pub fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_null_or_has_another_form_is_nothing() {
        let answer = json!({ "name": "Ada", "nothing": null, "count": 7, "list": [1, 2] });
        assert_eq!(["name", "nothing", "count", "absent"].map(|name| text(&answer, name)), ["Ada", "", "", ""]);
        assert_eq!(["list", "nothing", "name", "absent"].map(|name| items(&answer[name]).count()), [2, 0, 0, 0]);
        assert_eq!(text(&json!("no object"), "name"), "");
    }
}
