//! What goes over the wire, judged by a vendor's own description of its API.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request as Received, State};
use axum::http::HeaderMap;
use axum::response::Response;
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Auth, Http, HttpOptions, Request};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// One call as it passed the recorder.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) request: Bytes,
    pub(crate) status: u16,
    pub(crate) answer: Bytes,
}

/// A proxy in front of a stand-in that keeps every call.
#[derive(Clone)]
pub(crate) struct Recorder {
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
    let client = Http::new(&HttpOptions::default(), Auth::None, Arc::new(Limiter::new(&[]))).expect("a client");
    let answer = client.send(forward).await.expect("an answer");
    recorder.kept.lock().expect("no panic").push(Exchange {
        method: parts.method.to_string().to_lowercase(),
        path: parts.uri.path().to_owned(),
        request: body,
        status: answer.status.as_u16(),
        answer: answer.body.clone(),
    });
    Response::builder().status(answer.status).body(Body::from(answer.body)).expect("an answer")
}

impl Recorder {
    /// What has passed so far.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.kept.lock().expect("no panic").clone()
    }
}

/// A proxy in front of `target`: its URL, and what it keeps.
pub(crate) async fn recorder(target: String) -> (String, Recorder) {
    let recorder = Recorder { target, kept: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(record).with_state(recorder.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, recorder)
}

/// The description, with a validator for each schema that was asked for.
pub(crate) struct Spec {
    pub(crate) document: Value,
    components: Value,
    validators: HashMap<String, jsonschema::Validator>,
}

impl Spec {
    /// The description of a vendor, out of the folder `BACKHAUL_SPECS` or that beside the project; `None`, and a line
    /// that says so, where it is not here.
    pub(crate) fn load(vendor: &str) -> Option<Self> {
        let folder = std::env::var("BACKHAUL_SPECS");
        let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/specs").to_owned());
        let path = format!("{folder}/{vendor}.json");
        if !Path::new(&path).exists() {
            println!("skipped: {path} is not here, so the vendor's own description judges nothing");
            return None;
        }
        let text = std::fs::read_to_string(&path).expect("a readable description");
        let document: Value = serde_json::from_str(&text).expect("a JSON description");
        let components = without_nullable(&document["components"]);
        Some(Self { document, components, validators: HashMap::new() })
    }

    /// The operation of a path: literal segments win over parameters.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<Value> {
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

    /// The answer of an operation with that status; null where none is described.
    pub(crate) fn response(&self, operation: &Value, status: u16) -> Value {
        let response = &operation["responses"][status.to_string()];
        let shared = response["$ref"].as_str().and_then(|name| self.document.pointer(name.trim_start_matches('#')));
        shared.unwrap_or(response).clone()
    }

    /// Checks a body against the schema of a `content` object.
    pub(crate) fn judge(&mut self, content: &Value, body: &[u8], what: &str) {
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
