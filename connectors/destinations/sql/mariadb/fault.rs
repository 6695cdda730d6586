//! What an error of the server means: for a statement, for COMMIT, for anything else.

use backhaul_kit::{Fault, Reason};
use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use super::super::database::Failure;

/// What an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What a row says.
    Row,
    /// The message is too large.
    TooLarge,
    /// User, password, rights.
    Auth,
    /// Names, syntax, a server that takes no writes.
    Config,
    /// Anything that may be over soon.
    Passing,
}

/// By the server's number, then by the class of its SQLSTATE.
fn kind(number: u16, state: &str) -> Kind {
    match number {
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => Kind::Auth,
        1153 => Kind::TooLarge,
        // No value for a column, wrong or cut values, geometry, no partition, a row that is too large.
        1265 | 1364 | 1366 | 1416 | 1526 | 1118 => Kind::Row,
        // Read-only, unknown database.
        1290 | 1836 | 1049 => Kind::Config,
        _ => match state.get(..2) {
            Some("21" | "22" | "23" | "45") => Kind::Row,
            Some("42" | "3D") => Kind::Config,
            Some("28") => Kind::Auth,
            _ => Kind::Passing,
        },
    }
}

/// A fault of a call that is not about rows; `place` is `host:port`.
pub(super) fn of_call(error: &Error, place: &str) -> Fault {
    if let Some(server) = server_error(error) {
        let text = format!("MariaDB at {place}: {} ({})", server.message(), server.number());
        return match kind(server.number(), server.code().unwrap_or_default()) {
            Kind::Auth => Fault::auth(text)
                .remedy("check user and password in the URL; `backhaul validate` names the missing GRANT"),
            Kind::Config => Fault::config(text),
            Kind::TooLarge => Fault::split(text),
            Kind::Row => Fault::config(format!("MariaDB at {place} refused a statement ({})", server.number())),
            Kind::Passing => Fault::transient(text),
        };
    }
    match error {
        Error::Io(error) => Fault::transient(format!("cannot reach MariaDB at {place}: {error}"))
            .remedy("check host, port, network and that the server runs"),
        Error::Tls(error) => Fault::config(format!("no TLS connection to MariaDB at {place}: {error}"))
            .remedy("with a private certificate authority set `sslrootcert`; see also `ssl-mode` in the URL"),
        Error::Configuration(_) => Fault::config(format!("the options for MariaDB at {place} cannot be used")),
        error => Fault::transient(format!("the connection to MariaDB at {place} broke: {error}")),
    }
}

/// A statement failed before COMMIT was sent: nothing was applied.
pub(super) fn of_statement(error: &Error, place: &str) -> Failure {
    match server_error(error) {
        Some(server) if kind(server.number(), server.code().unwrap_or_default()) == Kind::Row => {
            Failure::Row(reason(server))
        }
        _ => Failure::Call(of_call(error, place)),
    }
}

/// COMMIT failed: only a conflict of transactions says that it was taken back.
pub(super) fn of_commit(error: &Error, place: &str) -> Failure {
    match server_error(error) {
        Some(server) if server.code().is_some_and(|state| state.starts_with("40")) => of_statement(error, place),
        _ => Failure::Call(Fault::ambiguous(format!("the connection to MariaDB at {place} broke during COMMIT"))),
    }
}

fn server_error(error: &Error) -> Option<&MySqlDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>())
}

/// The server's words. They may quote values, which is why reasons are kept encrypted and shown masked.
fn reason(error: &MySqlDatabaseError) -> Reason {
    Reason::new(error.number().to_string(), error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_kind() {
        for (number, state, expected) in [
            (1062, "23000", Kind::Row),
            (1406, "22001", Kind::Row),
            (1366, "HY000", Kind::Row),
            (1644, "45000", Kind::Row),
            (1213, "40001", Kind::Passing),
            (1205, "HY000", Kind::Passing),
            (1969, "70100", Kind::Passing),
            (1927, "70100", Kind::Passing),
            (1040, "08004", Kind::Passing),
            (1045, "28000", Kind::Auth),
            (1142, "42000", Kind::Auth),
            (1146, "42S02", Kind::Config),
            (1290, "HY000", Kind::Config),
            (1153, "08S01", Kind::TooLarge),
        ] {
            assert_eq!(kind(number, state), expected, "{number}");
        }
    }
}
