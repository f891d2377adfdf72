//! The statement that writes a batch: guards, names, and all that follows, in one.
//!
//! Its parts see the tables as they were when it began, and none sees what another wrote; what would
//! differ by that is sorted out in [`input`]. Which parts there are, [`text`] says. It writes all or nothing: if a guard misses or a name is
//! known to be taken it answers so; if somebody takes a name in that very moment it fails.

mod input;
mod text;

use crate::domain::Position;
use crate::store::passed::{Passed, first_deletes};
use crate::store::{Batch, Committed, Result};

use super::bound::Bound;
use super::changes;
use super::error::code;
use super::pool::Link;

use self::input::Input;
pub(super) use self::input::{Guards, Names, flush};

pub(super) const STATEMENTS: &[&str] = &[input::FLUSH];

/// Each text of the statement.
pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    text::statements()
}

/// What SQLSTATE says of the division above.
const NAME_TAKEN: &str = "22012";

/// What became of the statement.
pub(super) enum Outcome {
    /// Everything is written; of events with a key, these were not known.
    Written(Position, Option<Vec<String>>),
    /// A guard missed or a name is taken: nothing is written.
    Missed,
}

/// Whether somebody took a name in the very moment: nothing was written, and once more it is known.
pub(super) fn is_name_taken(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(NAME_TAKEN)
}

/// Whether it was written, 1, the keys of new events, the transaction.
type Answer = (bool, i32, Option<Vec<String>>, Option<i64>);

/// Writes what passed, if all guards and names still hold; others are told this word with the commit.
pub(super) async fn write(
    link: &mut Link,
    passed: &Passed<'_>,
    guards: &Guards,
    names: &Names<'_>,
    word: Option<&str>,
) -> Result<sqlx::Result<Outcome>> {
    let input = Input::of(passed)?;
    let text::Text { parts, sql } = text::text(input.parts(names));
    let query = guards.bind(Bound::default()).bind(word);
    let arguments = input.bind(names, *parts, query).all()?;
    let query = link.query_as_with::<Answer>(sql, arguments);
    match query.fetch_one(&mut **link).await {
        Ok((true, _, told, Some(transaction))) => {
            Ok(Ok(Outcome::Written(changes::at(transaction)?, told)))
        }
        Ok(_) => Ok(Ok(Outcome::Missed)),
        Err(error) => Ok(Err(error)),
    }
}

/// A batch of which everything passes that can.
pub(super) fn all_of(batch: &Batch) -> Committed {
    use crate::store::{Appended, Written};
    Committed {
        creates: vec![Written::Done; batch.creates.len()],
        writes: vec![Written::Done; batch.writes.len()],
        deletes: first_deletes(batch).collect(),
        logs: vec![Appended::Done; batch.logs.len()],
        sessions: Vec::new(),
        events: Vec::new(),
        missed_rules: Vec::new(),
        position: None,
        told: false,
    }
}
