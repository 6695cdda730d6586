//! Rows into requests.

use backhaul_kit::http::{self, Request};
use backhaul_kit::value::write_json_str;
use backhaul_kit::{Batch, Fault, Reason, Row, Run, key};
use minijinja::value::Value;
use reqwest::header::HeaderValue;

use super::request::{Body, Call, Per};
use super::sync::HttpSync;
use super::template::Names;

/// What became of a batch on its way to a request.
#[derive(Debug)]
pub(super) enum Rendered {
    /// A request for all its rows.
    Request(Box<Request>),
    /// Its one row cannot be sent.
    Refused(Reason),
}

impl HttpSync {
    /// Writes the request of `batch`.
    ///
    /// # Errors
    /// `Split` where one of several rows cannot be written, or all together are too large.
    pub(super) fn render(&self, call: &Call, run: &Run, batch: &Batch) -> Result<Rendered, Fault> {
        let reason = match self.try_render(call, run, batch) {
            Ok(request) => return Ok(Rendered::Request(Box::new(request))),
            Err(reason) => reason,
        };
        if batch.rows.len() == 1 {
            return Ok(Rendered::Refused(reason));
        }
        Err(Fault::split(format!("a batch of {} rows cannot be written as one request", batch.rows.len())))
    }

    fn try_render(&self, call: &Call, run: &Run, batch: &Batch) -> Result<Request, Reason> {
        // A batch of one under `batch_size = 1` is *the* row; anything else has `rows`.
        let single = batch.rows.first().filter(|_| call.batch_size == 1);
        for row in &batch.rows {
            self.nest.check(row.fields.iter())?;
        }
        // Most calls have a fixed URL and no template: their rows are not made into template values.
        let context = match (single, &call.body) {
            _ if !call.has_template() => Value::UNDEFINED,
            (Some(row), _) => self.names.of_row(run, batch, row),
            (None, Body::Template { .. }) => self.names.of_batch(run, batch),
            (None, _) => Names::of_call(run, batch),
        };
        let url = match &call.fixed_url {
            Some(url) => url.clone(),
            None => self.account.join(&call.url.render(&context)?).ok_or_else(|| {
                Reason::new("URL", "the row's values make a URL that leads elsewhere (a part of it is `.` or `..`)")
            })?,
        };
        let mut request = Request::new(call.method.clone(), url);
        request.headers = call.headers.clone();
        if let Some(idempotency) = &call.idempotency {
            let text = idempotency_key(run, batch, idempotency.per);
            // Hexadecimal digits are always a header's value.
            if let Ok(value) = HeaderValue::try_from(text) {
                request.headers.insert(idempotency.header.clone(), value);
            }
        }
        request.body = match &call.body {
            Body::Empty => Vec::new(),
            Body::Rows { key_field, rows_field } => {
                self.rows(batch, single, key_field.as_deref(), rows_field.as_deref())
            }
            Body::Template { template, json } => {
                let text = template.render(&context)?;
                if *json && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
                    return Err(Reason::new("TEMPLATE", "the body that the template makes is not JSON"));
                }
                text.into_bytes()
            }
        }
        .into();
        match call.max_bytes {
            Some(max) if request.body.len() > max => {
                Err(Reason::new("TOO_LARGE", format!("the request has {} bytes, more than {max}", request.body.len())))
            }
            _ => Ok(request),
        }
    }

    fn rows(&self, batch: &Batch, single: Option<&Row>, key_field: Option<&str>, rows_field: Option<&str>) -> Vec<u8> {
        let label = key_field.map(|name| {
            let mut label = Vec::with_capacity(name.len() + 3);
            write_json_str(name, &mut label);
            label.push(b':');
            label
        });
        // A guess that saves most of the growing.
        let mut out = Vec::with_capacity(batch.rows.len() * 32 * (self.names.fields.len() + 1));
        if let Some(row) = single {
            self.row(row, label.as_deref(), &mut out);
            return out;
        }
        if let Some(name) = rows_field {
            out.push(b'{');
            write_json_str(name, &mut out);
            out.push(b':');
        }
        out.push(b'[');
        for (at, row) in batch.rows.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.row(row, label.as_deref(), &mut out);
        }
        out.push(b']');
        if rows_field.is_some() {
            out.push(b'}');
        }
        out
    }

    fn row(&self, row: &Row, key_label: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(label) = key_label else { return self.nest.write_json(&row.fields, out) };
        out.push(b'{');
        out.extend_from_slice(label);
        write_json_str(&key::display(&row.key), out);
        let brace = out.len();
        self.nest.write_json(&row.fields, out);
        // The object's opening brace becomes the comma after the key, or goes where there is no field.
        if out.get(brace + 1) == Some(&b'}') {
            out.remove(brace);
        } else if let Some(byte) = out.get_mut(brace) {
            *byte = b',';
        }
    }
}

/// SHA-256 over sync, operation and each row's key and fingerprint, in hexadecimal digits; with
/// [`Per::Run`] over the run's id too.
pub(super) fn idempotency_key(run: &Run, batch: &Batch, per: Per) -> String {
    let fingerprints: Vec<[u8; 8]> = batch.rows.iter().map(|row| row.fingerprint.to_le_bytes()).collect();
    let mut parts: Vec<&[u8]> = vec![run.sync.as_bytes(), batch.operation.as_str().as_bytes()];
    parts.extend((per == Per::Run).then_some(run.id.as_bytes()));
    for (row, fingerprint) in batch.rows.iter().zip(&fingerprints) {
        parts.extend([&*row.key, fingerprint]);
    }
    http::idempotency_key(parts)
}
