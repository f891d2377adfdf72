//! Places in the change log.

use uuid::Uuid;

#[cfg(test)]
mod tests;

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
    /// A single commit, where commits become visible in another order than they are numbered in.
    Transaction(u64),
    /// Which transactions can be seen: those before `next`, but the ones that were under way.
    Snapshot {
        /// The first transaction that had not begun.
        next: u64,
        /// Transactions before `next` that were under way; sorted, each once.
        under_way: Vec<u64>,
    },
}

const TRANSACTION: u8 = 1;
const SNAPSHOT: u8 = 2;

impl Position {
    /// A snapshot; the transactions in any order.
    #[must_use]
    pub fn snapshot(next: u64, mut under_way: Vec<u64>) -> Self {
        under_way.retain(|transaction| *transaction < next);
        under_way.sort_unstable();
        under_way.dedup();
        Self::Snapshot { next, under_way }
    }

    /// Whether everything up to `other` is known here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sequence(here), Self::Sequence(there)) => here >= there,
            (Self::Snapshot { next, under_way }, Self::Transaction(there)) => {
                sees(*next, under_way, *there)
            }
            (
                Self::Snapshot { next: here, under_way: here_under_way },
                Self::Snapshot { next: there, under_way: there_under_way },
            ) => {
                let unseen = |transaction: &u64| there_under_way.binary_search(transaction).is_ok();
                here_under_way.iter().filter(|under_way| *under_way < there).all(unseen)
                    && begun_since(*here, *there, there_under_way)
            }
            (Self::Transaction(here), Self::Transaction(there)) => here == there,
            (Self::Sequence(_), Self::Transaction(_) | Self::Snapshot { .. })
            | (Self::Transaction(_), Self::Sequence(_) | Self::Snapshot { .. })
            | (Self::Snapshot { .. }, Self::Sequence(_)) => false,
        }
    }

    /// Whether the commit at this place is known to be the very next one after `before`.
    #[must_use]
    pub const fn follows(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Sequence(here), Self::Sequence(before)) => *here == before.wrapping_add(1),
            _ => false,
        }
    }

    /// As bytes, for a token.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Sequence(sequence) => sequence.to_be_bytes().to_vec(),
            Self::Transaction(transaction) => numbers(TRANSACTION, *transaction, &[]),
            Self::Snapshot { next, under_way } => numbers(SNAPSHOT, *next, under_way),
        }
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // A sequence has no tag: it was there first.
        if let Ok(sequence) = <[u8; 8]>::try_from(bytes) {
            let sequence = i64::from_be_bytes(sequence);
            return (sequence >= 0).then_some(Self::Sequence(sequence));
        }
        let (tag, numbers) = bytes.split_first()?;
        let (numbers, rest) = numbers.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let first = numbers.next().filter(|_| rest.is_empty())?;
        let under_way: Vec<u64> = numbers.collect();
        match *tag {
            TRANSACTION if under_way.is_empty() => Some(Self::Transaction(first)),
            SNAPSHOT => {
                let sorted = under_way.is_sorted_by(|one, other| one < other);
                let known = under_way.last().is_none_or(|last| *last < first);
                (sorted && known).then_some(Self::Snapshot { next: first, under_way })
            }
            _ => None,
        }
    }
}

fn sees(next: u64, under_way: &[u64], transaction: u64) -> bool {
    transaction < next && under_way.binary_search(&transaction).is_err()
}

/// Whether all transactions from `here` on that had begun `there` were still under way there.
fn begun_since(here: u64, there: u64, under_way: &[u64]) -> bool {
    let later = under_way.iter().filter(|transaction| **transaction >= here).count();
    there.saturating_sub(here) <= later as u64
}

fn numbers(tag: u8, first: u64, more: &[u64]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&first.to_be_bytes());
    for number in more {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes
}
