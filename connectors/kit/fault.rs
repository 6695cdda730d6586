//! What went wrong with a whole call, and what its reader can do about it.
//!
//! A [`Fault`] speaks of a call (a query, a request, a job); what became of one *row* is a
//! [`Verdict`](crate::Verdict). The class decides what the engine does next and how the program
//! ends; the vendor's edge decides the class.

use std::error::Error as StdError;
use std::time::Duration;

words! {
    /// What kind of fault a call ended with.
    pub enum FaultClass {
        /// The other side asked for fewer calls. Nothing was applied.
        Throttled = "throttled",
        /// The call failed and is *known* not to have been applied: it may be made again.
        Transient = "transient",
        /// The credential is missing, wrong, expired or lacks a right.
        Auth = "auth",
        /// What the operator wrote cannot work: an unknown object, a wrong query, a refused field.
        Config = "config",
        /// The batch as a whole was refused for its size or for one of its rows: cut it in two.
        Split = "split",
        /// The call may or may not have been applied.
        Ambiguous = "ambiguous",
        /// The connector or the engine broke its own contract.
        Bug = "bug",
    }
}

impl FaultClass {
    /// What to do about it when the fault itself knows nothing better.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Throttled => "wait, or lower `quota` so that other users of the account keep their share",
            Self::Transient => "check the network and the other side's status, then run again: nothing was applied",
            Self::Auth => "check the credential and its rights",
            Self::Config => "correct the configuration and run `backhaul validate`",
            Self::Split => "one row may be too large for the destination: see `backhaul rejects`",
            Self::Ambiguous => "run again: rows whose fate is unknown are compared afresh",
            Self::Bug => "this is a defect of backhaul: please report it with the run's id",
        }
    }
}

/// A failed call: its class, a sentence that says what happened, and a remedy.
///
/// The message never carries row values or secrets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What the engine does about it.
    pub class: FaultClass,
    /// What happened, as a sentence fragment in lower case ("cannot reach 127.0.0.1:5432").
    pub message: String,
    /// What the reader can do; [`FaultClass::remedy`] where absent.
    pub remedy: Option<String>,
    /// How long the other side asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Byte offset into the model's SQL at which the warehouse saw the error.
    pub sql_offset: Option<usize>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Fault {
    /// A fault of `class` with a message.
    pub fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), remedy: None, retry_after: None, sql_offset: None, source: None }
    }

    /// The other side asked for fewer calls; `retry_after` is what it said, if anything.
    pub fn throttled(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..Self::new(FaultClass::Throttled, message) }
    }

    /// Failed and known not to be applied.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Transient, message)
    }

    /// A credential problem.
    pub fn auth(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Auth, message)
    }

    /// A configuration problem.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Config, message)
    }

    /// The batch must be cut.
    pub fn split(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Split, message)
    }

    /// It may have been applied.
    pub fn ambiguous(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Ambiguous, message)
    }

    /// A broken contract.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Bug, message)
    }

    /// The fault of a later call of a batch: what the earlier ones did is not undone by it.
    #[must_use]
    pub fn after_a_write(mut self) -> Self {
        if matches!(self.class, FaultClass::Throttled | FaultClass::Transient) {
            self.class = FaultClass::Ambiguous;
        }
        self
    }

    /// Says what the reader can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same of a call that applies nothing, whatever became of it, as one that only reads: it may be made again.
    #[must_use]
    pub fn not_applied(mut self) -> Self {
        if self.class == FaultClass::Ambiguous {
            self.class = FaultClass::Transient;
        }
        self
    }

    /// Says where in the model's SQL the warehouse saw the error (byte offset).
    #[must_use]
    pub fn at_sql(mut self, offset: Option<usize>) -> Self {
        self.sql_offset = offset;
        self
    }

    /// The remedy to print.
    pub fn remedy_text(&self) -> &str {
        self.remedy.as_deref().unwrap_or_else(|| self.class.remedy())
    }
}
