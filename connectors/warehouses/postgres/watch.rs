//! Looks after a scan: bounds it by the wall clock, and asks over a second connection whether its backend still
//! works when nothing comes.
//!
//! A connection whose other end is gone without a word stays open for ever on this side. The server knows better:
//! a backend that computes is active; one that waits for this client to take bytes (`ClientWrite`) while none
//! arrive here is cut off; one that does nothing, or is not there, has ended.

use std::pin::pin;
use std::time::Duration;

use backhaul_kit::{Fault, Model};
use futures_util::future::{Either, select};
use sqlx::{PgConnection, Row as _};
use tokio::time::{Instant, timeout};

use super::fault::of_call;
use super::session::{Backend, Server, goodbye};

/// How long a look, or the end of a backend, may take.
const LOOK: Duration = Duration::from_secs(20);
/// How long bytes may be on their way.
const GRACE: Duration = Duration::from_secs(2);

/// Watches one scan.
#[derive(Clone)]
pub(super) struct Watch {
    server: Server,
    model: String,
    backend: Option<Backend>,
    limit: Option<Duration>,
    deadline: Option<Instant>,
    idle: Duration,
}

impl Watch {
    /// Starts the clock of a scan of `model`.
    pub(super) fn start(server: Server, model: &Model) -> Self {
        Self {
            server,
            model: model.name.clone(),
            backend: None,
            limit: model.timeout,
            deadline: model.timeout.map(|limit| Instant::now() + limit),
            idle: model.idle_timeout,
        }
    }

    /// Watches a change of tables, which takes as long as it takes.
    pub(super) fn over_tables(server: Server, idle: Duration) -> Self {
        Self { server, model: String::from("snapshot tables"), backend: None, limit: None, deadline: None, idle }
    }

    /// The same clocks for another connection of the scan.
    pub(super) fn another(&self) -> Self {
        Self { backend: None, ..self.clone() }
    }

    /// Says which backend works for the scan; before that only the clock bounds it.
    pub(super) fn backend(&mut self, backend: Backend) {
        self.backend = Some(backend);
    }

    /// Opens a connection to the scan's server.
    pub(super) async fn connect(&self) -> Result<PgConnection, Fault> {
        self.over(self.server.connect()).await?
    }

    /// `host:port`, for messages.
    pub(super) fn place(&self) -> &str {
        &self.server.place
    }

    /// Waits for `work`, and looks after its backend meanwhile.
    ///
    /// # Errors
    /// `Transient` when the wall clock ran out or the backend does not work any more; the backend is then ended, and
    /// the connection must not be used again.
    pub(super) async fn over<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        let mut work = pin!(work);
        loop {
            let now = Instant::now();
            let wait = match self.deadline {
                Some(deadline) if deadline <= now => return Err(self.out_of_time().await),
                Some(deadline) => self.idle.min(deadline - now),
                None => self.idle,
            };
            if let Ok(done) = timeout(wait, work.as_mut()).await {
                return Ok(done);
            }
            if wait == self.idle {
                // Data that comes meanwhile is news enough.
                let silence = match select(work.as_mut(), pin!(self.look())).await {
                    Either::Left((done, _)) => return Ok(done),
                    Either::Right((Ok(()), _)) => continue,
                    Either::Right((Err(silence), _)) => silence,
                };
                // What the backend sent just before it was looked at may still be on its way.
                if let Ok(done) = timeout(GRACE, work.as_mut()).await {
                    return Ok(done);
                }
                self.end_backend().await;
                return Err(silence);
            }
        }
    }

    async fn out_of_time(&self) -> Fault {
        self.end_backend().await;
        let limit = self.limit.unwrap_or_default().as_secs_f32();
        Fault::transient(format!("the scan of model `{}` took longer than its `timeout` of {limit} s", self.model))
            .remedy("raise the model's `timeout`, or make its query cheaper")
    }

    /// Whether the backend still works for this scan.
    async fn look(&self) -> Result<(), Fault> {
        let Some(backend) = &self.backend else { return Ok(()) };
        let silent = |what: &str| {
            let seconds = self.idle.as_secs_f32();
            Fault::transient(format!("no data from PostgreSQL at {} for {seconds} s, and {what}", self.place()))
                .remedy("check the network between here and the server, then run again: nothing was applied")
        };
        let asked = async {
            let mut conn = self.server.connect().await?;
            let row = sqlx::query(
                "SELECT state, wait_event FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2",
            )
            .bind(backend.pid)
            .bind(&backend.started)
            .fetch_optional(&mut conn)
            .await
            .map_err(|e| of_call(e, self.place()))?;
            goodbye(conn).await;
            let Some(row) = row else { return Ok(Some("its backend is gone")) };
            let text = |at: usize| row.try_get::<Option<String>, _>(at).ok().flatten().unwrap_or_default();
            Ok::<_, Fault>(match (text(0).as_str(), text(1).as_str()) {
                ("active", "ClientWrite") => Some("its backend waits for this side: the connection is cut"),
                ("active", _) => None,
                _ => Some("its backend does nothing: the connection is cut"),
            })
        };
        match timeout(LOOK, asked).await {
            Ok(Ok(None)) => {
                tracing::debug!(model = %self.model, pid = backend.pid, "no data yet, the backend works");
                Ok(())
            }
            Ok(Ok(Some(what))) => Err(silent(what)),
            Ok(Err(fault)) => Err(silent("a second connection failed").caused_by(fault)),
            Err(_) => Err(silent("a second connection did not answer")),
        }
    }

    /// Asks the server to end the backend: its connection is given up.
    async fn end_backend(&self) {
        let Some(backend) = &self.backend else { return };
        let asked = async {
            let mut conn = self.server.connect().await?;
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE pid = $1 AND backend_start::text = $2",
            )
            .bind(backend.pid)
            .bind(&backend.started)
            .execute(&mut conn)
            .await
            .map_err(|e| of_call(e, self.place()))?;
            goodbye(conn).await;
            Ok::<_, Fault>(())
        };
        // The scan has failed already; what is left is the server's load, which `client_connection_check_interval` ends.
        if !matches!(timeout(LOOK, asked).await, Ok(Ok(()))) {
            tracing::debug!(model = %self.model, pid = backend.pid, "the backend could not be ended");
        }
    }
}
