//! Figures of the jobs of one owner or one label.

use std::time::Duration;

use crate::domain::limits::STAT_JOBS_MAX;
use crate::domain::stats::{Facet, FacetTally, slot_of, slot_start};
use crate::domain::{JobFilter, StateKind, Timestamp};
use crate::store::Census;

use super::super::Engine;
use super::super::error::Result;
use super::{DAY, Figures, HOUR, Stats, StatsFilter, first_minute};

/// What happened of late to the jobs of an owner or a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FacetWindow {
    /// What happened.
    pub tally: FacetTally,
    /// The time it covers: up to a slot more than the window's name says.
    pub span: Duration,
}

impl StatsFilter {
    /// Whether it is about an owner or a label.
    pub(super) const fn is_of_facet(&self) -> bool {
        !self.owner.is_empty() || self.label.is_some()
    }

    /// What is asked about if nothing else narrows it down: figures are kept by one thing at a time.
    fn facet(&self) -> Option<Facet> {
        if self.is_void || !self.types.is_empty() || !self.queues.is_empty() {
            return None;
        }
        match (&*self.owner, &self.label) {
            ("", Some((key, value))) => {
                Some(Facet::Label { key: key.clone(), value: value.clone() })
            }
            ("", None) | (_, Some(_)) => None,
            (owner, None) => Some(Facet::Owner(owner.to_owned())),
        }
    }

    /// The jobs that match.
    fn jobs(&self) -> JobFilter {
        JobFilter {
            types: self.types.clone(),
            queues: self.queues.clone(),
            owner: Some(self.owner.clone()).filter(|owner| !owner.is_empty()),
            labels: self.label.clone().into_iter().collect(),
            ..JobFilter::default()
        }
    }
}

/// The jobs that were counted, in all, by type and by queue.
pub(super) fn counted(census: &Census, now: Timestamp) -> Stats {
    let mut stats = Stats { as_of: now, ..Stats::default() };
    let most = i64::try_from(STAT_JOBS_MAX).unwrap_or(i64::MAX);
    stats.is_capped = census.total() > most;
    for ((key, state), (count, ready)) in &census.jobs {
        let groups = [
            &mut stats.totals,
            stats.by_type.entry(key.job_type.clone()).or_default(),
            stats.by_queue.entry(key.queue.clone()).or_default(),
        ];
        for group in groups {
            count_in(group, *state, *count);
            if let Some(ready) = ready {
                group.waits(now.since(*ready));
            }
        }
    }
    stats
}

fn count_in(group: &mut Figures, state: StateKind, count: i64) {
    group.count(state, count, 0);
}

/// The window of this length, from what is kept of it and of longer ones.
pub(super) fn window(slots: &[(i64, FacetTally)], now: Timestamp, length: Duration) -> FacetWindow {
    let first = slot_of(first_minute(now, length));
    let mut tally = FacetTally::default();
    slots.iter().filter(|(slot, _)| *slot >= first).for_each(|(_, of)| tally.merge(of));
    FacetWindow { tally, span: now.since(slot_start(first)) }
}

impl Engine {
    /// Figures of the jobs of an owner or a label.
    pub(super) async fn facet_stats(&self, filter: StatsFilter, now: Timestamp) -> Result<Stats> {
        let jobs = filter.jobs();
        let keeps = |facet: &Facet| self.facets.as_ref().is_some_and(|policy| policy.keeps(facet));
        let facet = filter.facet().filter(keeps);
        let from = slot_of(first_minute(now, DAY));
        let is_void = filter.is_void;
        let (census, slots) = self
            .db
            .read(move |store| async move {
                let census = if is_void {
                    Census::default()
                } else {
                    store.census(&jobs, now, STAT_JOBS_MAX + 1).await?
                };
                let slots = match facet {
                    Some(facet) => Some(store.facet(&facet, from).await?),
                    None => None,
                };
                Ok((census, slots))
            })
            .await?;
        let mut stats = counted(&census, now);
        stats.facet = slots.map(|slots| [HOUR, DAY].map(|length| window(&slots, now, length)));
        stats.workforce = self.workforce(&filter).await?;
        Ok(stats)
    }
}

#[cfg(test)]
mod tests;
