//! The last commits of this server: what the change log says of their jobs is known here already.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::Committed;
use crate::domain::Position;
use crate::domain::limits::DATABASE_OWN_COMMITS_MAX;

/// Numbers of transactions that this server knows to be committed. One of which nobody knows whether it
/// happened is not among them, so the change log is believed of it.
#[derive(Default)]
pub(super) struct Own(Mutex<BTreeSet<u64>>);

impl Own {
    /// Notes a commit that was answered.
    pub(super) fn note(&self, committed: &Committed) {
        let Some(Position::Transaction(number)) = committed.position else { return };
        let mut numbers = self.0.lock();
        numbers.insert(number);
        if numbers.len() > DATABASE_OWN_COMMITS_MAX {
            numbers.pop_first();
        }
    }

    /// Those of them that a place in the log does not cover.
    pub(super) fn since(&self, position: &Position) -> BTreeSet<u64> {
        let Position::Snapshot { next, under_way } = position else { return BTreeSet::new() };
        let numbers = self.0.lock();
        let late = under_way.iter().filter(|number| numbers.contains(number));
        late.chain(numbers.range(next..)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(number: u64) -> Committed {
        Committed { position: Some(Position::Transaction(number)), ..Committed::default() }
    }

    #[test]
    fn only_what_a_place_does_not_cover_is_left_out_and_only_the_last_are_known() {
        let own = Own::default();
        own.note(&Committed::default());
        for number in [3, 5, 8, 9] {
            own.note(&committed(number));
        }
        let since = |next, under_way| own.since(&Position::snapshot(next, under_way));
        assert_eq!(since(8, vec![4, 5]), BTreeSet::from([5, 8, 9]));
        assert_eq!(since(10, Vec::new()), BTreeSet::new());
        for number in 100..100 + DATABASE_OWN_COMMITS_MAX as u64 {
            own.note(&committed(number));
        }
        let known = since(0, Vec::new());
        assert_eq!(known.len(), DATABASE_OWN_COMMITS_MAX);
        assert_eq!(known.first(), Some(&100), "the oldest give way");
    }
}
