//! A vendor's own API description as the judge of what goes over the wire.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request as Received, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use backhaul_kit::DestinationKind;
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Auth, Http, HttpOptions, Request};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// A bare client, for calls that no destination makes.
pub(crate) fn client() -> Http {
    Http::new(&HttpOptions::default(), Auth::None, Arc::new(Limiter::new(&[]))).expect("a client")
}

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

impl Recorder {
    /// A recorder in front of `target`, and its own URL.
    pub(crate) async fn start(target: String) -> (String, Self) {
        let recorder = Self { target, kept: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(record).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, recorder)
    }

    /// What passed so far.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.kept.lock().expect("no panic").clone()
    }
}

async fn record(State(recorder): State<Recorder>, headers: HeaderMap, request: Received) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let url = format!("{}{}", recorder.target, parts.uri).parse().expect("a URL");
    let mut forward = Request::new(parts.method.clone(), url);
    forward.headers = headers;
    for hop in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::ACCEPT_ENCODING] {
        forward.headers.remove(hop);
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

/// The description, with a validator for each schema that was asked for.
pub(crate) struct Spec {
    pub(crate) document: Value,
    components: Value,
    validators: HashMap<String, jsonschema::Validator>,
    /// The operations that were asked for, as `POST /v1/customers`.
    asked: BTreeSet<String>,
}

impl Spec {
    /// The description of a vendor, from the folder that `BACKHAUL_SPECS` names or from `../shared/specs`; `None`,
    /// which is said, where it is not at hand.
    pub(crate) fn load(vendor: &str) -> Option<Self> {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/specs");
        let path = format!("{}/{vendor}.json", std::env::var("BACKHAUL_SPECS").unwrap_or_else(|_| beside.to_owned()));
        if !Path::new(&path).exists() {
            println!("skipped: {path} is not here, so {vendor}'s own description judges nothing");
            return None;
        }
        let text = std::fs::read_to_string(path).expect("a readable description");
        let document: Value = serde_json::from_str(&text).expect("a JSON description");
        let document = if document["swagger"] == "2.0" { as_openapi_3(document) } else { document };
        let components = without_nullable(&document["components"]);
        Some(Self { document, components, validators: HashMap::new(), asked: BTreeSet::new() })
    }

    /// The operation of a path: literal segments win over parameters.
    pub(crate) fn operation(&mut self, method: &str, path: &str) -> Option<Value> {
        let fits = |template: &str| {
            let (have, want): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
            let matches = have.len() == want.len()
                && have.iter().zip(&want).all(|(have, want)| have == want || want.starts_with('{'));
            matches.then(|| want.iter().filter(|segment| segment.starts_with('{')).count())
        };
        let paths = self.document["paths"].as_object()?;
        let best = paths.iter().filter(|(_, item)| item.get(method).is_some());
        let best = best.filter_map(|(template, item)| Some((fits(template)?, template, item)));
        let (_, template, item) = best.min_by_key(|(holes, ..)| *holes)?;
        self.asked.insert(format!("{} {template}", method.to_uppercase()));
        item.get(method).cloned()
    }

    /// The operations that were held against the description are those that the kind tells of.
    pub(crate) fn assert_validated(&self, kind: &DestinationKind) {
        let told: BTreeSet<String> = kind.validated.lines().map(str::to_owned).collect();
        assert_eq!(self.asked, told, "`validated` of {} is not what the test validates", kind.name);
    }

    /// The answer of an operation with that status; null where none is described.
    pub(crate) fn response(&self, operation: &Value, status: u16) -> Value {
        let response = &operation["responses"][status.to_string()];
        let shared = response["$ref"].as_str().and_then(|name| self.document.pointer(name.trim_start_matches('#')));
        shared.unwrap_or(response).clone()
    }

    /// Checks a JSON body against the schema of a `content` object.
    pub(crate) fn judge(&mut self, content: &Value, body: &[u8], what: &str) {
        let Some(schema) = schema_of(content) else {
            assert!(body.is_empty(), "{what}: a body where the description has none");
            return;
        };
        let value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: not JSON: {error}"));
        self.judge_value(schema, &value, what);
    }

    /// Checks a form against the schema of a `content` object: members of objects are named with brackets.
    pub(crate) fn judge_form(&mut self, content: &Value, body: &[u8], what: &str) {
        let Some(schema) = schema_of(content) else {
            assert!(body.is_empty(), "{what}: a body where the description has none");
            return;
        };
        let mut value = json!({});
        let text = std::str::from_utf8(body).expect("a form is text");
        for (name, text) in reqwest::Url::parse(&format!("http://form/?{text}")).expect("a form").query_pairs() {
            let path: Vec<&str> = name.split(['[', ']']).filter(|part| !part.is_empty()).collect();
            let place = path.iter().fold(&mut value, |place, part| &mut place[*part]);
            *place = json!(text);
        }
        self.judge_value(schema, &value, what);
    }

    fn judge_value(&mut self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = without_nullable(schema);
            // Siblings of `$ref` are ignored in this dialect: the components stand beside an `allOf`.
            root = json!({ "allOf": [root], "components": self.components });
            jsonschema::draft4::options().should_validate_formats(true).build(&root).expect("a schema")
        });
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}");
    }
}

/// Swagger 2.0 as OpenAPI 3 writes it, as far as it is read here: base path, bodies, answers.
fn as_openapi_3(mut document: Value) -> Value {
    assert!(document.get("definitions").is_none(), "shared definitions of Swagger 2.0 are not read");
    let base = document["basePath"].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
    let content = |schema: &Value| json!({ "application/json": { "schema": schema } });
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let based = paths.into_iter().map(|(path, mut item)| {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let body = operation["parameters"].as_array().and_then(|all| all.iter().find(|one| one["in"] == "body"));
            if let Some(schema) = body.map(|body| content(&body["schema"])) {
                operation["requestBody"] = json!({ "content": schema });
            }
            for answer in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
                if let Some(schema) = answer.get("schema").map(content) {
                    answer["content"] = schema;
                }
            }
        }
        (format!("{base}{path}"), item)
    });
    document["paths"] = Value::Object(based.collect());
    document
}

fn schema_of(content: &Value) -> Option<&Value> {
    content.as_object()?.values().next()?.get("schema")
}

/// OpenAPI 3.0's `nullable` in the words of JSON Schema.
fn without_nullable(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => Value::Array(items.iter().map(without_nullable).collect()),
        Value::Object(map) => {
            let mut out: Map<String, Value> = map.iter().map(|(k, v)| (k.clone(), without_nullable(v))).collect();
            if out.remove("nullable") != Some(Value::Bool(true)) {
                return Value::Object(out);
            }
            match out.get_mut("type") {
                Some(kind) => *kind = json!([kind.clone(), "null"]),
                None => return json!({ "anyOf": [out, { "type": "null" }] }),
            }
            if let Some(Value::Array(choices)) = out.get_mut("enum") {
                choices.push(Value::Null);
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}
