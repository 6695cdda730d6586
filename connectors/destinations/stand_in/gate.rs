//! What stands before every call and behind its answer.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;

use super::call::{Answer, Call, lost};
use super::common::take;
use super::{Shared, Sort, StandIn, Stopped};

/// Answers a call.
pub(super) async fn serve<S: StandIn>(
    State(shared): State<Shared<S>>,
    method: Method,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let in_flight = InFlight::new(shared);
    let latency = in_flight.0.lock().common().latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let path: Vec<&str> = path.split('/').collect();
    let call = Call::new(method.as_str(), &path, uri.query(), &headers, &body);
    let state = &mut *in_flight.0.lock();
    let answer = answer(state, &call);
    answer.map_or_else(lost, |answer| answer.response(state.common().slow_body))
}

/// A call that was not answered yet, until its answer is made or its caller is gone.
struct InFlight<S: StandIn>(Shared<S>);

impl<S: StandIn> InFlight<S> {
    fn new(shared: Shared<S>) -> Self {
        shared.lock().common().in_flight += 1;
        Self(shared)
    }
}

impl<S: StandIn> Drop for InFlight<S> {
    fn drop(&mut self) {
        self.0.lock().common().in_flight -= 1;
    }
}

/// Lets a call through and answers it; `None` where the answer is lost.
fn answer<S: StandIn>(state: &mut S, call: &Call<'_>) -> Option<Answer> {
    let sort = state.sort(call);
    let passed = if sort == Sort::Free { Ok(()) } else { pass(state, call, sort) };
    let mut answer = passed.map_or_else(|refused| refused, |()| state.answer(call));
    if sort == Sort::Write && answer.status < 400 {
        let common = state.common();
        let is_lost = take(&mut common.lose_next);
        if take(&mut common.expire_after) && common.expire_after == 0 {
            state.expire();
        }
        if is_lost {
            return None;
        }
    }
    state.mark(call, &mut answer);
    Some(answer)
}

/// Lets a call through, or refuses it.
fn pass<S: StandIn>(state: &mut S, call: &Call<'_>, sort: Sort) -> Result<(), Answer> {
    state.common().calls += 1;
    if !state.accepts(call) {
        return Err(state.refuse(call, Stopped::Stranger));
    }
    state.permit(call)?;
    if state.common().is_crowded() || !state.common().window.admit() {
        return Err(state.refuse(call, Stopped::Limit));
    }
    if sort == Sort::Write && take(&mut state.common().throttle_next) {
        let mut refused = state.refuse(call, Stopped::Throttled);
        if state.common().retry_after > 0 {
            refused.header("retry-after", &state.common().retry_after);
        }
        return Err(refused);
    }
    if sort == Sort::Write && take(&mut state.common().fail_next) {
        return Err(state.refuse(call, Stopped::Failed));
    }
    Ok(())
}
