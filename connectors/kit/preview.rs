//! What `plan --request` shows.

/// A request as it would be sent, without secrets, for `plan --request`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RequestPreview {
    /// HTTP method, or the kind of write.
    pub method: String,
    /// URL or path.
    pub target: String,
    /// Headers, redacted.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}
