//! HubSpot's JSON, as its description has it. Answers are read leniently: unknown fields are ignored and
//! loosely described parts stay [`serde_json::Value`].

use std::borrow::Cow;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The body of `batch/upsert`, `batch/update`, `batch/create` and `batch/archive`.
#[derive(Debug, Serialize)]
pub(super) struct Inputs<'a, T> {
    /// One input a record.
    pub(super) inputs: &'a [T],
}

/// A record to write.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WriteInput<'a> {
    /// The property that `id` is a value of; absent where it is a record id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_property: Option<&'a str>,
    /// What finds the record; absent for `create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    /// Comes back in the answer.
    pub(super) object_write_trace_id: String,
    /// The values.
    pub(super) properties: Properties<'a>,
    /// `create` requires the key; backhaul makes no associations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) associations: Option<[(); 0]>,
}

/// Names and values, in order.
#[derive(Debug, Default)]
pub(super) struct Properties<'a>(pub(super) Vec<(&'a str, Cow<'a, str>)>);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A record named by its id or by a unique value.
#[derive(Debug, Serialize)]
pub(super) struct IdInput<'a> {
    /// The id or the value.
    pub(super) id: &'a str,
}

/// The body of `batch/read`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadInputs<'a> {
    /// The property that the ids are values of; absent for record ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_property: Option<&'a str>,
    /// The properties wanted.
    pub(super) properties: &'a [&'a str],
    /// The properties wanted with their history: none, but the key is required.
    pub(super) properties_with_history: [&'a str; 0],
    /// The records wanted.
    pub(super) inputs: &'a [IdInput<'a>],
}

/// The answer of a batch call, 200, 201 and 207 alike.
#[derive(Debug, Deserialize)]
pub(super) struct BatchAnswer<'a> {
    /// `COMPLETE` when done.
    pub(super) status: Option<String>,
    /// Records written or read.
    #[serde(borrow, default, deserialize_with = "null_is_default")]
    pub(super) results: Vec<Record<'a>>,
    /// What went wrong, each error with the inputs that it speaks of.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) errors: Vec<VendorError>,
}

/// A record in an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'a> {
    /// Its id.
    pub(super) id: String,
    /// The trace id of the input that it answers.
    pub(super) object_write_trace_id: Option<String>,
    /// Its properties, read only where they are needed.
    #[serde(borrow)]
    pub(super) properties: Option<&'a RawValue>,
}

impl Record<'_> {
    /// Its properties.
    pub(super) fn fields(&self) -> Map<String, Value> {
        self.properties.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

/// An error: the whole answer of a refused call, or one entry of a 207's `errors`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VendorError {
    /// An HTTP status as text in a 207, `error` otherwise.
    pub(super) status: Value,
    /// `VALIDATION_ERROR`, `CONFLICT`, `OBJECT_NOT_FOUND` …
    #[serde(deserialize_with = "null_is_default")]
    pub(super) category: String,
    /// For people; holds JSON in property errors.
    #[serde(deserialize_with = "null_is_default")]
    pub(super) message: String,
    /// Lists of texts by name.
    pub(super) context: Value,
    /// Details.
    #[serde(deserialize_with = "null_is_default")]
    pub(super) errors: Vec<ErrorDetail>,
    /// Which limit a 429 speaks of.
    pub(super) policy_name: Option<String>,
}

/// A detail of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ErrorDetail {
    /// A code.
    pub(super) code: Option<String>,
    /// For people.
    #[serde(deserialize_with = "null_is_default")]
    pub(super) message: String,
    /// The field or parameter that it speaks of.
    #[serde(rename = "in")]
    pub(super) place: Option<String>,
    /// Lists of texts by name.
    pub(super) context: Value,
}

/// A property that was refused, as the message of a `VALIDATION_ERROR` holds it.
#[derive(Debug, Deserialize)]
pub(super) struct PropertyError {
    /// `INVALID_EMAIL`, `PROPERTY_DOESNT_EXIST` …
    #[serde(default, rename = "error")]
    pub(super) code: String,
    /// The property.
    #[serde(default)]
    pub(super) name: String,
    /// For people.
    #[serde(default)]
    pub(super) message: String,
}

impl VendorError {
    /// The texts of `key` in its context.
    pub(super) fn context_texts(&self, key: &str) -> Vec<&str> {
        self.context.get(key).map(texts).unwrap_or_default()
    }

    /// The refused properties: `Property values were not valid: [{…}]`.
    pub(super) fn property_errors(&self) -> Vec<PropertyError> {
        self.message
            .find('[')
            .and_then(|start| serde_json::from_str(self.message[start..].trim_end()).ok())
            .unwrap_or_default()
    }

    /// The scopes that a 403 asks for; the answer names them in its own context or in that of a detail.
    pub(super) fn missing_scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = std::iter::once(&self.context)
            .chain(self.errors.iter().map(|detail| &detail.context))
            .flat_map(|context| ["missingScopes", "requiredGranularScopes"].map(|key| context.get(key)))
            .flatten()
            .flat_map(texts)
            .map(str::to_owned)
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The HTTP status that an entry of a 207 gives.
    pub(super) fn http_status(&self) -> Option<u16> {
        match &self.status {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            _ => None,
        }
    }
}

/// An explicit null reads as the empty list or text.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The body of the introspection of private apps.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenQuery<'a> {
    /// The token itself.
    pub(super) token_key: &'a str,
}

/// What a token is good for: the answer of either introspection.
#[derive(Debug, Deserialize)]
pub(super) struct TokenInfo {
    /// The account: `hubId` for private apps, `hub_id` for OAuth.
    #[serde(rename = "hubId", alias = "hub_id")]
    pub(super) hub_id: u64,
    /// What was granted.
    pub(super) scopes: Vec<String>,
}

/// The account's details.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountDetails {
    /// The account.
    pub(super) portal_id: u64,
}

/// The answer of `GET /crm/v3/properties/{objectType}`.
#[derive(Debug, Deserialize)]
pub(super) struct PropertyList {
    /// The properties.
    pub(super) results: Vec<PropertyDefinition>,
}

/// A property's definition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PropertyDefinition {
    /// Its internal name.
    pub(super) name: String,
    /// `string`, `number`, `date`, `datetime`, `enumeration`, `bool` …
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Allowed values of an enumeration.
    #[serde(default)]
    pub(super) options: Vec<PropertyOption>,
    /// The allowed values stand elsewhere.
    #[serde(default)]
    pub(super) external_options: bool,
    /// HubSpot computes it.
    #[serde(default)]
    pub(super) calculated: bool,
    /// No two records share a value.
    #[serde(default)]
    pub(super) has_unique_value: bool,
    /// What may be changed.
    pub(super) modification_metadata: Option<ModificationMetadata>,
}

/// What may be changed of a property.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModificationMetadata {
    /// Values cannot be written.
    #[serde(default)]
    pub(super) read_only_value: bool,
}

/// An allowed value.
#[derive(Debug, Deserialize)]
pub(super) struct PropertyOption {
    /// What goes over the wire.
    pub(super) value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn property_errors_are_read_out_of_the_message() {
        let error = VendorError {
            message: r#"Property values were not valid: [{"isValid":false,"message":"Email address x is invalid","error":"INVALID_EMAIL","name":"email","localizedErrorMessage":"…"}]"#.into(),
            ..VendorError::default()
        };
        let errors = error.property_errors();
        assert_eq!((errors[0].code.as_str(), errors[0].name.as_str()), ("INVALID_EMAIL", "email"));
        let plain = VendorError { message: "no list here [".into(), ..VendorError::default() };
        assert!(plain.property_errors().is_empty());
    }

    #[test]
    fn missing_scopes_are_found_wherever_they_stand() {
        let text = r#"{"category":"MISSING_SCOPES","context":{"missingScopes":["b"]},
            "errors":[{"message":"m","context":{"requiredGranularScopes":["a","b"]}},{"message":"m","context":"odd"}]}"#;
        let error: VendorError = serde_json::from_str(text).expect("an error");
        assert_eq!(error.missing_scopes(), ["a", "b"]);
    }

    #[test]
    fn an_answer_with_unknown_and_missing_fields_is_read() {
        let answer: BatchAnswer<'_> =
            serde_json::from_str(r#"{"new_thing":{"a":[1]},"results":[{"id":"7","warnings":[]}]}"#).expect("an answer");
        assert_eq!(answer.results[0].id, "7");
        assert!(answer.results[0].fields().is_empty() && answer.errors.is_empty());
    }

    #[test]
    fn nulls_in_an_answer_are_read_as_nothing() {
        let text = r#"{"results":null,"errors":[{"category":null,"message":null,"context":null,"errors":null,"status":null}]}"#;
        let answer: BatchAnswer<'_> = serde_json::from_str(text).expect("an answer");
        assert!(answer.results.is_empty() && answer.errors[0].context_texts("ids").is_empty());
        assert_eq!(answer.errors[0].http_status(), None);
    }
}
