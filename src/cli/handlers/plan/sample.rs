//! Rows of a plan as a person may see them: what is someone's data is masked.

use std::fmt;

use backhaul_kit::{FieldRef, key};
use serde::{Serialize, Serializer};

use crate::config::{Field, FieldSource, SyncDef};
use crate::diff::{Cause, Op, OpKind, PlanError, PlanReader};
use crate::mask::{mask, mask_key};

/// Characters of a text that are shown.
const SHOWN: usize = 60;
/// The kinds of operations that are shown, in this order.
const KINDS: [OpKind; 6] = [OpKind::Change, OpKind::Move, OpKind::Add, OpKind::Remove, OpKind::Refresh, OpKind::Reject];

/// One row of a plan.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    #[serde(serialize_with = "word")]
    pub(super) kind: OpKind,
    pub(super) key: String,
    /// What would be sent, of a changed row only what changed.
    #[serde(serialize_with = "members")]
    pub(super) fields: Vec<(String, Shown)>,
    /// Why it is removed, where it did not leave the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<Cause>,
    /// Why the mapping refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Refusal>,
}

/// Why a row is refused before it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) field: Option<String>,
}

/// A field's value as it may be seen.
#[derive(Debug, PartialEq)]
pub(super) enum Shown {
    Masked(String),
    Plain(serde_json::Value),
    Cleared,
}

/// The first `most` rows of each kind that would be sent or refused.
pub(super) fn samples(sync: &SyncDef, plan: &PlanReader, most: usize) -> Result<Vec<Sample>, PlanError> {
    let mut samples = Vec::new();
    for kind in KINDS {
        // What waits among the rejects already is no news.
        let news = |op: &Op| op.kind != OpKind::Reject || op.reason.is_some();
        let ops = plan.ops(Some(&[kind])).filter(|op| op.as_ref().map_or(true, news));
        for op in ops.take(most) {
            samples.push(Sample::of(sync, &op?));
        }
    }
    Ok(samples)
}

impl Sample {
    fn of(sync: &SyncDef, op: &Op) -> Self {
        let personal_key = sync.model.person.is_some() || sync.model.key.iter().any(|(k, _)| is_personal(sync, k));
        let key = key::display(&op.key);
        let has_changed = |place: usize| op.changed.get(place).copied().unwrap_or(true);
        let fields = sync.fields.iter().zip(op.fields.iter()).enumerate().filter(|(place, _)| has_changed(*place));
        Self {
            kind: op.kind,
            key: if personal_key { mask_key(&key) } else { key },
            fields: fields
                .filter_map(|(_, (field, value))| Some((field.target.clone(), Shown::of(sync, field, value)?)))
                .collect(),
            cause: Some(op.cause).filter(|cause| *cause != Cause::Left),
            reason: op.reason.as_ref().map(|r| Refusal { code: r.code.clone(), field: r.field.clone() }),
        }
    }
}

impl Shown {
    /// `None` where nothing is sent for the field.
    fn of(sync: &SyncDef, field: &Field, value: FieldRef<'_>) -> Option<Self> {
        let value = match value {
            FieldRef::Skip => return None,
            FieldRef::Clear => return Some(Self::Cleared),
            FieldRef::Set(value) => value,
        };
        let personal = match &field.source {
            FieldSource::Column(column, _) => is_personal(sync, column),
            FieldSource::Template { columns, .. } => columns.iter().any(|column| is_personal(sync, column)),
            // An id that stands for somebody is as personal as what found it.
            FieldSource::Reference(reference) => is_personal(sync, &reference.column.0),
            FieldSource::Value(_) => false,
        };
        // An address that nobody declared is an address all the same.
        let masked = !value.is_null() && (personal || value.to_text().contains('@'));
        Some(if masked { Self::Masked(mask(&value.to_text())) } else { Self::Plain(value.to_json()) })
    }
}

/// For people: text in quotes, on one line, not longer than it is of use.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Masked(text) => return f.write_str(text),
            Self::Cleared => return f.write_str("(cleared)"),
            Self::Plain(serde_json::Value::String(text)) => text.clone(),
            Self::Plain(other) => other.to_string(),
        };
        // Control characters of a value could rewrite the terminal.
        let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        match self {
            Self::Plain(serde_json::Value::String(_)) => write!(f, "\"{shown}\""),
            _ => f.write_str(&shown),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Masked(text) => serializer.serialize_str(text),
            Self::Plain(value) => value.serialize(serializer),
            Self::Cleared => serializer.serialize_none(),
        }
    }
}

fn is_personal(sync: &SyncDef, column: &str) -> bool {
    sync.model.personal.contains_key(column) || sync.model.person.as_deref() == Some(column)
}

/// The word of a kind in JSON output.
fn word<S: Serializer>(kind: &OpKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        OpKind::Add => "add",
        OpKind::Change => "change",
        OpKind::Move => "move",
        OpKind::Remove => "remove",
        OpKind::Touch => "touch",
        OpKind::Refresh => "refresh",
        OpKind::Forget => "forget",
        OpKind::Reject => "reject",
    })
}

fn members<S: Serializer>(fields: &[(String, Shown)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use backhaul_kit::{Address, FieldValue, Fields, KeyHash, Reason, Value};
    use serde_json::json;

    use super::*;

    /// The sync of an example project, and an operation on the customer 1001 of it.
    fn customer(kind: OpKind) -> (Arc<SyncDef>, Op) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("syncs/customers-to-hubspot");
        let project = crate::config::load(&root).unwrap_or_else(|problems| panic!("{problems:?}"));
        let sync = Arc::clone(&project.syncs["customers-crm"]);
        let value = |target: &str| match target {
            "city" => FieldValue::Set(Value::Text(format!("Berlin\u{1b}[2J\n{}", "x".repeat(SHOWN)))),
            "country" => FieldValue::Clear,
            "lifetime_value" => FieldValue::Set(Value::Float(12.5)),
            "customer_id" => FieldValue::Set(Value::Int(1001)),
            "email" => FieldValue::Set(Value::Text("anna@example.com".into())),
            "plan" => FieldValue::Set(Value::Text("write to boss@example.com".into())),
            "firstname" => FieldValue::Skip,
            _ => FieldValue::Set(Value::Null),
        };
        let op = Op {
            number: 0,
            kind,
            ordinal: None,
            key: key::encode(&[&Value::Int(1001)]).expect("a key").into(),
            key_hash: KeyHash(7),
            fingerprint: 1,
            table_fingerprint: None,
            cause: Cause::Left,
            old_address: Address::default(),
            match_value: None,
            was_in_doubt: false,
            changed: Vec::new(),
            fields: sync.fields.iter().map(|field| value(&field.target)).collect(),
            reason: None,
        };
        (sync, op)
    }

    fn shown(sample: &Sample) -> Vec<String> {
        sample.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn peoples_data_is_masked_and_the_rest_is_on_one_line() {
        let (sync, op) = customer(OpKind::Add);
        let sample = Sample::of(&sync, &op);
        assert_eq!(sample.key, "1••••");
        insta::assert_snapshot!(shown(&sample).join("\n"));
    }

    #[test]
    fn of_a_change_only_what_changed_is_shown() {
        let (sync, mut op) = customer(OpKind::Change);
        op.changed = sync.fields.iter().map(|field| field.target == "lifetime_value").collect();
        assert_eq!(shown(&Sample::of(&sync, &op)), ["lifetime_value: 12.5"]);
    }

    #[test]
    fn a_program_gets_values_in_their_types() {
        let (sync, op) = customer(OpKind::Change);
        let json = serde_json::to_value(Sample::of(&sync, &op)).expect("JSON");
        assert_eq!(json["kind"], "change");
        assert_eq!(json["fields"]["lifetime_value"], 12.5);
        assert_eq!(json["fields"]["email"], "a••@e••••.com");
        assert_eq!(json["fields"]["country"], json!(null));
        assert!(json.get("reason").is_none() && json["fields"].get("firstname").is_none(), "{json}");
    }

    #[test]
    fn a_refused_row_says_why_and_not_with_which_value() {
        let (sync, mut op) = customer(OpKind::Reject);
        op.fields = Fields::default();
        let reason = Reason::new("INVALID_EMAIL", "anna at example.com");
        op.reason = Some(Box::new(Reason { field: Some("email".into()), ..reason }));
        let json = serde_json::to_value(Sample::of(&sync, &op)).expect("JSON");
        let reason = json!({ "code": "INVALID_EMAIL", "field": "email" });
        assert_eq!(json, json!({ "kind": "reject", "key": "1••••", "fields": {}, "reason": reason }));
    }
}
