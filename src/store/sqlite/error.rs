//! What an error of SQLite means to a caller of the store.

use std::sync::Arc;

use crate::store::Error;
use crate::store::rows::corrupt;

/// Primary result codes: <https://www.sqlite.org/rescode.html>.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const NOTADB: i32 = 26;

/// The primary result code, if the error came from SQLite itself.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// The error of a statement that wrote nothing, or whose transaction was rolled back.
pub(super) fn from_sqlx(error: sqlx::Error) -> Error {
    match (&error, code(&error)) {
        (
            _,
            Some(BUSY | LOCKED | NOMEM | READONLY | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL),
        ) => Error::Unavailable(Arc::new(error)),
        (_, Some(CORRUPT | NOTADB)) => corrupt("the database file", error),
        (_, Some(_)) => Error::Rejected(Arc::new(error)),
        (
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. },
            None,
        ) => corrupt("a column", error),
        (_, None) => Error::Unavailable(Arc::new(error)),
    }
}

/// The store was closed.
pub(super) fn closed() -> Error {
    Error::Unavailable(Arc::new(sqlx::Error::PoolClosed))
}
