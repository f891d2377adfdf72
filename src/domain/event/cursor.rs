//! How far somebody has read the events.
//!
//! Where commits become visible in another order than they are numbered in, a number alone would pass by the events
//! of a commit that comes late. So a cursor holds what could be seen when it was made, as a place in the
//! change log does.

use crate::domain::position::Position;

/// How far the events were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// All events of the commits that can be seen from here were read.
    pub seen: Position,
    /// The commit that was read in part, which cannot be seen from there, and the last of its rows that was read.
    pub within: Option<(u64, i64)>,
}

const WHOLE: u8 = 0;
const IN_PART: u8 = 1;

impl Cursor {
    /// Everything that can be seen from `seen` was read.
    #[must_use]
    pub const fn at(seen: Position) -> Self {
        Self { seen, within: None }
    }

    /// The commit that was read in part is read to its end.
    #[must_use]
    pub fn finished(self) -> Self {
        let Some((done, _)) = self.within else { return self };
        Self::at(match self.seen {
            Position::Snapshot { next, mut under_way } => {
                under_way.retain(|transaction| *transaction != done);
                Position::snapshot(next.max(done.saturating_add(1)), under_way)
            }
            seen @ (Position::Sequence(_) | Position::Transaction(_)) => seen,
        })
    }

    /// The place after a row of what was new: rows were read in the order of their commits' numbers, as `now` shows
    /// them. Only of a cursor that holds no commit in part.
    #[must_use]
    pub fn cut(self, now: &Position, (transaction, row): (u64, i64)) -> Self {
        let (Position::Snapshot { next, under_way }, Position::Snapshot { under_way: late, .. }) =
            (self.seen, now)
        else {
            return Self::at(Position::Sequence(row));
        };
        let is_late = |other: &u64| late.binary_search(other).is_ok();
        let within = Some((transaction, row));
        if transaction < next {
            // One that came late, as did those before it; those after it were not read.
            let left =
                under_way.into_iter().filter(|other| *other >= transaction || is_late(other));
            return Self { seen: Position::snapshot(next, left.collect()), within };
        }
        let left = late.iter().copied().filter(|other| *other < transaction);
        Self { seen: Position::snapshot(transaction, left.collect()), within }
    }

    /// As bytes, for a token.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self.within {
            None => vec![WHOLE],
            Some((transaction, row)) => {
                let mut bytes = vec![IN_PART];
                bytes.extend_from_slice(&transaction.to_be_bytes());
                bytes.extend_from_slice(&row.to_be_bytes());
                bytes
            }
        };
        bytes.extend_from_slice(&self.seen.to_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (within, seen) = match *tag {
            WHOLE => (None, rest),
            IN_PART => {
                let (transaction, rest) = rest.split_first_chunk()?;
                let (row, rest) = rest.split_first_chunk()?;
                (Some((u64::from_be_bytes(*transaction), i64::from_be_bytes(*row))), rest)
            }
            _ => return None,
        };
        let seen = Position::from_bytes(seen)?;
        let fits = match (&seen, within) {
            (Position::Sequence(_) | Position::Snapshot { .. }, None) => true,
            (Position::Snapshot { .. }, Some((transaction, _))) => {
                !seen.covers(&Position::Transaction(transaction))
            }
            (Position::Transaction(_), _) | (Position::Sequence(_), Some(_)) => false,
        };
        fits.then_some(Self { seen, within })
    }
}

#[cfg(test)]
mod tests;
