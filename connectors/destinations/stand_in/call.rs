//! A call, and its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;

/// A call.
#[derive(Debug)]
pub(in crate::destinations) struct Call<'a> {
    pub(in crate::destinations) method: &'a str,
    /// The parts of its path, decoded, without the first slash.
    pub(in crate::destinations) path: &'a [&'a str],
    query: BTreeMap<String, String>,
    headers: &'a HeaderMap,
    pub(in crate::destinations) body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(super) fn new(
        method: &'a str,
        path: &'a [&'a str],
        query: Option<&str>,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Self {
        Self { method, path, query: form(query.unwrap_or_default().as_bytes()), headers, body }
    }

    /// Its body; null where it is no JSON.
    pub(in crate::destinations) fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }

    /// A parameter of the query.
    pub(in crate::destinations) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A header.
    pub(in crate::destinations) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The bearer token.
    pub(in crate::destinations) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// User and password.
    pub(in crate::destinations) fn basic(&self) -> Option<(String, String)> {
        let pair = STANDARD.decode(self.header("authorization")?.strip_prefix("Basic ")?).ok()?;
        let (user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
}

/// Reads a body or a query in form encoding.
pub(in crate::destinations) fn form(text: &[u8]) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://form/?{}", String::from_utf8_lossy(text)));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

/// A text in single quotes, and what follows it; what follows a backslash in it is a letter like others, or a new line.
pub(in crate::destinations) fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut out, mut letters) = (String::new(), text.strip_prefix('\'')?.chars());
    loop {
        out.push(match letters.next()? {
            '\'' => return Some((out, letters.as_str())),
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                letter => letter,
            },
            letter => letter,
        });
    }
}

/// An answer.
#[derive(Debug)]
pub(in crate::destinations) struct Answer {
    pub(in crate::destinations) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// Of whatever type.
    pub(in crate::destinations) fn plain(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// In JSON.
    pub(in crate::destinations) fn json(status: u16, body: &impl Serialize) -> Self {
        let mut answer = Self::plain(status, serde_json::to_vec(body).unwrap_or_default());
        answer.header("content-type", &"application/json;charset=utf-8");
        answer
    }

    /// Sets a header.
    pub(in crate::destinations) fn header(&mut self, name: &'static str, value: &impl ToString) {
        self.headers.push((name, value.to_string()));
    }

    /// As it goes over the wire, with a pause in the middle of its body.
    pub(super) fn response(self, pause: Duration) -> Response {
        let body = Bytes::from(self.body);
        let mut response = Response::new(if pause.is_zero() { Body::from(body) } else { halves(body, pause) });
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            // Numbers and words of the stand-in's own: every one is a header.
            let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A status and JSON; no body where that is null.
impl From<(u16, Value)> for Answer {
    fn from((status, body): (u16, Value)) -> Self {
        if body.is_null() { Self::plain(status, Vec::new()) } else { Self::json(status, &body) }
    }
}

/// An answer that never comes: its body fails before the first byte, and the connection ends.
pub(super) fn lost() -> Response {
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(lost) })))
}

fn halves(body: Bytes, pause: Duration) -> Body {
    Body::from_stream(async_stream::stream! {
        let middle = body.len() / 2;
        yield Ok::<Bytes, std::io::Error>(body.slice(..middle));
        tokio::time::sleep(pause).await;
        yield Ok(body.slice(middle..));
    })
}
