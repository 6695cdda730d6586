//! The driver's errors as faults.
//!
//! Printed are message, code and position, never the driver's own text of an error (it appends a line of
//! PostgreSQL's source) and never a value of a row.

use backhaul_kit::{Fault, FaultClass};
use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::super::wrap::Wrapped;

/// A fault of a call that is not about the model's SQL; `place` is `host:port`.
pub(crate) fn of_call(error: Error, place: &str) -> Fault {
    match error {
        Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => of_server(error, place),
            None => Fault::transient(format!("PostgreSQL at {place} refused: {}", error.message())),
        },
        Error::Io(error) => Fault::transient(format!("cannot reach PostgreSQL at {place}: {error}"))
            .remedy("check host, port, network and that the server runs"),
        Error::Tls(error) => Fault::config(format!("no TLS connection to PostgreSQL at {place}: {error}"))
            .remedy("with a private certificate authority set `sslrootcert`; see also `sslmode` in the URL"),
        Error::Configuration(_) => Fault::config(format!("the options for PostgreSQL at {place} cannot be used")),
        // Sent where the connection broke between two messages of the protocol.
        error => Fault::transient(format!("the connection to PostgreSQL at {place} broke: {error}")),
    }
}

/// A fault of a statement made from the model, with the place in the operator's SQL.
pub(super) fn of_statement(error: Error, place: &str, model: &Wrapped, statement: &str) -> Fault {
    let offset = match &error {
        Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::position)
        {
            Some(PgErrorPosition::Original(characters)) => byte_offset(statement, characters),
            Some(PgErrorPosition::Internal { .. }) | None => None,
        },
        _ => None,
    };
    let mut fault = of_call(error, place);
    if fault.class == FaultClass::Config {
        fault.message = format!("model `{}`: {}", model.name(), fault.message);
    }
    fault.at_sql(offset.and_then(|at| model.offset(statement, at)))
}

/// Positions count characters from 1.
fn byte_offset(statement: &str, characters: usize) -> Option<usize> {
    statement.char_indices().map(|(at, _)| at).nth(characters.checked_sub(1)?)
}

fn of_server(error: &PgDatabaseError, place: &str) -> Fault {
    let code = error.code();
    let message = without_values(code, error.message());
    let text = format!("{message} ({code})");
    let fault = match class(code) {
        FaultClass::Config => Fault::config(text),
        class => Fault::new(class, format!("PostgreSQL at {place}: {text}")),
    };
    match (remedy(code), error.hint()) {
        (Some(remedy), _) => fault.remedy(remedy),
        // Hints of the parser name columns and functions; those of later stages may name values.
        (None, Some(hint)) if code.starts_with("42") => fault.remedy(hint),
        _ => fault,
    }
}

fn class(code: &str) -> FaultClass {
    match code {
        // Invalid password, invalid authorization, insufficient privilege.
        "28P01" | "28000" | "42501" => FaultClass::Auth,
        // A write in a read-only transaction.
        "25006" => FaultClass::Config,
        _ => match code.get(..2) {
            // Connection, state of the transaction, its rollback, resources, state of an object, the operator's
            // intervention, the system, internal errors.
            Some("08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX") | None => FaultClass::Transient,
            // Data, syntax, names, limits, and whatever a function of the model raises.
            Some(_) => FaultClass::Config,
        },
    }
}

fn remedy(code: &str) -> Option<&'static str> {
    match code {
        "28P01" | "28000" => Some("check user and password in the URL, and pg_hba.conf"),
        "42501" => Some("GRANT USAGE on the schema and SELECT on the table to the warehouse's user"),
        "25006" => Some("a model may only read: remove what writes"),
        "3D000" => Some("check the database's name at the end of the URL"),
        "57014" => Some("raise the model's `timeout`, or make its query cheaper"),
        "53300" => Some("raise the user's CONNECTION LIMIT, or run fewer syncs at once"),
        _ => None,
    }
}

/// Errors in data quote the value: it is a row's, and stays out of messages, as do texts that functions raise.
pub(crate) fn without_values(code: &str, message: &str) -> String {
    match code.get(..2) {
        Some("21" | "22" | "23" | "44") => {
            let mut parts = message.split('"');
            let mut out = parts.next().unwrap_or_default().to_owned();
            for (i, part) in parts.enumerate() {
                out.push('"');
                out.push_str(if i % 2 == 0 { "…" } else { part });
            }
            if message.matches('"').count() % 2 == 1 {
                out.push('"');
            }
            out
        }
        Some("08" | "0A" | "25" | "28" | "3D" | "3F" | "40" | "42" | "53" | "54" | "55" | "57" | "58" | "XX") => {
            message.to_owned()
        }
        _ => String::from("the query raised an exception of its own"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_out_of_messages() {
        let masked = without_values("22P02", "invalid input syntax for type integer: \"ann@example.com\"");
        assert_eq!(masked, "invalid input syntax for type integer: \"…\"");
        assert_eq!(without_values("22P02", "a \"b\" c \"d"), "a \"…\" c \"…\"");
        assert_eq!(without_values("42703", "column \"emial\" does not exist"), "column \"emial\" does not exist");
        assert!(!without_values("P0001", "Ann has no address").contains("Ann"));
    }

    #[test]
    fn positions_count_characters() {
        assert_eq!(byte_offset("sélect x", 8), Some(8));
        assert_eq!(byte_offset("x", 0), None);
        assert_eq!(byte_offset("x", 9), None);
    }

    #[test]
    fn codes_have_their_class() {
        assert_eq!(class("28P01"), FaultClass::Auth);
        assert_eq!(class("42703"), FaultClass::Config);
        assert_eq!(class("22012"), FaultClass::Config);
        assert_eq!(class("57P01"), FaultClass::Transient);
        assert_eq!(class("40001"), FaultClass::Transient);
        assert_eq!(class(""), FaultClass::Transient);
    }
}
