//! Exit codes, and what a command fails with.

use std::process::ExitCode;

use backhaul_kit::Fault;
use serde::{Serialize, Serializer};

use crate::run::exit_code;
use crate::state::StateError;

/// How the program ends. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// All well.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The plan has changes (only `plan --detailed-exitcode`).
    Pending = 2,
    /// Some rows were rejected.
    Rejected = 3,
    /// A credential is missing, wrong or lacks a right.
    Credentials = 4,
    /// A guard holds the plan.
    Held = 5,
    /// Another process works on the account.
    Locked = 6,
    /// The command was given wrongly.
    Usage = 64,
    /// The destination is down, or rows were deferred.
    Unavailable = 75,
    /// The project cannot work as it is written.
    Config = 78,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// From the mildest to the gravest.
    const BY_GRAVITY: [Self; 11] = [
        Self::Ok,
        Self::Pending,
        Self::Rejected,
        Self::Held,
        Self::Locked,
        Self::Unavailable,
        Self::Credentials,
        Self::Config,
        Self::Usage,
        Self::Failed,
        Self::Interrupted,
    ];

    /// Its number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit of that number; [`Exit::Failed`] for any other.
    pub fn from_code(code: u8) -> Self {
        Self::BY_GRAVITY.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Failed)
    }

    /// The graver of two: what a command over several syncs ends with.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let gravity = |exit| Self::BY_GRAVITY.iter().position(|e| *e == exit);
        if gravity(other) > gravity(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

/// Why a command failed: a sentence and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What happened, as a fragment in lower case; never row values or secrets. Empty where everything was said.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), remedy: None }
    }

    /// The command was given wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Everything was already said on the screen.
    pub fn said(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::new(Exit::from_code(error.exit_code()), error.to_string()).remedy(error.remedy())
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::new(Exit::from_code(exit_code(fault.class)), fault.to_string()).remedy(fault.remedy_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::FaultClass;

    #[test]
    fn the_graver_exit_wins() {
        assert_eq!(Exit::Rejected.worst(Exit::Ok), Exit::Rejected);
        assert_eq!(Exit::Rejected.worst(Exit::Unavailable), Exit::Unavailable);
        assert_eq!(Exit::Interrupted.worst(Exit::Failed), Exit::Interrupted);
        assert_eq!(Exit::Ok.worst(Exit::Pending), Exit::Pending);
    }

    #[test]
    fn faults_and_state_errors_bring_their_codes() {
        let exit = |class| Failure::from(Fault::new(class, "x")).exit;
        assert_eq!(exit(FaultClass::Auth), Exit::Credentials);
        assert_eq!(exit(FaultClass::Config), Exit::Config);
        assert_eq!(exit(FaultClass::Transient), Exit::Unavailable);
        assert_eq!(exit(FaultClass::Bug), Exit::Failed);
        assert_eq!(Failure::from(StateError::LeaseLost).exit, Exit::Locked);
        assert_eq!(Exit::from_code(99), Exit::Failed);
    }
}
