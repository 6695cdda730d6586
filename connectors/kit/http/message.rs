//! Requests, answers, and what an answer means where it says nothing of rows.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::auth::Auth;
use super::limit::Limiter;
use super::token::Tokens;
use crate::config::Secret;
use crate::fault::Fault;
use crate::preview::RequestPreview;

/// A request before it is sent. `Debug` leaves out what may hold row values.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: Url,
    /// Headers besides the credential.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.url.host_str().unwrap_or("");
        write!(f, "Request({} to {host}, {} bytes)", self.method, self.body.len())
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = body.into();
        self
    }

    /// What `plan --request` shows: credentials are added later and are not in it.
    pub fn preview(&self, auth: &Auth) -> RequestPreview {
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let named = |secret: &Secret| Ok(format!("<{}>", secret.reference()));
        let token = |tokens: &Tokens| Ok(format!("<access token of {}>", tokens.of_whom()));
        let login = |user: &str, password: &str| format!("Basic {user}:{password}");
        if let Ok(Some((name, value))) = auth.header(named, token, login) {
            headers.push((name.to_string(), value));
        }
        RequestPreview {
            method: self.method.to_string(),
            target: self.url.to_string(),
            headers,
            body: String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}

/// An answer, whole. `Debug` leaves out what may hold row values.
#[derive(Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// When the limiter had let the call through.
    pub asked: tokio::time::Instant,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

impl Answer {
    /// The body as JSON, where it is JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// How a vendor's answers speak of limits and of calls that were refused.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Steers the limiter by what every answer says; the share of the account's limits that may be used.
    pub steer: fn(&Answer, &Limiter, f64),
    /// The fault of an answer that is no success.
    pub fault: fn(&Answer) -> Option<Fault>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { steer: |_, _, _| {}, fault: fault_of_status }
    }
}

/// `Retry-After` in seconds or as a date.
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let when = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(when.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO))
}

/// What a status means where the vendor says nothing special. `None` for 2xx.
///
/// 408, 5xx: the call may have been applied. 413: cut the batch. 400, 404, 409, 422 are left to the
/// caller as `Config`, with the status in the message.
pub fn fault_of_status(answer: &Answer) -> Option<Fault> {
    let status = answer.status;
    if status.is_success() {
        return None;
    }
    let said = format!("the destination answered {status}");
    Some(match status.as_u16() {
        401 => Fault::auth(said).remedy("the credential was refused: renew it"),
        403 => Fault::auth(said).remedy("the credential lacks a right for this operation"),
        407 => Fault::auth(said).remedy("the proxy wants a credential"),
        413 => Fault::split(said),
        429 => Fault::throttled(said, retry_after(answer)),
        503 if retry_after(answer).is_some() => Fault::throttled(said, retry_after(answer)),
        408 | 425 | 500..=599 => Fault::ambiguous(said),
        300..=399 => Fault::config(said).remedy("redirects are not followed: write the final URL"),
        _ => Fault::config(said),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a header"));
            let asked = tokio::time::Instant::now();
            retry_after(&Answer { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Bytes::new(), asked })
        };
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let far = after("Tue, 31 Dec 2999 23:59:59 GMT").expect("a date");
        assert!(far > Duration::from_secs(3600));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn debug_output_holds_no_row_and_no_query() {
        let url = "https://api.example.com/v1/people/ada?email=ada@example.com".parse().expect("a URL");
        let request = Request::new(Method::GET, url).json("{\"email\":\"ada@example.com\"}");
        let (headers, asked) = (HeaderMap::new(), tokio::time::Instant::now());
        let answer = Answer { status: StatusCode::OK, headers, body: Bytes::from_static(b"ada"), asked };
        let shown = format!("{request:?} {answer:?}");
        assert!(!shown.contains("ada"), "{shown}");
        assert!(shown.contains("api.example.com"));
    }
}
