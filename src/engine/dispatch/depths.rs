//! How far each line is looked at, as the looks before taught.

use std::collections::{BTreeSet, HashMap};

use crate::domain::limits::{
    DISPATCH_DEPTHS_MAX, DISPATCH_FRONT_MIN, DISPATCH_JOBS_MAX, DISPATCH_UNREAD_MAX,
};
use crate::store::Unread;

use super::line::Pair;

/// What the looks before taught.
#[derive(Default)]
pub(super) struct Depths {
    /// Pairs of which more come up than stand at their front.
    busy: HashMap<Pair, Busy>,
    /// Pairs at whose front stand jobs that are held each for itself: others may stand behind them.
    deep: BTreeSet<Pair>,
    /// Pairs at whose front stand jobs that cannot be read, and how many more rows are asked for.
    unread: Unread,
}

/// How many more come up of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// Up to twice as many: as with weights, and where lines are not quite even.
    Twice,
    /// It is looked at for all that may start.
    All,
}

/// How the jobs that a round looks at are shared by its pairs.
#[derive(Debug)]
pub(super) struct Portions {
    /// At the front of each.
    front: usize,
    /// If all pairs were looked at alike.
    even: usize,
    /// If it is one of those that are looked at for all that may start.
    all: usize,
    /// Rows besides, where some at the front cannot be read.
    unread: usize,
}

/// How far a pair is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) limit: usize,
    /// It is the front alone: others that may start can stand behind it.
    pub(super) is_front: bool,
}

impl Depths {
    /// The portions of these pairs, if so many jobs could be taken.
    pub(super) fn portions(&self, pairs: &[Pair], room: usize) -> Portions {
        let even = (DISPATCH_JOBS_MAX / pairs.len().max(1)).max(1);
        let needed = 2 * room.min(DISPATCH_JOBS_MAX) / pairs.len().max(1);
        let front = needed.max(DISPATCH_FRONT_MIN).min(even);
        let fronts = pairs.iter().filter_map(|pair| self.front(pair, front, even));
        let fronts: Vec<usize> = fronts.collect();
        let left = DISPATCH_JOBS_MAX.saturating_sub(fronts.iter().sum());
        let all = (left / (pairs.len() - fronts.len()).max(1)).max(even);
        let unread = pairs.iter().filter(|pair| self.unread.contains_key(*pair)).count();
        let unread = (DISPATCH_UNREAD_MAX / unread.max(1)).max(1);
        Portions { front, even, all, unread }
    }

    /// How far a pair is looked at of which so many may start.
    pub(super) fn of(&self, pair: &Pair, wanted: usize, portions: &Portions) -> Depth {
        let Portions { front, even, all, unread } = *portions;
        let (limit, is_front) = match self.front(pair, front, even) {
            None if self.deep.contains(pair) => (all, false),
            None => (wanted.min(all), false),
            Some(front) => (wanted.min(front), front < wanted.min(even)),
        };
        let more = self.unread.get(pair).copied().unwrap_or(0);
        Depth { limit: limit + more.min(unread), is_front }
    }

    /// How many jobs stand at the front of a pair; none where it is looked past that.
    fn front(&self, pair: &Pair, front: usize, even: usize) -> Option<usize> {
        match self.busy.get(pair) {
            _ if self.deep.contains(pair) => None,
            None => Some(front),
            Some(Busy::Twice) => Some(2 * front).filter(|front| *front < even),
            Some(Busy::All) => None,
        }
    }

    /// All at the front of a pair came up, and there are more. Answers whether it is looked at more deeply from now on.
    pub(super) fn all_came_up(&mut self, pair: &Pair) -> bool {
        let before = self.busy.get(pair).copied();
        let busy = if before.is_none() { Busy::Twice } else { Busy::All };
        self.busy.insert(pair.clone(), busy);
        before != Some(busy)
    }

    /// So many jobs of a pair came up: not all that were looked at, or there are no more.
    pub(super) fn some_came_up(&mut self, pair: &Pair, jobs: usize, portions: &Portions) {
        if jobs <= portions.front {
            self.busy.remove(pair);
        } else if let Some(busy) = self.busy.get_mut(pair)
            && jobs <= 2 * portions.front
        {
            *busy = Busy::Twice;
        }
    }

    /// So many jobs at the front of a pair could not be read. Answers whether more rows are asked for from now on:
    /// twice as many as were found, so that a few looks get past them; the pairs where it is so share a bound.
    pub(super) fn unread(&mut self, pair: &Pair, unread: usize) -> bool {
        if unread == 0 {
            self.unread.remove(pair);
            return false;
        }
        let more = (2 * unread).min(DISPATCH_UNREAD_MAX);
        let before = self.unread.insert(pair.clone(), more);
        before.is_none_or(|before| before < more)
    }

    /// All that were seen of a pair are held each for itself. Answers whether that is news.
    pub(super) fn all_held_alone(&mut self, pair: &Pair) -> bool {
        self.deep.insert(pair.clone())
    }

    /// None of a pair is held for itself.
    pub(super) fn none_held_alone(&mut self, pair: &Pair) {
        self.deep.remove(pair);
    }

    /// Forgotten, they are found so again.
    pub(super) fn bound(&mut self) {
        if self.busy.len() > DISPATCH_DEPTHS_MAX {
            self.busy.clear();
        }
        if self.deep.len() > DISPATCH_DEPTHS_MAX {
            self.deep.clear();
        }
        if self.unread.len() > DISPATCH_DEPTHS_MAX {
            self.unread.clear();
        }
    }
}

#[cfg(test)]
mod tests;
