//! What an error of the server means: for a statement, for COMMIT, for anything else.

use backhaul_kit::{Fault, Reason};
use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::super::database::Failure;
pub(super) use crate::warehouses::postgres::fault::of_call;

/// A statement failed before COMMIT was sent: nothing was applied.
pub(super) fn of_statement(error: Error, place: &str) -> Failure {
    match server_error(&error) {
        Some(server) if is_about_a_row(server.code()) => Failure::Row(reason(server)),
        Some(server) if server.code() == "25006" => Failure::Call(read_only(place)),
        Some(server) if server.code() == "42501" => Failure::Call(
            Fault::auth(format!("PostgreSQL at {place}: {} (42501)", server.message()))
                .remedy("`backhaul validate` names the missing GRANT"),
        ),
        Some(server) if server.code() == "57014" => Failure::Call(
            Fault::transient(format!("PostgreSQL at {place} took longer than `timeout` for a batch"))
                .remedy("look for locks on the table, lower `batch_size`, or raise `timeout`"),
        ),
        _ => Failure::Call(of_call(error, place)),
    }
}

/// COMMIT failed. An error that left the connection open says that the transaction was taken back; whatever ends the
/// connection leaves it open.
pub(super) fn of_commit(error: Error, place: &str) -> Failure {
    let answered = server_error(&error).is_some_and(|server| server.severity() == PgSeverity::Error);
    // "Statement completion unknown" says what it says.
    if answered && server_error(&error).is_some_and(|server| server.code() != "40003") {
        return of_statement(error, place);
    }
    Failure::Call(Fault::ambiguous(format!("the connection to PostgreSQL at {place} broke during COMMIT")))
}

fn server_error(error: &Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
}

fn read_only(place: &str) -> Fault {
    Fault::config(format!("PostgreSQL at {place} takes no writes: it is a standby or read-only"))
        .remedy("write the primary's address into the URL")
}

/// Data, constraints, what triggers raise, limits of a row, and two rows of the batch that are one to the server.
fn is_about_a_row(code: &str) -> bool {
    matches!(code.get(..2), Some("21" | "22" | "23" | "27" | "44" | "54" | "P0"))
}

/// The server's words. They may quote values, which is why reasons are kept encrypted and shown masked.
fn reason(error: &PgDatabaseError) -> Reason {
    let text = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_owned(),
    };
    let field = error.column().map(str::to_owned);
    Reason { code: error.code().to_owned(), text, field }
}
