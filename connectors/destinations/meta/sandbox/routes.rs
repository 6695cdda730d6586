//! The calls of the stand-in, and what they need.

use aws_lc_rs::hmac;
use backhaul_kit::value::hex;
use serde_json::{Value, json};

use super::Account;
use crate::destinations::stand_in::{Answer, Call};

/// The status of an audience that breaks Meta's rules.
pub(super) const FLAGGED: i64 = 471;

/// A refusal: code, subcode, words. All have status 400.
pub(super) type Refusal = (i64, Option<i64>, &'static str);

/// A refusal in Meta's form.
pub(super) fn refused((code, subcode, message): Refusal) -> Answer {
    let mut error = json!({ "message": message, "type": "OAuthException", "code": code, "fbtrace_id": "sandbox" });
    if let Some(subcode) = subcode {
        error["error_subcode"] = json!(subcode);
    }
    Answer::json(400, &json!({ "error": error }))
}

impl Account {
    /// Refuses calls without proof and without permission.
    pub(super) fn permitted(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if !self.app_secret.is_empty() {
            let key = hmac::Key::new(hmac::HMAC_SHA256, self.app_secret.as_bytes());
            let proof = hex(hmac::sign(&key, self.common.token.as_bytes()).as_ref());
            if call.query("appsecret_proof") != Some(&proof) {
                return Err((100, None, "API calls from the server require an appsecret_proof argument"));
            }
        }
        let permission = match (call.path, call.method) {
            ([_, "debug_token"], _) => "",
            (_, "GET") => "ads_read",
            _ => "ads_management",
        };
        let manages = self.scopes.iter().any(|scope| scope == "ads_management");
        if !permission.is_empty() && !manages && !self.scopes.iter().any(|scope| scope == permission) {
            return Err((294, None, "Managing advertisements requires an access token with the extended permission"));
        }
        Ok(())
    }

    pub(super) fn call(&mut self, call: &Call<'_>) -> Result<Value, Refusal> {
        match (call.method, call.path) {
            ("GET", [_, "debug_token"]) if self.inspect => {
                let is_valid = call.query("input_token") == Some(&self.common.token);
                let data =
                    json!({ "is_valid": is_valid, "type": "SYSTEM_USER", "expires_at": 0, "scopes": self.scopes });
                Ok(json!({ "data": data }))
            }
            ("GET", [_, "debug_token"]) => {
                Err((100, None, "You must provide an app access token, or the token of a developer of the app"))
            }
            ("GET", [_, id]) if *id == self.id => {
                let status = json!({ "code": self.operation_status, "description": "" });
                Ok(json!({ "id": id, "account_id": self.ad_account, "name": "Sandbox", "operation_status": status }))
            }
            ("GET", [_, id, "sessions"]) if *id == self.id => Ok(json!({ "data": self.audience.sessions() })),
            ("POST" | "DELETE", [_, id, "users"]) if *id == self.id => self.change(call),
            _ => Err((100, Some(33), "Unsupported request: the object does not exist")),
        }
    }

    /// Adds or removes people.
    fn change(&mut self, call: &Call<'_>) -> Result<Value, Refusal> {
        if self.operation_status == FLAGGED {
            return Err((100, Some(1_713_230), "Invalid parameter"));
        }
        let body = call.json();
        let applied = self.audience.apply(&body, call.method == "DELETE", &self.common.rejects);
        let (received, invalid, samples) = applied.map_err(|why| {
            tracing::warn!(why, "the stand-in refuses a call");
            (100, None, "Invalid parameter")
        })?;
        let session = body["session"]["session_id"].to_string();
        Ok(json!({
            "audience_id": self.id, "session_id": session, "num_received": received, "num_invalid_entries": invalid,
            "invalid_entry_samples": samples,
        }))
    }
}
