//! The calls of the stand-in.

use backhaul_kit::json::{items, text};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use super::store::Row;
use super::{Org, soql};
use crate::destinations::stand_in::{Answer, Call, form};

/// Rows of a call.
const MAX_ROWS: usize = 200;

/// Both arms are answers.
type Said = Result<Answer, (u16, Value)>;

/// The errors of a call.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> (u16, Value) {
    (status, json!([{ "errorCode": code, "message": message }]))
}

fn refuse<T>(status: u16, code: &str, message: &str) -> Result<T, (u16, Value)> {
    Err(refusal(status, code, message))
}

/// The token endpoint, for both grants.
fn token(org: &mut Org, call: &Call<'_>) -> (u16, Value) {
    let refused = |code: &str, text: &str| (400, json!({ "error": code, "error_description": text }));
    let form = form(call.body);
    let param = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    match param("grant_type") {
        "client_credentials" => {
            if (param("client_id"), param("client_secret")) != (&*org.client_id, &*org.common.token) {
                return refused("invalid_client", "invalid client credentials");
            }
        }
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let mut wanted = Validation::new(Algorithm::RS256);
            wanted.set_audience(&[&org.audience]);
            wanted.set_issuer(&[&org.client_id]);
            wanted.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
            wanted.sub = Some(org.username.clone());
            let key = DecodingKey::from_rsa_pem(org.public_key.as_bytes());
            if !key.is_ok_and(|key| decode::<Value>(param("assertion"), &key, &wanted).is_ok()) {
                return refused("invalid_grant", "invalid assertion");
            }
        }
        _ => return refused("unsupported_grant_type", "grant type not supported"),
    }
    // Getting a token is a call like others.
    org.common.calls += 1;
    let token = format!("{}!session{}", org.id, org.common.calls);
    org.tokens.push(token.clone());
    let (scope, url) = (org.scopes.join(" "), "https://sandbox.my.salesforce.com");
    (200, json!({ "access_token": token, "token_type": "Bearer", "scope": scope, "instance_url": url }))
}

impl Org {
    pub(super) fn call(&mut self, call: &Call<'_>) -> Said {
        let scoped = |scope: &str| self.scopes.iter().any(|has| has == scope || has == "full");
        let rest = match call.path {
            ["services", "oauth2", "token"] => return Ok(token(self, call).into()),
            ["services", "oauth2", "userinfo"] => {
                let user = json!({ "organization_id": self.id, "preferred_username": self.username });
                return Ok(Answer::json(200, &user));
            }
            ["services", "data", _, rest @ ..] if scoped("api") => rest,
            ["services", "data", ..] => return refuse(403, "INSUFFICIENT_ACCESS", "the token lacks the scope api"),
            _ => &[],
        };
        let found = |value: Option<Value>| value.map(|value| Answer::json(200, &value));
        let said = match (call.method, rest) {
            ("GET", ["sobjects", object, "describe"]) => found(self.objects.describe(object)),
            ("GET", ["query"]) => return query(self, call),
            ("GET", ["query", locator]) => {
                let rest = self.pages.remove(*locator);
                found(rest.map(|rest| page(self, rest)))
            }
            ("PATCH", ["composite", "sobjects", object, external]) => {
                return collection(self, &call.json(), "upsert", object, external);
            }
            ("POST", ["composite", "sobjects"]) => return collection(self, &call.json(), "insert", "", ""),
            ("PATCH", ["composite", "sobjects"]) => return collection(self, &call.json(), "update", "", ""),
            ("DELETE", ["composite", "sobjects"]) => {
                let object = |id: &str| self.objects.of_record(id).unwrap_or("Account");
                let row = |id| json!({ "attributes": { "type": object(id) }, "id": id });
                let rows: Value = call.query("ids").unwrap_or_default().split(',').map(row).collect();
                let body = json!({ "records": rows, "allOrNone": call.query("allOrNone") != Some("false") });
                return collection(self, &body, "delete", "", "");
            }
            ("POST", ["jobs", "ingest"]) => {
                let asked = call.json();
                right(self, text(&asked, "operation"))?;
                found(self.jobs.create(&asked).filter(|_| self.objects.has(text(&asked, "object"))))
            }
            ("PUT", ["jobs", "ingest", id, "batches"]) => {
                self.jobs.upload(id, call.body).map(|()| Answer::plain(201, Vec::new()))
            }
            ("PATCH", ["jobs", "ingest", id]) => found(self.jobs.change(id, text(&call.json(), "state"))),
            ("GET", ["jobs", "ingest", id]) => {
                self.jobs.work(id, &mut self.objects, &self.common.rejects);
                found(self.jobs.info(id))
            }
            ("GET", ["jobs", "ingest", id, results, ""]) => {
                self.jobs.results(id, results).map(|file| Answer::plain(200, file))
            }
            _ => None,
        };
        said.ok_or_else(|| refusal(404, "NOT_FOUND", "The requested resource does not exist"))
    }
}

/// What the user may not do is refused as a whole.
fn right(org: &Org, verb: &str) -> Result<(), (u16, Value)> {
    let needed: &[&str] = match verb {
        "insert" => &["create"],
        "update" => &["edit"],
        "delete" => &["delete"],
        _ => &["create", "edit"],
    };
    if needed.iter().all(|right| org.objects.may(right)) {
        return Ok(());
    }
    refuse(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object")
}

fn collection(org: &mut Org, body: &Value, verb: &str, object: &str, external: &str) -> Said {
    right(org, verb)?;
    let rows: Vec<Row> = items(&body["records"]).filter_map(Value::as_object).cloned().collect();
    if rows.len() > MAX_ROWS || body["allOrNone"] != json!(false) {
        return refuse(400, "EXCEEDED_ID_LIMIT", "record limit reached");
    }
    let of = |row: &Row| row.get("attributes").map_or("", |of| text(of, "type")).to_owned();
    for row in &rows {
        if !org.objects.has(&of(row)) || (verb == "upsert" && of(row) != object) {
            return refuse(400, "INVALID_TYPE", "no such object");
        }
        // A value that cannot be read is nobody's row: the call is refused.
        let mut values = row.iter().filter(|(name, _)| !["attributes", "id"].contains(&name.as_str()));
        if values.any(|(name, value)| org.objects.read(&of(row), name, value).is_none()) {
            return refuse(400, "JSON_PARSER_ERROR", "Cannot deserialize instance of a value");
        }
    }
    let said = rows.into_iter().map(|row| match org.objects.write(&of(&row), verb, external, row, &org.common.rejects) {
        Ok((id, created)) => json!({ "id": id, "success": true, "created": created, "errors": [] }),
        Err((code, message, field)) => json!({
            "success": false, "errors": [{ "statusCode": code, "message": message, "fields": Vec::from_iter(field) }]
        }),
    });
    Ok(Answer::json(200, &said.collect::<Value>()))
}

fn query(org: &mut Org, call: &Call<'_>) -> Said {
    let soql = call.query("q").unwrap_or_default();
    let Some((object, field, values)) = soql::parsed(soql) else {
        return refuse(400, "MALFORMED_QUERY", "unexpected token");
    };
    // Texts stand in quotes and nothing else does.
    let is_of_type = |value: &Value| org.objects.read(&object, &field, value).is_some_and(|read| read == *value);
    if !org.objects.has(&object) || !values.iter().all(is_of_type) {
        return refuse(400, "INVALID_FIELD", "filter criterion of a wrong type");
    }
    let records = org.objects.select(&object, &field, &values);
    let first = page(org, records);
    Ok(Answer::json(200, &first))
}

/// A page of records, and where the others are.
fn page(org: &mut Org, mut records: Vec<Value>) -> Value {
    let total = records.len();
    let rest = records.split_off(total.min(org.page));
    let mut page = json!({ "totalSize": total, "done": rest.is_empty(), "records": records });
    if !rest.is_empty() {
        let locator = format!("01g{:015}-{}", org.common.calls, org.page);
        page["nextRecordsUrl"] = json!(format!("/services/data/v67.0/query/{locator}"));
        org.pages.insert(locator, rest);
    }
    page
}
