//! What stand-ins of vendors share: serving until the handle is dropped, settings, limits, faults on demand.
//!
//! A stand-in of a vendor is a state that answers one call at a time ([`StandIn::answer`]); it says how its vendor puts
//! refusals, what its records are, and what else it can be told. All else is here:
//!
//! | file | what is there |
//! |---|---|
//! | `call` | a call and an answer |
//! | `common` | the settings that all have, values to refuse among them |
//! | `gate` | what stands before a call and behind its answer: latency, token, limits, faults |
//! | `told` | a setting with its value |
//! | `window` | a limit of calls, and what is used of it (`GET /sandbox/usage`) |

mod call;
mod common;
mod gate;
mod told;
mod window;

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};
use axum::{Json, Router};
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub(super) use self::call::{Answer, Call, form, quoted};
pub(super) use self::common::{Common, Rejects, take};
pub(super) use self::told::{Setting, Told};
pub(super) use self::window::Window;

/// The largest body that is read.
const MAX_BODY: usize = 150 << 20;

/// The state of a vendor's stand-in, and what it does with it.
pub(super) trait StandIn: Send + Sized + 'static {
    /// The vendor's name on the command line.
    const NAME: &'static str;
    /// What it alone can be told, and where it has other words for what all can be.
    const SETTINGS: &'static [Setting];

    /// Before anything was told or called.
    fn new() -> Result<Self, Fault>;

    /// Settings and counts that all have.
    fn common(&mut self) -> &mut Common;

    /// Answers a call that was let through.
    fn answer(&mut self, call: &Call<'_>) -> Answer;

    /// The vendor's words for a call that was not.
    fn refuse(&mut self, call: &Call<'_>, why: Stopped) -> Answer;

    /// What kind of call it is.
    fn sort(&self, call: &Call<'_>) -> Sort {
        if call.method == "GET" { Sort::Read } else { Sort::Write }
    }

    /// Whether a call has the right credential.
    fn accepts(&mut self, call: &Call<'_>) -> bool {
        call.bearer() == Some(self.common().token.as_str())
    }

    /// Refuses what the credential is not good for, or a quota of the vendor's own kind.
    fn permit(&mut self, call: &Call<'_>) -> Result<(), Answer> {
        let _ = call;
        Ok(())
    }

    /// Adds what the vendor says with every answer.
    fn mark(&mut self, call: &Call<'_>, answer: &mut Answer) {
        let _ = (call, answer);
    }

    /// It is served there from now on.
    fn serves_at(&mut self, url: &str) {
        let _ = url;
    }

    /// As [`Sandbox::token`].
    fn token(&mut self) -> String {
        self.common().token.clone()
    }

    /// As [`Sandbox::account`]; by default a `token`.
    fn account(&self) -> String {
        String::from("token = { secret = \"sandbox\" }\n")
    }

    /// As [`Sandbox::records`], as of now.
    fn records(&mut self) -> Value;

    /// Changes a setting of its own, or one that all have in its own way; false for all others.
    ///
    /// # Errors
    /// A wrong value.
    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault>;

    /// As [`Sandbox::expire`].
    fn expire(&mut self) {
        let token = &mut self.common().token;
        *token = common::another(token);
    }
}

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Nothing stands before it, and it is not counted: it needs no credential.
    Free,
    /// It is answered where it is let through.
    Read,
    /// Faults on demand concern it.
    Write,
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A wrong credential, or none.
    Stranger,
    /// The limit is used up.
    Limit,
    /// Told to: too many calls.
    Throttled,
    /// Told to: an internal error.
    Failed,
}

/// The state of a stand-in as its calls share it.
struct Shared<S>(Arc<Mutex<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Shared<S> {
    /// Until it is dropped nobody else has it: never across an `await`.
    fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All settings of a stand-in: its own, then those that all have, of which it may have its own words.
fn settings<S: StandIn>() -> Vec<Setting> {
    let is_own = |name: &str| S::SETTINGS.iter().any(|(own, _)| *own == name);
    S::SETTINGS.iter().chain(common::SETTINGS.iter().filter(|(name, _)| !is_own(name))).copied().collect()
}

/// Changes a setting.
fn tell<S: StandIn>(state: &mut S, key: &str, value: &str) -> Result<(), Fault> {
    let known = settings::<S>();
    let told = Told { key, value, known: &known };
    if state.set(told)? || state.common().set(told)? { Ok(()) } else { Err(told.unknown()) }
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

    fn settings(&self) -> Vec<Setting> {
        settings::<S>()
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let mut state = S::new()?;
        for (key, value) in settings {
            tell(&mut state, key, value)?;
        }
        let address = listener
            .local_addr()
            .map_err(|error| Fault::config("the stand-in's listener has no address").caused_by(error))?;
        let url = format!("http://{address}");
        state.serves_at(&url);
        let shared = Shared(Arc::new(Mutex::new(state)));
        let (of_records, of_usage) = (shared.clone(), shared.clone());
        let app = Router::new()
            .route("/{*path}", any(gate::serve::<S>))
            .with_state(shared.clone())
            .route("/sandbox/records", get(move || std::future::ready(Json(of_records.lock().records()))))
            .route("/sandbox/usage", get(move || std::future::ready(Json(of_usage.lock().common().window.usage()))))
            .layer(DefaultBodyLimit::max(MAX_BODY));
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

    fn account(&self) -> String {
        self.shared.lock().account()
    }

    fn calls(&self) -> u64 {
        self.shared.lock().common().calls
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

#[cfg(test)]
mod tests {
    use backhaul_kit::config::{Problems, SourceFile, parse};

    use super::*;

    #[tokio::test]
    async fn every_stand_in_says_how_an_account_points_to_it() {
        for (kind, stand_in) in crate::destinations().iter().filter_map(|kind| Some((kind, kind.sandbox?))) {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let running = stand_in().start(listener, &[]).await.expect("a stand-in");
            let text = format!("base_url = \"{}\"\n{}", running.url(), running.account());
            let problems = Problems::default();
            let mut table = parse(&Arc::new(SourceFile { path: "t.toml".into(), text }), &problems);
            let account = kind.account(&mut table);
            table.finish();
            assert_eq!(problems.take(), [], "{}", kind.name);
            assert!(account.is_some_and(|account| account.is_stand_in()), "{}", kind.name);
            assert!(running.account().contains("{ secret = \"sandbox\" }"), "{}", kind.name);
        }
    }

    #[test]
    fn every_stand_in_has_all_that_all_have_and_each_once() {
        let kinds: Vec<_> = crate::destinations().iter().filter_map(|kind| kind.sandbox).collect();
        assert!(!kinds.is_empty());
        for kind in kinds {
            let mut names: Vec<&str> = kind().settings().into_iter().map(|(name, _)| name).collect();
            assert!(common::SETTINGS.iter().all(|(name, _)| names.contains(name)), "{}: {names:?}", kind().name());
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", kind().name());
        }
    }
}
