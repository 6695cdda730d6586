//! What stands before every call: the token, the limits, and faults on demand.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::envelope::Problem;
use super::settings::Settings;
use super::{Account, Shared};
use crate::destinations::stand_in::{Window, lost_answer, take};

/// Answers are small: this is only a bound for reading them back.
const MAX_ANSWER: usize = 64 << 20;
/// Faults on demand concern calls below this path only.
const RECORDS: &str = "/crm/v3/objects/";

/// The calls made so far.
#[derive(Debug, Default)]
pub(super) struct Gate {
    calls: u64,
    of_day: u64,
    /// The short limit.
    pub(super) window: Window,
}

impl Gate {
    /// How many calls were answered.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Counts the day's calls from nought.
    pub(super) fn start_day(&mut self) {
        self.of_day = 0;
    }

    /// Counts a call, or says which limit it breaks.
    fn admit(&mut self, settings: &Settings) -> Result<(), Problem> {
        if settings.per_day > 0 && self.of_day >= settings.per_day {
            return Err(Problem::throttled("DAILY", "You have reached your daily limit."));
        }
        if !self.window.admit() {
            let message = "You have reached your ten_secondly_rolling limit.";
            return Err(Problem::throttled("TEN_SECONDLY_ROLLING", message));
        }
        self.of_day += 1;
        Ok(())
    }

    fn headers(&self, settings: &Settings) -> Vec<(&'static str, u64)> {
        let mut headers = Vec::new();
        let window = &self.window;
        if window.cap() > 0 {
            headers.push(("x-hubspot-ratelimit-max", window.cap() as u64));
            headers.push(("x-hubspot-ratelimit-remaining", window.left() as u64));
            headers.push(("x-hubspot-ratelimit-interval-milliseconds", window.length().as_millis() as u64));
        }
        if settings.per_day > 0 {
            headers.push(("x-hubspot-ratelimit-daily", settings.per_day));
            headers.push(("x-hubspot-ratelimit-daily-remaining", settings.per_day.saturating_sub(self.of_day)));
        }
        headers
    }
}

/// What happens to the answer of a call that was let through.
struct Passed {
    headers: Vec<(&'static str, u64)>,
    lose_answer: bool,
    slow_body: Duration,
}

/// The middleware around all calls.
pub(super) async fn pass(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let admitted = admit(&mut shared.lock(), &request);
    let passed = match admitted {
        Ok(passed) => passed,
        Err(refusal) => return *refusal,
    };
    let mut response = next.run(request).await;
    for (name, number) in passed.headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(number));
    }
    if passed.lose_answer {
        return lost_answer();
    }
    if passed.slow_body.is_zero() { response } else { slowed(response, passed.slow_body).await }
}

fn admit(account: &mut Account, request: &Request) -> Result<Passed, Box<Response>> {
    let Account { settings, gate, .. } = account;
    gate.calls += 1;
    let authorised = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorised.and_then(|text| text.strip_prefix("Bearer ")) != Some(settings.token.as_str()) {
        let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
        return Err(Box::new(Problem::new(401, "INVALID_AUTHENTICATION", message).response()));
    }
    let with_headers = |problem: &Problem, gate: &Gate, settings: &Settings| {
        let mut response = problem.response();
        for (name, number) in gate.headers(settings) {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(number));
        }
        Box::new(response)
    };
    gate.admit(settings).map_err(|problem| with_headers(&problem, gate, settings))?;
    let of_records = request.uri().path().starts_with(RECORDS);
    if of_records && take(&mut settings.throttle_next) {
        let problem = Problem::throttled("SECONDLY", "You have reached your secondly limit.");
        let mut response = with_headers(&problem, gate, settings);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(settings.retry_after));
        return Err(response);
    }
    if of_records && take(&mut settings.fail_next) {
        let problem = Problem::new(500, "INTERNAL_ERROR", "internal error");
        return Err(with_headers(&problem, gate, settings));
    }
    let lose_answer = of_records && take(&mut settings.lose_next);
    Ok(Passed { headers: gate.headers(settings), lose_answer, slow_body: settings.slow_body })
}

/// The same answer, with a pause in the middle of its body.
async fn slowed(response: Response, pause: Duration) -> Response {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_ANSWER).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let halves = async_stream::stream! {
        let middle = bytes.len() / 2;
        yield Ok::<Bytes, std::io::Error>(bytes.slice(..middle));
        tokio::time::sleep(pause).await;
        yield Ok(bytes.slice(middle..));
    };
    let mut parts = parts;
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(halves))
}
