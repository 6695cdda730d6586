//! The sink of the whole-program tests and benchmarks: an HTTP API in a process of its own.
//!
//! It keeps records by their `id` and writes each row that it applied to an append-only journal, before it
//! answers. Its first line on stdout is its port; it ends when its stdin is closed, so that it never outlives
//! the test that started it.
//!
//! | request | does |
//! |---|---|
//! | `POST /rows`, `PUT /rows` with an array of objects | writes them; the answer has one result per row |
//! | `DELETE /rows` with an array of ids, or of objects with an `id` | removes them; one result per row |
//! | `PUT /rows/{id}` with an object, `DELETE /rows/{id}` | one row |
//! | `GET /rows/{id}` | the record, or 404 |
//! | `POST /jobs`, `DELETE /jobs` as `/rows` | takes them in and answers 202 with `{"job": id}` |
//! | `GET /jobs/{id}` | how the job stands; its rows are applied when it is asked the last time |
//! | the same, with `--address MEMBER` | the row that is found there; from then on it is found under its `MEMBER` |
//! | `GET /__control/{stats,calls,records}` | what it has seen, every call with its times, the records |
//! | `POST /__control/{answer,forget,reject,lose,hold,release,version,jobs,dedupe}` | misbehaves as told |

mod journal;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use journal::{Applied, Change, Line};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the command line says.
#[derive(Default)]
struct Settings {
    /// Where the journal goes; none is kept without it.
    journal: Option<String>,
    /// The bearer token that row calls must carry.
    token: Option<String>,
    /// Rows are counted and forgotten: for benchmarks.
    count_only: bool,
    /// How long every call on rows takes, in milliseconds.
    delay: u64,
    /// The address to listen on; default 127.0.0.1.
    bind: Option<String>,
    /// The member of a record that is its address, in place of the `id` of its path.
    address: Option<String>,
}

fn settings() -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--journal" => settings.journal = Some(value()?),
            "--token" => settings.token = Some(value()?),
            "--bind" => settings.bind = Some(value()?),
            "--address" => settings.address = Some(value()?),
            "--count-only" => settings.count_only = true,
            "--delay" => settings.delay = value()?.parse()?,
            _ => return Err(format!("unknown argument {arg}").into()),
        }
    }
    Ok(settings)
}

/// An answer given in place of the work.
struct Refusal {
    status: StatusCode,
    retry_after: Option<u64>,
}

/// Why rows of a key are refused.
struct Reject {
    code: String,
    message: String,
}

/// What came of a call.
#[derive(serde::Serialize)]
struct CallRecord {
    /// When it arrived, in milliseconds since the start.
    arrived_ms: u64,
    /// When it was answered.
    answered_ms: Option<u64>,
    method: String,
    path: String,
    /// The status of the answer; none while it is held and where it was lost.
    status: Option<u16>,
}

#[derive(Default)]
struct Memory {
    journal: Option<BufWriter<File>>,
    records: BTreeMap<String, Value>,
    calls: Vec<CallRecord>,
    calls_counted: u64,
    rows_applied: u64,
    puts: u64,
    deletes: u64,
    rejected: u64,
    refusals: VecDeque<Refusal>,
    rejects: HashMap<String, Reject>,
    /// How many answers to lose, after so many calls that are answered.
    lose: u64,
    lose_after: u64,
    /// Answers wait from the call on that brings the applied rows to this count.
    hold_after: Option<u64>,
    /// Calls with an idempotency key that was seen are answered as before and not applied again.
    dedupe: bool,
    seen: HashMap<String, Vec<Value>>,
    jobs: Vec<SinkJob>,
    /// How often a new job says that it is running before it is done.
    job_polls: u64,
    /// Jobs are not known when they are asked after.
    forgets_jobs: bool,
}

/// Rows that were taken in.
struct SinkJob {
    request: (Method, Uri, HeaderMap),
    rows: Vec<RowChange>,
    polls: u64,
    results: Option<Vec<Value>>,
}

impl Memory {
    fn write(&mut self, line: &Line) -> Result<(), Failure> {
        if let Some(journal) = &mut self.journal {
            serde_json::to_writer(&mut *journal, line)?;
            journal.write_all(b"\n")?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.journal.as_mut().map_or(Ok(()), BufWriter::flush)?)
    }
}

struct Sink {
    settings: Settings,
    started: Instant,
    memory: Mutex<Memory>,
    held: watch::Sender<bool>,
}

/// A row of a request: what to do, to which record, with what.
struct RowChange {
    change: Change,
    key: String,
    body: Option<Value>,
}

impl Sink {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn admitted(&self, headers: &HeaderMap) -> bool {
        self.settings.token.as_ref().is_none_or(|token| {
            headers.get(header::AUTHORIZATION).is_some_and(|h| h.as_bytes() == format!("Bearer {token}").as_bytes())
        })
    }

    /// Applies the rows and journals them; gives the answer's results.
    fn apply(
        &self,
        call: u64,
        request: (&Method, &Uri, &HeaderMap),
        rows: Vec<RowChange>,
    ) -> Result<Vec<Value>, Failure> {
        let (method, uri, headers) = request;
        let idempotency_key = headers.get("idempotency-key").and_then(|h| h.to_str().ok()).map(str::to_owned);
        let mut memory = self.memory();
        if let Some(known) = idempotency_key.as_ref().filter(|_| memory.dedupe).and_then(|key| memory.seen.get(key)) {
            return Ok(known.clone());
        }
        let mut results = Vec::with_capacity(rows.len());
        for (index, RowChange { change, key, body }) in rows.into_iter().enumerate() {
            if let Some(Reject { code, message }) = memory.rejects.get(&key) {
                let error = json!({ "code": code, "message": message });
                results.push(json!({ "index": index, "id": key, "ok": false, "error": error }));
                memory.rejected += 1;
                continue;
            }
            match (change, &body) {
                (Change::Put, Some(body)) => {
                    let moved = self.settings.address.as_ref().and_then(|member| body[member].as_str());
                    if moved.is_some() {
                        memory.records.remove(&key);
                    }
                    memory.records.insert(moved.unwrap_or(&key).to_owned(), body.clone());
                    memory.puts += 1;
                }
                _ => {
                    memory.records.remove(&key);
                    memory.deletes += 1;
                }
            }
            results.push(json!({ "index": index, "id": key, "ok": true }));
            let line = Line::Applied(Applied {
                seq: memory.rows_applied,
                call,
                method: method.to_string(),
                path: uri.path().to_owned(),
                change,
                key,
                body,
                idempotency_key: idempotency_key.clone(),
            });
            memory.write(&line)?;
            memory.rows_applied += 1;
        }
        memory.flush()?;
        if let Some(key) = idempotency_key.filter(|_| memory.dedupe) {
            memory.seen.insert(key, results.clone());
        }
        Ok(results)
    }

    /// Takes rows in as a job.
    fn take_in(&self, request: (&Method, &Uri, &HeaderMap), rows: Vec<RowChange>) -> usize {
        let (method, uri, headers) = request;
        let mut memory = self.memory();
        let polls = memory.job_polls;
        let request = (method.clone(), uri.clone(), headers.clone());
        memory.jobs.push(SinkJob { request, rows, polls, results: None });
        memory.jobs.len() - 1
    }

    /// Whether this call's answer is to be lost, and whether it has to wait.
    fn fate(&self) -> (bool, bool) {
        let mut memory = self.memory();
        let held = memory.hold_after.is_some_and(|rows| memory.rows_applied >= rows);
        if memory.lose == 0 {
            (false, held)
        } else if memory.lose_after > 0 {
            memory.lose_after -= 1;
            (false, held)
        } else {
            memory.lose -= 1;
            (true, held)
        }
    }
}

/// The rows that a request speaks of, or what is wrong with it.
fn row_changes(method: &Method, id: Option<String>, body: &[u8]) -> Result<Vec<RowChange>, String> {
    let text_of = |id: &Value| match id {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("an id is text or a number, not {id}")),
    };
    let change = if method == Method::DELETE { Change::Delete } else { Change::Put };
    if let Some(key) = id {
        let body = match change {
            Change::Put => Some(serde_json::from_slice(body).map_err(|e| e.to_string())?),
            Change::Delete => None,
        };
        return Ok(vec![RowChange { change, key, body }]);
    }
    let rows: Vec<Value> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let rows = rows.into_iter().map(|row| {
        let key = match (&row, change) {
            (Value::Object(object), _) => text_of(object.get("id").ok_or("a row has no id")?)?,
            (id, Change::Delete) => text_of(id)?,
            _ => return Err(format!("a row is an object, not {row}")),
        };
        Ok(RowChange { change, key, body: (change == Change::Put).then_some(row) })
    });
    rows.collect()
}

/// Counts the elements of a JSON array without building them.
fn count_rows(body: &[u8]) -> u64 {
    let (mut depth, mut commas, mut elements) = (0_u32, 0, false);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                elements = true;
                while let Some(inner) = bytes.next() {
                    match inner {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'[' | b'{' => {
                elements |= depth > 0;
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => commas += 1,
            b'0'..=b'9' => elements = true,
            _ => {}
        }
    }
    if elements { commas + 1 } else { 0 }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

async fn batch(State(sink): State<Arc<Sink>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    answer(&sink, (&method, &uri, &headers), None, &body).await
}

async fn single(
    State(sink): State<Arc<Sink>>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&sink, (&method, &uri, &headers), Some(id), &body).await
}

async fn answer(sink: &Sink, request: (&Method, &Uri, &HeaderMap), id: Option<String>, body: &[u8]) -> Response {
    if sink.settings.delay > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(sink.settings.delay)).await;
    }
    if sink.settings.count_only {
        let mut memory = sink.memory();
        memory.calls_counted += 1;
        memory.rows_applied += if id.is_some() { 1 } else { count_rows(body) };
        return StatusCode::OK.into_response();
    }
    let arrived_ms = sink.now_ms();
    let (method, uri, _) = request;
    let single = id.is_some();
    let rows = row_changes(method, id, body);
    let call = {
        let mut memory = sink.memory();
        memory.calls.push(CallRecord {
            arrived_ms,
            answered_ms: None,
            method: method.to_string(),
            path: uri.path().to_owned(),
            status: None,
        });
        memory.calls_counted += 1;
        memory.calls.len() - 1
    };
    let response = work(sink, request, call, rows, single).await;
    let answered_ms = sink.now_ms();
    if let Some(record) = sink.memory().calls.get_mut(call) {
        record.status = Some(response.status().as_u16());
        record.answered_ms = Some(answered_ms);
    }
    response
}

async fn work(
    sink: &Sink,
    request: (&Method, &Uri, &HeaderMap),
    call: usize,
    rows: Result<Vec<RowChange>, String>,
    single: bool,
) -> Response {
    if !sink.admitted(request.2) {
        return refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "the token is not known here");
    }
    let refused = sink.memory().refusals.pop_front();
    if let Some(Refusal { status, retry_after }) = refused {
        let mut response = refusal(status, "TOLD_SO", "the sink was told to answer so");
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        return response;
    }
    let rows = match rows {
        Ok(rows) => rows,
        Err(message) => return refusal(StatusCode::BAD_REQUEST, "MALFORMED", &message),
    };
    if request.1.path() == "/jobs" {
        let job = sink.take_in(request, rows);
        let (lost, held) = sink.fate();
        return after(sink, lost, held, (StatusCode::ACCEPTED, axum::Json(json!({ "job": job }))).into_response())
            .await;
    }
    let results = match sink.apply(u64::try_from(call).unwrap_or(u64::MAX), request, rows) {
        Ok(results) => results,
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "JOURNAL", &error.to_string()),
    };
    let (lost, held) = sink.fate();
    let response = match results.first() {
        Some(result) if single && result["ok"] == false => {
            (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(result.clone())).into_response()
        }
        Some(result) if single => axum::Json(result.clone()).into_response(),
        _ => axum::Json(json!({ "results": results })).into_response(),
    };
    after(sink, lost, held, response).await
}

/// The answer, once it may leave, unless it is to be lost.
async fn after(sink: &Sink, lost: bool, held: bool, response: Response) -> Response {
    if held {
        // Fails only when the sender is gone, and the sink holds it.
        let _ = sink.held.subscribe().wait_for(|held| !held).await;
    }
    if lost {
        // Unwinding ends the connection's task: the socket closes without a byte of an answer.
        std::panic::resume_unwind(Box::new("answer lost"));
    }
    response
}

/// One record.
async fn record(State(sink): State<Arc<Sink>>, Path(id): Path<String>) -> Response {
    match sink.memory().records.get(&id) {
        Some(record) => axum::Json(record.clone()).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such record"),
    }
}

/// How a job stands. It is applied by the question that it answers with `completed` first.
async fn job(State(sink): State<Arc<Sink>>, Path(id): Path<usize>) -> Response {
    let taken = {
        let mut memory = sink.memory();
        let forgets = memory.forgets_jobs;
        let Some(job) = memory.jobs.get_mut(id).filter(|_| !forgets) else {
            return refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such job");
        };
        if job.polls > 0 {
            job.polls -= 1;
            return axum::Json(json!({ "status": "running" })).into_response();
        }
        if let Some(results) = &job.results {
            return axum::Json(json!({ "status": "completed", "results": results })).into_response();
        }
        (job.request.clone(), std::mem::take(&mut job.rows))
    };
    let ((method, uri, headers), rows) = taken;
    let results = match sink.apply(u64::try_from(id).unwrap_or(u64::MAX), (&method, &uri, &headers), rows) {
        Ok(results) => results,
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "JOURNAL", &error.to_string()),
    };
    if let Some(job) = sink.memory().jobs.get_mut(id) {
        job.results = Some(results.clone());
    }
    axum::Json(json!({ "status": "completed", "results": results })).into_response()
}

async fn inspect(State(sink): State<Arc<Sink>>, Path(what): Path<String>) -> Response {
    let memory = sink.memory();
    let answer = match what.as_str() {
        "stats" => json!({
            "calls": memory.calls_counted,
            "rows": memory.rows_applied,
            "puts": memory.puts,
            "deletes": memory.deletes,
            "rejected": memory.rejected,
            "records": memory.records.len(),
        }),
        "calls" => json!(memory.calls),
        "records" => json!(memory.records),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(answer).into_response()
}

async fn control(State(sink): State<Arc<Sink>>, Path(what): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice(&body).map_err(Failure::from).and_then(|order| obey(&sink, &what, &order)) {
        Ok(()) => axum::Json(json!({})).into_response(),
        Err(error) => refusal(StatusCode::BAD_REQUEST, "CONTROL", &error.to_string()),
    }
}

fn obey(sink: &Sink, what: &str, order: &Value) -> Result<(), Failure> {
    let number = |name: &str| order[name].as_u64().ok_or_else(|| format!("{name}: a number is needed"));
    let mut memory = sink.memory();
    match what {
        "answer" => {
            let status = StatusCode::from_u16(u16::try_from(number("status")?)?)?;
            for _ in 0..number("times")? {
                memory.refusals.push_back(Refusal { status, retry_after: order["retry_after"].as_u64() });
            }
        }
        "forget" => memory.refusals.clear(),
        "reject" => {
            let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
            let keys = order["keys"].as_array().ok_or("keys: a list is needed")?;
            memory.rejects = keys
                .iter()
                .filter_map(Value::as_str)
                .map(|key| (key.to_owned(), Reject { code: text("code"), message: text("message") }))
                .collect();
        }
        "lose" => {
            memory.lose = number("times")?;
            memory.lose_after = order["after"].as_u64().unwrap_or(0);
        }
        "jobs" => {
            memory.job_polls = number("polls")?;
            if memory.job_polls == 0 {
                memory.jobs.iter_mut().for_each(|job| job.polls = 0);
            }
            memory.forgets_jobs = order["forget"].as_bool().unwrap_or(false);
        }
        "dedupe" => memory.dedupe = true,
        "hold" => {
            memory.hold_after = Some(number("after_rows")?);
            sink.held.send_replace(true);
        }
        "release" => {
            memory.hold_after = None;
            sink.held.send_replace(false);
        }
        "version" => {
            memory.write(&Line::Version { version: usize::try_from(number("version")?)? })?;
            memory.flush()?;
        }
        _ => return Err(format!("{what}: not an order the sink knows").into()),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let settings = settings()?;
    let journal = match &settings.journal {
        Some(path) => Some(BufWriter::new(File::options().append(true).create(true).open(path)?)),
        None => None,
    };
    let address = (settings.bind.clone().unwrap_or_else(|| "127.0.0.1".to_owned()), 0);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?.port())?;
    stdout.flush()?;

    let sink = Arc::new(Sink {
        settings,
        started: Instant::now(),
        memory: Mutex::new(Memory { journal, ..Memory::default() }),
        held: watch::Sender::new(false),
    });
    let router = Router::new()
        .route("/rows", axum::routing::post(batch).put(batch).delete(batch))
        .route("/rows/{id}", axum::routing::put(single).delete(single).get(record))
        .route("/jobs", axum::routing::post(batch).delete(batch))
        .route("/jobs/{id}", get(job))
        .route("/__control/{what}", get(inspect).post(control))
        .layer(DefaultBodyLimit::disable())
        .with_state(sink);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    // The journal is flushed after each call, so the process may end at any moment.
    std::thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(0);
    });
    Ok(axum::serve(listener, router).await?)
}
