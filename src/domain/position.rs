//! Places in the change log.

use uuid::Uuid;

/// Which change log it is: a place in one means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The store, made with it.
    pub store: Uuid,
    /// Grows when the store is set back to an older state: what followed then never happened.
    pub timeline: i64,
}

/// A place in the change log: everything up to it is known. How places relate is for the store alone
/// to say, for not every store can put its commits in one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// The number of the last commit, where commits are numbered without gaps.
    Sequence(i64),
}

impl Position {
    /// Whether everything up to `other` is known here.
    #[must_use]
    pub const fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sequence(here), Self::Sequence(there)) => *here >= *there,
        }
    }

    /// Whether the commit at this place is the very next one after `before`.
    #[must_use]
    pub const fn follows(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Sequence(here), Self::Sequence(before)) => *here == before.wrapping_add(1),
        }
    }

    /// As bytes, for a token.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Sequence(sequence) => sequence.to_be_bytes().to_vec(),
        }
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let sequence = i64::from_be_bytes(bytes.try_into().ok()?);
        (sequence >= 0).then_some(Self::Sequence(sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_numbered_commits_stand_in_one_line() {
        let (one, two) = (Position::Sequence(1), Position::Sequence(2));
        assert!(two.covers(&one) && one.covers(&one) && !one.covers(&two));
        assert!(two.follows(&one) && !one.follows(&two) && !one.follows(&one));
    }

    #[test]
    fn a_place_is_read_back_from_its_bytes() {
        let place = Position::Sequence(7);
        assert_eq!(Position::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(Position::from_bytes(&(-1_i64).to_be_bytes()), None);
        assert_eq!(Position::from_bytes(&[1, 2, 3]), None);
    }
}
