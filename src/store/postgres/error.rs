//! What an error of PostgreSQL means to a caller of the store.
//! Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::sync::Arc;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::Error;
use crate::store::rows::corrupt;

/// Two transactions waited for each other, or could not be put in one line: once more.
const DEADLOCK: &str = "40P01";
const SERIALIZATION: &str = "40001";
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Something this server needs is not there, or not ours to use: an operator can give it.
const NO_PRIVILEGE: &str = "42501";
const NO_TABLE: &str = "42P01";
const NO_SCHEMA: &str = "3F000";
/// Classes of errors that lie in what was sent.
const FAULTS_OF_THE_BATCH: &[&str] = &["21", "22", "23", "42", "54"];

/// The SQLSTATE, if the error came from the server.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether it met the fence that says that this batch was not committed: whoever sent it has been told so.
fn is_fenced(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some("changes_pkey"))
}

/// The error of a statement that wrote nothing, or whose transaction can only be rolled back.
pub(super) fn from_sqlx(error: sqlx::Error) -> Error {
    match (&error, code(&error).as_deref()) {
        (_, Some(NO_PRIVILEGE | NO_TABLE | NO_SCHEMA)) => Error::Unavailable(Arc::new(error)),
        (_, Some(_)) if is_fenced(&error) => Error::Unavailable(Arc::new(error)),
        (_, Some(code)) if FAULTS_OF_THE_BATCH.iter().any(|class| code.starts_with(class)) => {
            Error::Rejected(Arc::new(error))
        }
        (
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. },
            None,
        ) => corrupt("a column", error),
        (_, _) => Error::Unavailable(Arc::new(error)),
    }
}

/// The error of what commits: unless the server says why it did not, it may have.
pub(super) fn unsure(error: sqlx::Error) -> Error {
    if code(&error).is_none() || ends_connection(&error) {
        return Error::OutcomeUnknown(Arc::new(error));
    }
    from_sqlx(error)
}

/// Whether the server, or a pooler before it, ends this connection: that is said at any time, also between
/// a commit and its answer, whatever the code.
fn ends_connection(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    let severity = database.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    severity.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether the same once more may well pass.
pub(super) fn is_collision(error: &Error) -> bool {
    let Error::Unavailable(source) = error else { return false };
    let code = source.downcast_ref::<sqlx::Error>().and_then(code);
    matches!(code.as_deref(), Some(DEADLOCK | SERIALIZATION | LOCK_NOT_AVAILABLE))
}

/// Whether the server itself says that this was not committed.
pub(super) fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Unavailable(source) | Error::Rejected(source) => {
            source.downcast_ref::<sqlx::Error>().and_then(code).is_some()
        }
        Error::OutcomeUnknown(_) | Error::Corrupt { .. } => false,
    }
}

/// The store was closed.
pub(super) fn closed() -> Error {
    Error::Unavailable(Arc::new(sqlx::Error::PoolClosed))
}

/// The database did not answer in time; nothing was to be written by what it was asked.
pub(super) fn late() -> Error {
    Error::Unavailable(Arc::new(NoAnswer))
}

/// The database did not answer in time to what commits.
pub(super) fn unheard() -> Error {
    Error::OutcomeUnknown(Arc::new(NoAnswer))
}

/// See [`late`].
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer in time")]
struct NoAnswer;
