//! How far each line is looked at: some further than it is likely to come up, by what the looks before taught.

use std::collections::{BTreeSet, HashMap};

use crate::domain::limits::{
    DISPATCH_DEPTHS_MAX, DISPATCH_JOBS_MAX, DISPATCH_SPARE_PERCENT, DISPATCH_TURNOUT_PERCENT,
    DISPATCH_TURNOUT_PERCENT_MIN, DISPATCH_UNREAD_MAX,
};
use crate::store::Unread;

use super::line::Pair;

/// What the looks before taught.
#[derive(Default)]
pub(super) struct Depths {
    /// How many jobs of a pair come up, in percent of an even share.
    turnout: HashMap<Pair, usize>,
    /// Pairs at whose front stand jobs that are held each for itself: others may stand behind them.
    deep: BTreeSet<Pair>,
    /// Pairs at whose front stand jobs that cannot be read, and how many more rows are asked for.
    unread: Unread,
}

/// What can be taken, shared evenly by the pairs that are looked at: at least one job for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    jobs: usize,
    pairs: usize,
}

/// How the jobs that a round looks at are shared by its pairs.
#[derive(Debug)]
pub(super) struct Portions {
    pub(super) share: Share,
    /// If all pairs were looked at alike.
    even: usize,
    /// If it is one of those of which more than that come up.
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

/// What came of a look at a pair behind which there may be more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turnout {
    /// Jobs that were looked at.
    pub(super) offered: usize,
    /// Those of them that came up, whether they start or not.
    pub(super) came_up: usize,
    /// It was the front alone.
    pub(super) is_front: bool,
    /// More of its line might have started if more had been looked at.
    pub(super) is_hidden: bool,
    /// Nobody had a place left.
    pub(super) is_full: bool,
}

impl Turnout {
    /// All came up: those behind them may be next.
    pub(super) const fn is_whole(self) -> bool {
        self.came_up == self.offered
    }
}

impl Share {
    /// So many percent of it, and some to spare: at least one job.
    fn with_spare(self, percent: usize) -> usize {
        let jobs = self.jobs * percent * DISPATCH_SPARE_PERCENT;
        jobs.div_ceil(self.pairs * 100 * 100).max(1)
    }

    /// How many percent of it these are.
    const fn percent(self, jobs: usize) -> usize {
        (100 * jobs * self.pairs).div_ceil(self.jobs)
    }
}

impl Depths {
    /// The portions of these pairs, if so many jobs could be taken.
    pub(super) fn portions(&self, pairs: &[Pair], room: usize) -> Portions {
        let count = pairs.len().max(1);
        let even = (DISPATCH_JOBS_MAX / count).max(1);
        let share = Share { jobs: room.min(DISPATCH_JOBS_MAX).max(count), pairs: count };
        let fronts = pairs.iter().filter_map(|pair| self.front(pair, share));
        let fronts: Vec<usize> = fronts.filter(|front| *front <= even).collect();
        let left = DISPATCH_JOBS_MAX.saturating_sub(fronts.iter().sum());
        let all = (left / (pairs.len() - fronts.len()).max(1)).max(even);
        let unread = pairs.iter().filter(|pair| self.unread.contains_key(*pair)).count();
        let unread = (DISPATCH_UNREAD_MAX / unread.max(1)).max(1);
        Portions { share, even, all, unread }
    }

    /// How far a pair is looked at of which so many may start.
    pub(super) fn of(&self, pair: &Pair, wanted: usize, portions: &Portions) -> Depth {
        let Portions { share, even, all, unread } = *portions;
        let (limit, is_front) = match self.front(pair, share) {
            None => (all, false),
            Some(front) => {
                let limit = wanted.min(if front > even { all } else { even });
                (front.min(limit), front < limit)
            }
        };
        let more = self.unread.get(pair).copied().unwrap_or(0);
        Depth { limit: limit + more.min(unread), is_front }
    }

    /// How many jobs of a pair are looked at: some more than are likely to come up. None where those at the front do not
    /// tell.
    fn front(&self, pair: &Pair, share: Share) -> Option<usize> {
        let percent = self.turnout.get(pair).copied().unwrap_or(DISPATCH_TURNOUT_PERCENT);
        (!self.deep.contains(pair)).then(|| share.with_spare(percent))
    }

    /// Learns from a look at a pair. Answers whether it is looked at more deeply from now on.
    ///
    /// Few come up of a pair because others stand before them, or because the round ended where one of its lines was not
    /// seen any further. Only the first says something of the pair; the second says that all fronts were short.
    pub(super) fn learn(&mut self, pair: &Pair, turnout: Turnout, share: Share) -> bool {
        let percent = self.turnout.entry(pair.clone()).or_insert(DISPATCH_TURNOUT_PERCENT);
        let seen = share.percent(turnout.came_up);
        let is_short = turnout.is_front && (turnout.is_whole() || turnout.is_hidden);
        *percent = if is_short {
            2 * seen.max(*percent)
        } else if turnout.is_full && !turnout.is_hidden && !turnout.is_whole() && seen < *percent {
            // Less is not at once believed.
            usize::midpoint(*percent, seen).max(DISPATCH_TURNOUT_PERCENT_MIN)
        } else {
            seen.max(*percent)
        };
        is_short
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
        if self.turnout.len() > DISPATCH_DEPTHS_MAX {
            self.turnout.clear();
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
