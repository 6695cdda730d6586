//! Salesforce's JSON. Answers are read leniently: unknown members are ignored.

use serde::Deserialize;

/// An error, of a call or of a row.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VendorError {
    /// `REQUIRED_FIELD_MISSING` …; calls and rows name it differently.
    #[serde(alias = "errorCode", alias = "statusCode")]
    pub(super) code: String,
    /// For people; may quote values.
    pub(super) message: String,
    pub(super) fields: Vec<String>,
}

/// What became of one record of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SaveResult {
    pub(super) id: Option<String>,
    pub(super) success: bool,
    pub(super) errors: Vec<VendorError>,
}

/// Who we are.
#[derive(Debug, Deserialize)]
pub(super) struct UserInfo {
    pub(super) organization_id: String,
    #[serde(default)]
    pub(super) preferred_username: String,
}

/// An object, and what the user may do with it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Described {
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) deletable: bool,
    pub(super) fields: Vec<DescribedField>,
}

/// A field that the user can see.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DescribedField {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    /// Whether rights on it are given field by field.
    pub(super) permissionable: bool,
    pub(super) calculated: bool,
    pub(super) external_id: bool,
    pub(super) picklist_values: Vec<Choice>,
}

/// A value of a picklist.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) active: bool,
}

/// A page of a query's records.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) records: Vec<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    pub(super) next_records_url: Option<String>,
}

/// How a job stands.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    #[serde(default)]
    pub(super) state: String,
}
