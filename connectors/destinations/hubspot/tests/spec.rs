//! Every request and every answer, judged by the vendor's own description.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use axum::http::HeaderMap;
use backhaul_kit::{Mode, Operation, Removed};
use serde_json::{Map, Value, json};

use super::*;

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/specs/hubspot.json");
/// Calls that the trimmed description does not have.
const UNDESCRIBED: [&str; 1] = ["/oauth/v2/private-apps/get/access-token-info"];

/// One call as it passed the recorder.
#[derive(Clone, Debug)]
struct Exchange {
    method: String,
    path: String,
    request: Bytes,
    status: u16,
    answer: Bytes,
}

/// A proxy in front of a stand-in that keeps every call.
#[derive(Clone)]
struct Recorder {
    target: String,
    kept: Arc<Mutex<Vec<Exchange>>>,
}

async fn record(State(recorder): State<Recorder>, headers: HeaderMap, request: Received) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let url = format!("{}{}", recorder.target, parts.uri).parse().expect("a URL");
    let mut forward = Request::new(parts.method.clone(), url);
    for name in ["authorization", "content-type"] {
        if let Some(value) = headers.get(name) {
            forward.headers.insert(name, value.clone());
        }
    }
    forward.body = body.clone();
    let answer = client().send(forward).await.expect("an answer");
    recorder.kept.lock().expect("no panic").push(Exchange {
        method: parts.method.to_string().to_lowercase(),
        path: parts.uri.path().to_owned(),
        request: body,
        status: answer.status.as_u16(),
        answer: answer.body.clone(),
    });
    Response::builder().status(answer.status).body(Body::from(answer.body)).expect("an answer")
}

async fn recorder(target: String) -> (String, Recorder) {
    let recorder = Recorder { target, kept: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(record).with_state(recorder.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, recorder)
}

/// The description, with a validator for each schema that was asked for.
struct Spec {
    document: Value,
    components: Value,
    validators: HashMap<String, jsonschema::Validator>,
}

impl Spec {
    fn load() -> Option<Self> {
        if !Path::new(SPEC).exists() {
            println!("skipped: {SPEC} is not here, so HubSpot's own description judges nothing");
            return None;
        }
        let text = std::fs::read_to_string(SPEC).expect("a readable description");
        let document: Value = serde_json::from_str(&text).expect("a JSON description");
        let components = without_nullable(&document["components"]);
        Some(Self { document, components, validators: HashMap::new() })
    }

    /// The operation of a path: literal segments win over parameters.
    fn operation(&self, method: &str, path: &str) -> Option<Value> {
        let fits = |template: &str| {
            let (have, want): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
            let matches = have.len() == want.len()
                && have.iter().zip(&want).all(|(have, want)| have == want || want.starts_with('{'));
            matches.then(|| want.iter().filter(|segment| segment.starts_with('{')).count())
        };
        let paths = self.document["paths"].as_object()?;
        let best = paths.iter().filter(|(_, item)| item.get(method).is_some());
        let best = best.filter_map(|(template, item)| Some((fits(template)?, item))).min_by_key(|(holes, _)| *holes)?;
        best.1.get(method).cloned()
    }

    /// Checks a body against the schema of a `content` object.
    fn judge(&mut self, content: &Value, body: &[u8], what: &str) {
        let schema = content.as_object().and_then(|kinds| kinds.values().next()).map(|kind| kind["schema"].clone());
        let Some(schema) = schema else {
            assert!(body.is_empty(), "{what}: a body where the description has none");
            return;
        };
        let value: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: not JSON: {error}"));
        let validator = self.validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = without_nullable(&schema);
            // Siblings of `$ref` are ignored in this dialect: the components stand beside an `allOf`.
            root = json!({ "allOf": [root], "components": self.components });
            jsonschema::draft4::options().should_validate_formats(true).build(&root).expect("a schema")
        });
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}");
    }
}

/// OpenAPI 3.0's `nullable` in the words of JSON Schema.
fn without_nullable(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => Value::Array(items.iter().map(without_nullable).collect()),
        Value::Object(map) => {
            let mut out: Map<String, Value> = map.iter().map(|(k, v)| (k.clone(), without_nullable(v))).collect();
            if out.remove("nullable") == Some(Value::Bool(true)) {
                let kind = out.remove("type").unwrap_or_default();
                out.insert("type".into(), json!([kind, "null"]));
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    for (object, fields) in [
        ("contacts", &["customer_id", "firstname", "email"][..]),
        ("companies", &["customer_id", "name", "domain"]),
        ("deals", &["customer_id", "dealname", "description"]),
        ("2-7", &["customer_id", "name", "note"]),
    ] {
        let wanted = Wanted { object, fields, ..CONTACTS };
        let upsert = open(url, &wanted);
        upsert.destination.check().await.expect("a report");
        upsert.destination.describe().await.expect("a schema");
        sandbox.set("reject", "").expect("a setting");
        let rows: [&[&str]; 3] = [&["c1", "Ada", ""], &["c2", "Eve", ""], &["c3", "Bob", ""]];
        upsert.verdicts(&writes(Operation::Upsert, &rows)).await;
        sandbox.set("reject", &format!("NO:{}=Mallory", fields[1])).expect("a setting");
        upsert.verdicts(&writes(Operation::Upsert, &[&["c1", "Ada", ""], &["c4", "Mallory", ""]])).await;
        let update = open(url, &Wanted { mode: Mode::Update, ..wanted.clone() });
        update.verdicts(&writes(Operation::Update, &[&["c1", "Ada", ""], &["c9", "Nobody", ""]])).await;
        let create = open(url, &Wanted { mode: Mode::Create, ..wanted.clone() });
        create.verdicts(&writes(Operation::Create, &[&["d1", "Dora", ""], &["c1", "Ada", ""]])).await;
        create.verdicts(&writes(Operation::Create, &[&["d2", "Dirk", ""]])).await;
        let clear = open(url, &Wanted { removed: Removed::Clear, ..wanted.clone() });
        clear.verdicts(&removals(Operation::Clear, vec![by_id("1001"), by_value("c9")])).await;
        upsert.destination.read_back(&[by_id("1001"), by_value("c2"), by_value("c9")]).await.expect("records");
        upsert.verdicts(&removals(Operation::Archive, vec![by_id("1001"), by_value("c2"), by_value("c9")])).await;
        let unknown = open(url, &Wanted { fields: &["customer_id", "no_such"], ..wanted });
        unknown.write(&writes(Operation::Upsert, &[&["c1", "x"]])).await.expect_err("an unknown property");
        sandbox.set("fail_next", "1").expect("a setting");
        upsert.write(&writes(Operation::Upsert, &[&["c1", "Ada", ""]])).await.expect_err("500");
        sandbox.set("scopes", "oauth").expect("a setting");
        upsert.write(&writes(Operation::Upsert, &[&["c1", "Ada", ""]])).await.expect_err("no right");
        sandbox.set("scopes", "all").expect("a setting");
    }
    let stranger = open(url, &Wanted { object: "2-8", ..CONTACTS });
    stranger.write(&writes(Operation::Upsert, &[&["c1", "", ""]])).await.expect_err("an unknown object");
    sandbox.set("per_day", "1").expect("a setting");
    for _ in 0..2 {
        stranger.write(&writes(Operation::Upsert, &[&["c1", "", ""]])).await.expect_err("an unknown object, then 429");
    }
    sandbox.set("per_day", "0").expect("a setting");
    sandbox.set("token", "another").expect("a setting");
    open(url, &CONTACTS).destination.check().await.expect_err("no token");
}

#[tokio::test]
async fn every_request_and_every_answer_fits_hubspots_description() {
    let Some(mut spec) = Spec::load() else { return };
    let properties = "companies.customer_id:string:unique,deals.customer_id:string:unique,2-7.customer_id:string:unique,2-7.note:string";
    let sandbox = stand_in(&[("objects", "2-7=machine"), ("properties", properties)]).await;
    let (url, recorder) = recorder(sandbox.url()).await;
    exercise(&url, &*sandbox).await;
    let exchanges = recorder.kept.lock().expect("no panic").clone();
    let mut judged = BTreeSet::new();
    for exchange in &exchanges {
        let Exchange { method, path, request, status, answer } = exchange;
        let Some(operation) = spec.operation(method, path) else {
            assert!(UNDESCRIBED.contains(&path.as_str()), "{method} {path} is not described");
            continue;
        };
        spec.judge(&operation["requestBody"]["content"], request, &format!("{method} {path}, request"));
        let described = &operation["responses"][status.to_string()];
        let what = format!("{method} {path}, answer {status}");
        if described.is_null() {
            assert!(*status >= 400, "{what} is not described");
            let error = spec.document["components"]["responses"]["Error"]["content"].clone();
            spec.judge(&error, answer, &what);
        } else {
            spec.judge(&described["content"].clone(), answer, &what);
        }
        judged.insert((path.rsplit('/').next().unwrap_or_default().to_owned(), *status));
    }
    let expected = [
        ("upsert", 200),
        ("upsert", 207),
        ("upsert", 400),
        ("upsert", 403),
        ("upsert", 404),
        ("upsert", 429),
        ("upsert", 500),
        ("update", 207),
        ("create", 201),
        ("create", 207),
        ("read", 207),
        ("archive", 204),
        ("details", 401),
    ];
    for (call, status) in expected {
        assert!(judged.contains(&(call.to_owned(), status)), "{call} {status} was never seen: {judged:?}");
    }
}
