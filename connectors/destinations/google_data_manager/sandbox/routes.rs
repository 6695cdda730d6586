//! The calls of the stand-in.

use serde_json::{Value, json};

use super::{State, lists, tokens};
use crate::destinations::google_data_manager::account::SCOPE;
use crate::destinations::stand_in::{Answer, Call, form};

/// An error in Google's form.
pub(super) fn error(status: u16, code: &str, details: Value) -> Answer {
    let canonical = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        429 => "RESOURCE_EXHAUSTED",
        _ => "INTERNAL",
    };
    let mut all = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "datamanager.googleapis.com"
    })];
    match details {
        Value::Object(metadata) => all[0]["metadata"] = metadata.into(),
        Value::Array(violations) => all.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations
        })),
        _ => {}
    }
    let words = format!("the stand-in refused the request: {code}");
    Answer::json(status, &json!({ "error": { "code": status, "message": words, "status": canonical, "details": all } }))
}

fn violation(field: &str, reason: &str, words: &str) -> Value {
    json!({ "field": field, "reason": reason, "description": words })
}

impl State {
    pub(super) fn call(&mut self, call: &Call<'_>) -> Answer {
        match (call.method, call.path) {
            ("POST", ["v1", "audienceMembers:ingest"]) => write(self, true, &call.json()),
            ("POST", ["v1", "audienceMembers:remove"]) => write(self, false, &call.json()),
            ("GET", ["v1", "requestStatus:retrieve"]) => {
                match call.query("requestId").and_then(|id| self.lists.status(id)) {
                    Some(status) => Answer::json(200, &status),
                    None => error(400, "INVALID_REQUEST_ID", Value::Null),
                }
            }
            ("POST", ["token"]) => token(self, call),
            ("POST", ["tokeninfo"]) => {
                let params = form(call.body);
                match params.get("access_token").and_then(|token| self.tokens.scopes(token)) {
                    Some(scopes) => Answer::json(200, &json!({ "scope": scopes, "expires_in": "3599" })),
                    None => Answer::json(400, &json!({ "error": "invalid_token" })),
                }
            }
            _ => Answer::plain(404, Vec::new()),
        }
    }
}

/// Adds or removes members.
fn write(state: &mut State, adds: bool, body: &Value) -> Answer {
    if body.is_null() {
        return error(400, "INVALID_ARGUMENT", Value::Null);
    }
    let (destination, none) = (&body["destinations"][0], Vec::new());
    let members = body["audienceMembers"].as_array().unwrap_or(&none);
    if destination["operatingAccount"]["accountId"] != state.account.as_str() {
        return error(403, "PERMISSION_DENIED", Value::Null);
    }
    if destination["productDestinationId"] != state.audience.as_str() {
        let what = violation("destinations[0].product_destination_id", "INVALID_USER_LIST_ID", "no such list");
        return error(400, "INVALID_USER_LIST_ID", json!([what]));
    }
    let accepts = body["termsOfService"]["customerMatchTermsOfServiceStatus"] == "ACCEPTED";
    if adds && !(state.terms && accepts) {
        return error(400, "TERMS_AND_CONDITIONS_NOT_SIGNED", Value::Null);
    }
    if lists::too_many(members) {
        return error(400, "TOO_MANY_AUDIENCE_MEMBERS", Value::Null);
    }
    let wrong = lists::judge(members, &state.common.rejects);
    if members.is_empty() || body["encoding"] != "HEX" {
        return error(400, "REQUIRED_FIELD_MISSING", Value::Null);
    }
    if let Some((_, (_, reason, _))) = wrong.first() {
        let fields = wrong.iter().map(|(place, (field, reason, words))| {
            violation(&format!("audience_members[{place}].{field}"), reason, words)
        });
        return error(400, reason, fields.collect());
    }
    if body["validateOnly"] == true {
        return Answer::json(200, &json!({}));
    }
    Answer::json(200, &json!({ "requestId": state.lists.take_in(adds, body) }))
}

/// An access token for an assertion or the refresh token.
fn token(state: &mut State, call: &Call<'_>) -> Answer {
    let params = form(call.body);
    let refresh = params.get("refresh_token").filter(|token| *token == tokens::REFRESH).map(|_| SCOPE.to_owned());
    let asked = params.get("assertion").and_then(|assertion| state.tokens.asked_for(assertion)).or(refresh);
    let Some(asked) = asked else { return Answer::json(400, &json!({ "error": "invalid_grant" })) };
    let scopes = if state.scopes.is_empty() { asked } else { state.scopes.join(" ") };
    let token = state.tokens.give(&scopes);
    let said = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3599, "scope": scopes });
    Answer::json(200, &said)
}
