//! Several statements handed to SQLite's thread at once.
//!
//! Each hand-over costs two switches between threads, as much as a small statement itself; so a commit is
//! two scripts at most, what is to be read first and what is written then. Statements keep their own texts
//! and count their arguments from `?1`; a script renumbers them as `$n`, which sqlx looks up in the
//! arguments of the whole script. Texts stay few: a script is put together from parts that are there or not,
//! always in one order, so that sqlx finds them prepared. (That a prepared text may have several statements is a
//! thing of sqlx's SQLite driver alone, which it may give up one day; then a script is run one by one.)

use std::time::Duration;

use futures_util::{FutureExt as _, TryStreamExt as _};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, FromRow, Type};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::store::{Error, Result};

use super::error::from_sqlx;
use super::input::Rows;

/// How long the results of a script wait for word that it is done. Longer than all but large scripts run.
const TOLD_WITHIN: Duration = Duration::from_millis(10);

/// Statements under way, each with its arguments.
#[derive(Default)]
pub(super) struct Script {
    text: String,
    arguments: SqliteArguments,
    statements: usize,
    /// An argument that could not be bound.
    broken: Option<sqlx::Error>,
}

/// Where a statement stands in its script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

/// What the statements of a script came to.
#[derive(Default)]
pub(super) struct Answers(Vec<Answer>);

#[derive(Default)]
struct Answer {
    rows: Vec<SqliteRow>,
    affected: u64,
    last_insert_rowid: i64,
}

/// A script that stopped: at which statement, and why.
pub(super) struct Stopped {
    /// How many statements were done before.
    pub(super) done: usize,
    pub(super) error: sqlx::Error,
}

impl Script {
    /// Appends a statement; its arguments are bound next.
    pub(super) fn add(&mut self, statement: &'static str) -> Place {
        let place = Place(self.statements);
        let before = self.arguments.len();
        if self.statements > 0 {
            self.text.push(';');
        }
        let mut pieces = statement.split('?');
        self.text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = piece.split_at(digits);
            let number = before + number.parse::<usize>().unwrap_or_default();
            self.text.push('$');
            self.text.push_str(&number.to_string());
            self.text.push_str(rest);
        }
        self.statements += 1;
        place
    }

    /// The next argument of the statement added last.
    pub(super) fn bind<'t, T>(&mut self, value: T) -> &mut Self
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        if let Err(error) = self.arguments.add(value) {
            self.broken = Some(sqlx::Error::Encode(error));
        }
        self
    }

    /// Appends a statement that runs once for all rows; nothing if there is none.
    pub(super) fn add_rows(&mut self, statement: &'static str, rows: Rows) -> Option<Place> {
        if rows.is_empty() {
            return None;
        }
        let place = self.add(statement);
        let (json, blob) = rows.into_parts();
        self.bind(json).bind(blob);
        Some(place)
    }

    /// Appends a statement that runs on a JSON array of ids; nothing if it is empty.
    pub(super) fn add_ids(&mut self, statement: &'static str, ids: String) {
        if ids.len() > "[]".len() {
            self.add(statement);
            self.bind(ids);
        }
    }

    /// How many statements there are.
    pub(super) const fn len(&self) -> usize {
        self.statements
    }

    /// Runs the statements in order, up to the first that fails. If the script ends in a word to `told`, or in a
    /// commit, which says one, nobody is woken before that: with each result that somebody waits for, SQLite's
    /// thread stops in the middle of handing it over.
    pub(super) async fn run(
        self,
        connection: &mut SqliteConnection,
        told: Option<&Notify>,
    ) -> std::result::Result<Answers, Stopped> {
        if let Some(error) = self.broken {
            return Err(Stopped { done: 0, error });
        }
        // The text is made of constants alone.
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        let mut results = connection.fetch_many(query);
        let mut answers = Vec::with_capacity(self.statements);
        let mut answer = Answer::default();
        let mut first = None;
        if let Some(told) = told {
            // Sends it off.
            first = results.try_next().now_or_never();
            // A script that fails before never comes to its last word.
            let _ = timeout(TOLD_WITHIN, told.notified()).await;
        }
        loop {
            let result = match first.take() {
                Some(result) => result,
                None => results.try_next().await,
            };
            match result {
                Ok(Some(Either::Right(row))) => answer.rows.push(row),
                Ok(Some(Either::Left(result))) => {
                    answer.affected = result.rows_affected();
                    answer.last_insert_rowid = result.last_insert_rowid();
                    answers.push(std::mem::take(&mut answer));
                }
                Ok(None) if answers.len() == self.statements => return Ok(Answers(answers)),
                Ok(None) => {
                    return Err(Stopped { done: answers.len(), error: sqlx::Error::WorkerCrashed });
                }
                Err(error) => return Err(Stopped { done: answers.len(), error }),
            }
        }
    }
}

impl Answers {
    /// The rows of a statement.
    pub(super) fn rows<T>(&mut self, place: Place) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        let rows = self.0.get_mut(place.0).map(|answer| std::mem::take(&mut answer.rows));
        rows.unwrap_or_default()
            .iter()
            .map(|row| T::from_row(row).map_err(from_sqlx))
            .collect::<Result<_, Error>>()
    }

    /// The row that a statement inserted last.
    pub(super) fn last_insert_rowid(&self, place: Place) -> Option<i64> {
        self.0.get(place.0).map(|answer| answer.last_insert_rowid)
    }

    /// Rows that a statement wrote; of one that writes none it says nothing.
    pub(super) fn affected(&self, place: Place) -> u64 {
        self.0.get(place.0).map_or(0, |answer| answer.affected)
    }
}
