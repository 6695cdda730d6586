//! `[into.request]` and `[into.remove]`: one call, checked and compiled.

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, Span};
use backhaul_kit::{AddressKind, Facts, Mode, SyncShape};
use minijinja::value::Value;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::account::{HttpAccount, check_path, header_name, read_headers, read_size};
use super::success::Success;
use super::template::{BATCH_VARIABLES, Escape, Names, ROW_VARIABLES, Template};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `[into.request]`: rows that are in the model.
    Write,
    /// `[into.remove]`: rows that left it.
    Remove,
}

/// One kind of call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Template,
    /// The URL of every call, where it reads no variable.
    pub(super) fixed_url: Option<Url>,
    /// The account's headers and its own.
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) batch_size: usize,
    pub(super) max_bytes: Option<usize>,
    pub(super) concurrency: usize,
    pub(super) success: Success,
    pub(super) statuses: Statuses,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) resend_safe: bool,
    pub(super) address: AddressKind,
}

/// What a call carries.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing.
    Empty,
    /// The row as a JSON object, or the rows as an array of them.
    Rows {
        /// The member that gets the key as text.
        key_field: Option<String>,
        /// The member of an enclosing object that gets the array.
        rows_field: Option<String>,
    },
    /// What the operator wrote.
    Template {
        /// The text.
        template: Box<Template>,
        /// Whether the result must be JSON.
        json: bool,
    },
}

/// Statuses that are not success and yet say something about rows.
#[derive(Clone, Debug)]
pub(super) struct Statuses {
    /// The row already was as asked.
    pub(super) unchanged: Vec<u16>,
    /// The call was refused for its rows and nothing was applied.
    pub(super) reject: Vec<u16>,
    /// Nothing was applied; to be sent again.
    pub(super) retry: Vec<u16>,
}

/// A header by which the API knows a call that it has seen before.
#[derive(Clone, Debug)]
pub(super) struct Idempotency {
    pub(super) header: HeaderName,
    pub(super) per: Per,
}

/// How long an idempotency key stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Per {
    /// Within one run, also over its restarts.
    Run,
    /// As long as the row has the same value.
    Value,
}

impl Call {
    /// Reads the table; problems go to it.
    pub(super) fn read(
        account: &HttpAccount,
        mut table: ConfigTable,
        shape: &SyncShape,
        names: &Names,
        purpose: Purpose,
    ) -> Option<Self> {
        let problems = table.problems().clone();
        let before = problems.errors();
        let method = read_method(&mut table, purpose);
        let batch_size = read_size(&mut table, "batch_size").unwrap_or(1);
        let sample = names.sample(batch_size);
        let url = read_url(&mut table, batch_size, &sample);
        let mut headers = read_headers(&mut table, "headers");
        let body = read_body(&mut table, purpose, &method, batch_size, &mut headers, &sample);
        let max_bytes = read_size(&mut table, "max_bytes");
        let concurrency = read_size(&mut table, "concurrency").unwrap_or(account.concurrency);
        let success = Success::read(&mut table, batch_size);
        let statuses = Statuses {
            unchanged: read_statuses(&mut table, "unchanged_statuses").unwrap_or_default(),
            reject: read_statuses(&mut table, "reject_statuses").unwrap_or_else(|| vec![400, 404, 409, 422]),
            retry: read_statuses(&mut table, "retry_statuses").unwrap_or_else(|| vec![429]),
        };
        let idempotency = read_idempotency(&mut table, shape.mode.0, purpose);
        let resend_safe = table.bool("resend_safe");
        if let (Some(url), Some(body)) = (&url, &body) {
            names_its_rows(&table, purpose, url, body);
        }
        table.finish();
        if problems.errors() > before {
            return None;
        }
        let (url, body) = (url?, body?);
        let reads = |variable| url.reads(variable) || body.reads(variable);
        let address = if reads("remote_id") {
            AddressKind::RemoteId
        } else if reads("match_value") {
            AddressKind::MatchValue
        } else {
            AddressKind::None
        };
        let idempotent = matches!(method, Method::PUT | Method::DELETE) || idempotency.is_some();
        let resend_safe = resend_safe.unwrap_or(idempotent);
        let success = success?;
        let fixed_url = if url.reads_any() { None } else { url.render(&Value::UNDEFINED).ok() };
        let mut all_headers = account.headers.clone();
        all_headers.extend(headers);
        Some(Self {
            method,
            url,
            fixed_url: fixed_url.and_then(|path| account.join(&path)),
            headers: all_headers,
            body,
            batch_size,
            max_bytes,
            concurrency,
            success,
            statuses,
            idempotency,
            resend_safe,
            address,
        })
    }

    /// Whether a call needs a template.
    pub(super) fn has_template(&self) -> bool {
        self.fixed_url.is_none() || matches!(&self.body, Body::Template { .. })
    }

    /// The facts of its operations.
    pub(super) fn facts(&self, account: &HttpAccount) -> Facts {
        Facts {
            max_rows: self.batch_size,
            max_bytes: self.max_bytes,
            evidence: self.success.evidence(),
            resend_safe: self.resend_safe,
            address: self.address,
            concurrency: self.concurrency,
            settle_after: account.timeouts.timeout,
            ..Facts::default()
        }
    }
}

impl Body {
    fn reads(&self, variable: &str) -> bool {
        match self {
            Self::Template { template, .. } => template.reads(variable),
            Self::Empty | Self::Rows { .. } => false,
        }
    }
}

fn read_method(table: &mut ConfigTable, purpose: Purpose) -> Method {
    let choices = [
        ("POST", Method::POST),
        ("PUT", Method::PUT),
        ("PATCH", Method::PATCH),
        ("DELETE", Method::DELETE),
        ("GET", Method::GET),
    ];
    let places: Vec<(&str, usize)> = choices.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let default = match purpose {
        Purpose::Write => Method::POST,
        Purpose::Remove => Method::DELETE,
    };
    table.choice("method", &places).map_or(default, |at| choices[at].1.clone())
}

fn read_url(table: &mut ConfigTable, batch_size: usize, sample: &Value) -> Option<Template> {
    let (text, span) = table.required_text_at("url")?;
    if !check_path(table, "url", &text, &span) {
        return None;
    }
    let template = compile(table, "url", &text, Escape::Url, &span)?;
    let known = if batch_size == 1 { ROW_VARIABLES } else { &BATCH_VARIABLES[1..] };
    if !check_variables(table, "url", &template, known, batch_size, &span) {
        return None;
    }
    try_out(table, "url", &template, sample, &span)?;
    Some(template)
}

fn read_body(
    table: &mut ConfigTable,
    purpose: Purpose,
    method: &Method,
    batch_size: usize,
    headers: &mut HeaderMap,
    sample: &Value,
) -> Option<Body> {
    let key_field = table.text("key_field");
    let rows_field = table.text_at("rows_field");
    let text = table.text_at("body");
    let bodiless = matches!(*method, Method::GET) || (purpose == Purpose::Remove && *method == Method::DELETE);
    if text.is_none() && bodiless && batch_size == 1 && key_field.is_none() {
        return Some(Body::Empty);
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let escape = Escape::of_content_type(content_type);
    let Some((text, span)) = text else {
        if escape != Escape::Json {
            table.problems().push(
                Problem::error("missing-key", format!("`{}` needs `body`", table.path()))
                    .at(table.span())
                    .remedy("without a template rows are written as JSON, which is not the Content-Type of `headers`"),
            );
            return None;
        }
        if let (Some((_, span)), 1) = (&rows_field, batch_size) {
            table.problems().push(
                Problem::error(
                    "rows-field-without-batch",
                    format!("`{}` needs a `batch_size`", table.path_of("rows_field")),
                )
                .at(span)
                .remedy("set `batch_size` above 1, or leave `rows_field` out"),
            );
        }
        return Some(Body::Rows { key_field, rows_field: rows_field.map(|(name, _)| name) });
    };
    if key_field.is_some() || rows_field.is_some() {
        table.problems().push(
            Problem::error("body-twice", format!("`{}` excludes `key_field` and `rows_field`", table.path_of("body")))
                .at(&span)
                .remedy("write the key into the template as {{ key }}"),
        );
    }
    let template = compile(table, "body", &text, escape, &span)?;
    let known = if batch_size == 1 { ROW_VARIABLES } else { BATCH_VARIABLES };
    if !check_variables(table, "body", &template, known, batch_size, &span) {
        return None;
    }
    let tried = try_out(table, "body", &template, sample, &span)?;
    let json = escape == Escape::Json;
    if json && tried.is_some_and(|body| serde_json::from_str::<serde::de::IgnoredAny>(&body).is_err()) {
        let message = format!("`{}` does not make JSON with a sample row", table.path_of("body"));
        table.problems().push(
            Problem::warning("body-not-json", message)
                .at(&span)
                .remedy("values bring their own quotes: write {\"id\": {{ key }}}, without quotes around {{ }}"),
        );
    }
    Some(Body::Template { template: Box::new(template), json })
}

/// Renders a template with a made-up row; reports what can never work. The outer `None` is a problem.
fn try_out(table: &ConfigTable, key: &str, template: &Template, sample: &Value, span: &Span) -> Option<Option<String>> {
    match template.try_out(sample) {
        Ok(rendered) => Some(rendered),
        Err(what) => {
            let message = format!("`{}` cannot be rendered: {what}", table.path_of(key));
            table.problems().push(Problem::error("bad-template", message).at(span));
            None
        }
    }
}

fn compile(table: &ConfigTable, key: &str, text: &str, escape: Escape, span: &Span) -> Option<Template> {
    match Template::compile(text, escape) {
        Ok(template) => Some(template),
        Err(what) => {
            let message = format!("`{}` is not a template: {what}", table.path_of(key));
            table.problems().push(Problem::error("bad-template", message).at(span));
            None
        }
    }
}

/// Whether a template reads only what there is.
fn check_variables(
    table: &ConfigTable,
    key: &str,
    template: &Template,
    known: &[&str],
    batch_size: usize,
    span: &Span,
) -> bool {
    let foreign = template.foreign(known);
    for name in &foreign {
        let message = format!("`{}` reads `{name}`, which is not there", table.path_of(key));
        let mut problem = Problem::error("unknown-variable", message).at(span);
        problem = if batch_size > 1 && ROW_VARIABLES.contains(name) {
            problem.remedy("a call of several rows has no one row: loop over `rows`, or set `batch_size = 1`")
        } else if *name == "rows" && batch_size == 1 {
            problem.remedy("`rows` is there where `batch_size` is above 1")
        } else {
            problem.remedy(format!("known here: {}; a field is `fields.{name}`", known.join(", ")))
        };
        table.problems().push(problem);
    }
    foreign.is_empty()
}

/// A removal has no fields: something else must say which row it is.
fn names_its_rows(table: &ConfigTable, purpose: Purpose, url: &Template, body: &Body) {
    let row_names = ["key", "keys", "remote_id", "match_value", "rows"];
    let named = match body {
        Body::Rows { key_field: Some(_), .. } => true,
        Body::Template { template, .. } => row_names.iter().any(|name| template.reads(name)),
        Body::Empty | Body::Rows { key_field: None, .. } => false,
    };
    if purpose == Purpose::Remove && !named && !row_names.iter().any(|name| url.reads(name)) {
        table.problems().push(
            Problem::error("removal-names-no-row", format!("`{}` does not say which row to remove", table.path()))
                .at(table.span())
                .remedy("use {{ key }} in `url` or `body`, or set `key_field`"),
        );
    }
}

fn read_idempotency(table: &mut ConfigTable, mode: Mode, purpose: Purpose) -> Option<Idempotency> {
    let mut inner = table.table("idempotency")?;
    let header = inner.required_text_at("header").and_then(|(name, span)| header_name(&inner, &name, &span));
    let per = inner.choice("per", &[("run", Per::Run), ("value", Per::Value)]);
    inner.finish();
    let default = match (mode, purpose) {
        // A second record is the harm.
        (Mode::Create | Mode::Append, Purpose::Write) => Per::Value,
        // An answer replayed from the last time the row had this value is the harm.
        _ => Per::Run,
    };
    Some(Idempotency { header: header?, per: per.unwrap_or(default) })
}

/// A list of statuses.
pub(super) fn read_statuses(table: &mut ConfigTable, key: &str) -> Option<Vec<u16>> {
    let item = table.take(key)?;
    let ItemKind::Array(items) = &item.kind else {
        table.wrong_type(key, "an array of statuses", &item);
        return None;
    };
    let mut statuses = Vec::with_capacity(items.len());
    for inner in items {
        match inner.kind {
            ItemKind::Integer(n @ 200..=599) => statuses.extend(u16::try_from(n)),
            ItemKind::Integer(_) => table.problems().push(
                Problem::error("out-of-range", format!("`{}` holds what is no HTTP status", table.path_of(key)))
                    .at(&inner.span)
                    .remedy("a status is a number from 200 to 599"),
            ),
            _ => table.wrong_type(key, "an array of statuses", inner),
        }
    }
    Some(statuses)
}
