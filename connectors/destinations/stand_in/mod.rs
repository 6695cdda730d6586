//! What stand-ins of vendors share: serving until the handle is dropped, settings, limits, faults on demand.

mod window;

use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub(super) use self::window::Window;

/// The state of a vendor's stand-in, and what it does with it.
pub(super) trait StandIn: Send + Sized + 'static {
    /// The vendor's name on the command line.
    const NAME: &'static str;
    /// What it can be told.
    const SETTINGS: Known;

    /// Before anything was told or called.
    fn new() -> Result<Self, Fault>;

    /// The calls that it answers.
    fn router(shared: Shared<Self>) -> Router;

    /// It is served there from now on.
    fn serves_at(&mut self, url: &str) {
        let _ = url;
    }

    /// As [`Sandbox::token`].
    fn token(&self) -> String;

    /// As [`Sandbox::calls`].
    fn calls(&self) -> u64;

    /// As [`Sandbox::records`], as of now.
    fn records(&mut self) -> Value;

    /// The limit of its calls, where it has one.
    fn window(&mut self) -> Option<&mut Window> {
        None
    }

    /// As [`Sandbox::set`].
    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault>;

    /// As [`Sandbox::expire`].
    fn expire(&mut self);
}

/// The state of a stand-in as its calls share it.
#[derive(Debug)]
pub(super) struct Shared<S>(Arc<Mutex<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Shared<S> {
    /// Until it is dropped nobody else has it: never across an `await`.
    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: StandIn> Shared<S> {
    /// A new one that was told these settings.
    ///
    /// # Errors
    /// A setting that is not known or has a wrong value.
    pub(super) fn told(settings: &[(String, String)]) -> Result<Self, Fault> {
        let mut state = S::new()?;
        for (key, value) in settings {
            tell(&mut state, key, value)?;
        }
        Ok(Self(Arc::new(Mutex::new(state))))
    }
}

/// Changes a setting.
fn tell(state: &mut impl StandIn, key: &str, value: &str) -> Result<(), Fault> {
    match state.window().map(|window| window.set(key, value)).transpose()? {
        Some(true) => Ok(()),
        _ => state.set(key, value),
    }
}

/// The kind of a stand-in.
pub(super) struct Kind<S>(PhantomData<fn() -> S>);

impl<S> Kind<S> {
    /// The one there is.
    pub(super) const NEW: Self = Self(PhantomData);
}

#[async_trait]
impl<S: StandIn> SandboxKind for Kind<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        S::SETTINGS.0
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let shared = Shared::<S>::told(settings)?;
        let address = listener
            .local_addr()
            .map_err(|error| Fault::config("the stand-in's listener has no address").caused_by(error))?;
        let url = format!("http://{address}");
        shared.lock().serves_at(&url);
        let held = shared.clone();
        let records = move || std::future::ready(json(200, &held.lock().records()));
        let held = shared.clone();
        let usage = move || std::future::ready(json(200, &held.lock().window().map(|window| window.usage())));
        let app = S::router(shared.clone()).route("/sandbox/records", get(records)).route("/sandbox/usage", get(usage));
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(async move {
                // An error means that the handle was dropped, which is the signal.
                let _ = stopped.await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, vendor = S::NAME, "a stand-in stopped");
            }
        });
        Ok(Box::new(Running { shared, url, _stop: stop }))
    }
}

/// A running stand-in: when this is dropped, its listener and idle connections are closed.
struct Running<S> {
    shared: Shared<S>,
    url: String,
    _stop: oneshot::Sender<()>,
}

impl<S: StandIn> Sandbox for Running<S> {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn token(&self) -> String {
        self.shared.lock().token()
    }

    fn calls(&self) -> u64 {
        self.shared.lock().calls()
    }

    fn records(&self) -> Value {
        self.shared.lock().records()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        tell(&mut *self.shared.lock(), key, value)
    }

    fn expire(&self) {
        self.shared.lock().expire();
    }
}

/// A JSON answer.
pub(super) fn json(status: u16, body: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json;charset=utf-8"));
    response
}

/// An answer that never comes: its body fails before the first byte, and the connection ends.
pub(super) fn lost_answer() -> Response {
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(lost) })))
}

/// Another credential than `old`, which has expired.
pub(super) fn another(old: &str) -> String {
    let (name, number) =
        old.rsplit_once('~').and_then(|(name, n)| Some((name, n.parse().ok()?))).unwrap_or((old, 1_u64));
    format!("{name}~{}", number.saturating_add(1))
}

/// A share of all values: always the same ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share(f64);

impl Share {
    /// Reads `1%`; `None` where it is something else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(Self(percent / 100.0))
    }

    /// Whether a value is one of them.
    pub(super) fn has(self, value: &str) -> bool {
        (xxhash_rust::xxh3::xxh3_64(value.as_bytes()) as f64) < self.0 * u64::MAX as f64
    }
}

/// Takes one off a counter of faults; false where there is none left.
pub(super) fn take(counter: &mut u64) -> bool {
    let left = *counter > 0;
    *counter = counter.saturating_sub(1);
    left
}

/// The settings that a stand-in knows, with one line each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known(pub(super) &'static [(&'static str, &'static str)]);

impl Known {
    /// A number.
    pub(super) fn number<T: FromStr>(self, key: &str, value: &str) -> Result<T, Fault> {
        value.parse().map_err(|_| self.wrong(key, value))
    }

    /// A value that the setting cannot have.
    pub(super) fn wrong(self, key: &str, value: &str) -> Fault {
        let about = self.0.iter().find(|(name, _)| *name == key).map_or("", |(_, about)| about);
        Fault::config(format!("the stand-in's setting `{key}` cannot be \"{value}\"")).remedy(format!("{key}: {about}"))
    }

    /// A setting that there is not.
    pub(super) fn unknown(self, key: &str) -> Fault {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        Fault::config(format!("the stand-in has no setting `{key}`")).remedy(format!("one of: {}", names.join(", ")))
    }
}

/// The items of a list separated by commas.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_about_as_many_and_always_the_same() {
        let share = Share::read("10%").expect("a share");
        let chosen: Vec<u32> = (0..10_000).filter(|n| share.has(&n.to_string())).collect();
        assert!((900..1100).contains(&chosen.len()), "{}", chosen.len());
        assert!(chosen.iter().all(|n| share.has(&n.to_string())));
        let wider = Share::read("11.5%").expect("a share");
        assert!(chosen.iter().all(|n| wider.has(&n.to_string())), "a wider share has those of a smaller one");
        assert!(!Share::default().has("x") && Share::read("100%").is_some_and(|all| all.has("x")));
        assert_eq!((Share::read("101%"), Share::read("email=x"), Share::read("")), (None, None, None));
    }

    #[test]
    fn another_credential_is_none_of_those_before() {
        let second = another("token");
        assert_eq!((second.as_str(), another(&second).as_str()), ("token~2", "token~3"));
    }
}
