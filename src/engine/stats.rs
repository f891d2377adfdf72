//! Figures of groups of jobs, from counters and buckets, never from a scan.
//!
//! A window covers every whole minute it touches, the running one included: nothing that happened
//! within it is left out, and up to a minute more may be counted. The day begins with a whole hour, since
//! minutes are summed up by hours. Rates are taken over what is covered, so they are not off by that.
//!
//! Of an owner or a label there are no counters ([`facets`]): its stored jobs are counted one by one, up
//! to a bound, and what happened lately is known if the configuration asks for it.

mod facets;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::auth::Caller;
use crate::domain::session::Session;
use crate::domain::stats::{Bucket, Count, Tally, hour_of};
use crate::domain::{Category, JobType, QueueName, SessionId, StateKind, Timestamp};

use super::Engine;
use super::error::Result;
use super::registry::Rulebook;
use super::workers::{Roster, Workforce};

pub use facets::FacetWindow;

/// Which jobs are counted: OR within a field, AND between fields, an empty field does not filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsFilter {
    /// Jobs of these types.
    pub types: Vec<JobType>,
    /// Jobs of types that are of these categories now; no type has one before it is declared.
    pub categories: Vec<Category>,
    /// Jobs in these queues.
    pub queues: Vec<QueueName>,
    /// Jobs for this owner; empty for all.
    pub owner: String,
    /// Jobs with this label.
    pub label: Option<(String, String)>,
    /// No type is of these categories.
    pub is_void: bool,
}

/// What happened of late.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// What happened.
    pub tally: Tally,
    /// The time it covers: up to a minute more than the window's name says.
    pub span: Duration,
}

/// What happened in each window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lately {
    /// The last minute.
    pub minute: Window,
    /// The last hour.
    pub hour: Window,
    /// The last 24 hours.
    pub day: Window,
}

/// Figures of one group of jobs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// Jobs now stored, by state.
    pub counts: BTreeMap<StateKind, i64>,
    /// Jobs that ever came to an end; never falls. Zero of an owner or a label.
    pub finished_total: i64,
    /// How long the oldest ready job has waited.
    pub oldest_pending_age: Option<Duration>,
    /// What happened lately; unknown of an owner or a label.
    pub lately: Option<Lately>,
}

/// Figures in all, by type and by queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// The moment they hold for.
    pub as_of: Timestamp,
    /// All jobs that match.
    pub totals: Figures,
    /// The same by type.
    pub by_type: BTreeMap<JobType, Figures>,
    /// The same by queue.
    pub by_queue: BTreeMap<QueueName, Figures>,
    /// What happened lately to the jobs of an owner or a label: the hour and the day; known if figures are kept
    /// by it and nothing else narrows them down.
    pub facet: Option<[FacetWindow; 2]>,
    /// Only the newest jobs of an owner or a label are counted, for there are too many.
    pub is_capped: bool,
    /// The workers that could take them.
    pub workforce: Workforce,
}

const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

impl StatsFilter {
    fn matches(&self, job_type: &JobType, queue: &QueueName) -> bool {
        !self.is_void
            && (if self.types.is_empty() {
                !job_type.is_reserved()
            } else {
                self.types.contains(job_type)
            })
            && (self.queues.is_empty() || self.queues.contains(queue))
    }

    /// The same by types alone, as they are declared now.
    fn by_types(mut self, book: &Rulebook) -> Self {
        if !self.categories.is_empty() {
            let of = |name: &JobType| book.is_of(name, &self.categories);
            let all = book.types.keys().filter(|name| of(name)).cloned();
            let asked = |name: &JobType| self.types.is_empty() || self.types.contains(name);
            let types: Vec<JobType> = all.filter(asked).collect();
            self.is_void = types.is_empty();
            self.types = types;
        }
        self
    }

    /// Whether a worker could take jobs that match, as far as queues and types tell.
    fn is_served_by(&self, session: &Session) -> bool {
        let queues = &session.queues;
        let types = &session.types;
        !self.is_void
            && (self.queues.is_empty() || self.queues.iter().any(|queue| queues.contains(queue)))
            && (self.types.is_empty()
                || types.is_empty()
                || self.types.iter().any(|job_type| types.contains(job_type)))
    }
}

/// The first minute that a window of this length ending at `now` touches.
pub(super) fn first_minute(now: Timestamp, length: Duration) -> i64 {
    now.minus(length).minute()
}

/// What a window that begins with this minute covers.
fn covered(now: Timestamp, first_minute: i64) -> Duration {
    now.since(Timestamp::from_micros(first_minute.saturating_mul(60_000_000)))
}

/// The minute that the day begins with: that of a whole hour.
pub(super) fn first_minute_of_day(now: Timestamp) -> i64 {
    hour_of(first_minute(now, DAY)) * 60
}

/// The minutes that the three windows begin with.
struct Starts {
    minute: i64,
    hour: i64,
    day: i64,
}

impl Starts {
    fn of(now: Timestamp) -> Self {
        Self {
            minute: first_minute(now, MINUTE),
            hour: first_minute(now, HOUR),
            day: first_minute_of_day(now),
        }
    }
}

impl Lately {
    fn starting(now: Timestamp, starts: &Starts) -> Self {
        let window = |start| Window { tally: Tally::default(), span: covered(now, start) };
        Self { minute: window(starts.minute), hour: window(starts.hour), day: window(starts.day) }
    }

    fn happened(&mut self, bucket: &Bucket, starts: &Starts) {
        let windows = [
            (&mut self.minute, starts.minute),
            (&mut self.hour, starts.hour),
            (&mut self.day, starts.day),
        ];
        for (window, start) in windows {
            if bucket.minute >= start {
                window.tally.merge(&bucket.tally);
            }
        }
    }
}

impl Figures {
    fn starting(now: Timestamp, starts: &Starts) -> Self {
        Self { lately: Some(Lately::starting(now, starts)), ..Self::default() }
    }

    fn count(&mut self, state: StateKind, stored: i64, finished_total: i64) {
        *self.counts.entry(state).or_default() += stored;
        self.finished_total += finished_total;
    }

    fn waits(&mut self, age: Duration) {
        self.oldest_pending_age = self.oldest_pending_age.max(Some(age));
    }
}

/// What the store keeps of figures.
pub(super) struct Kept {
    /// Every counter.
    pub(super) counts: Vec<Count>,
    /// Buckets of the last day.
    pub(super) buckets: Vec<Bucket>,
    /// Since when the oldest ready job of each (queue, type) waits.
    pub(super) oldest: Vec<(QueueName, JobType, Timestamp)>,
}

/// Adds up what is kept of the jobs that match.
pub(super) fn add_up(filter: &StatsFilter, kept: &Kept, now: Timestamp) -> Stats {
    let begin = Starts::of(now);
    let mut stats =
        Stats { as_of: now, totals: Figures::starting(now, &begin), ..Stats::default() };
    let mut add = |job_type: &JobType, queue: &QueueName, add: &dyn Fn(&mut Figures)| {
        if !filter.matches(job_type, queue) {
            return;
        }
        let fresh = || Figures::starting(now, &begin);
        add(&mut stats.totals);
        add(stats.by_type.entry(job_type.clone()).or_insert_with(fresh));
        add(stats.by_queue.entry(queue.clone()).or_insert_with(fresh));
    };
    for count in &kept.counts {
        let of = |figures: &mut Figures| {
            figures.count(count.state, count.stored, count.finished_total);
        };
        add(&count.key.job_type, &count.key.queue, &of);
    }
    for bucket in &kept.buckets {
        let key = &bucket.key;
        add(&key.job_type, &key.queue, &|figures| {
            if let Some(lately) = &mut figures.lately {
                lately.happened(bucket, &begin);
            }
        });
    }
    for (queue, job_type, ready) in &kept.oldest {
        add(job_type, queue, &|figures| figures.waits(now.since(*ready)));
    }
    stats
}

impl Engine {
    /// Figures of the jobs that match, and the workers that could take them.
    pub async fn stats(&self, _caller: &Caller, filter: StatsFilter) -> Result<Stats> {
        let filter = filter.by_types(&self.registry.book());
        let now = self.clock.now();
        if filter.is_of_facet() {
            return self.facet_stats(filter, now).await;
        }
        let from = first_minute_of_day(now);
        let kept = self
            .db
            .read(move |store| async move {
                let counts = store.counts().await?;
                let buckets = store.buckets(from).await?;
                let oldest = store.oldest_pending(now).await?;
                Ok(Kept { counts, buckets, oldest })
            })
            .await?;
        let mut stats = add_up(&filter, &kept, now);
        stats.workforce = self.workforce(&filter).await?;
        Ok(stats)
    }

    /// Workers and what they hold. What an attach of this process holds is known here; only other
    /// streams are looked up, and a unary session has exactly one job.
    pub(super) async fn workforce(&self, filter: &StatsFilter) -> Result<Workforce> {
        let mut roster = self.roster(self.clock.now()).await?;
        roster.sessions.retain(|session| filter.is_served_by(session));
        roster.waiting.retain(|waiter| filter.is_served_by(&waiter.session(roster.now)));
        let elsewhere: Vec<SessionId> =
            roster.open_streams().filter(|id| !roster.attached.contains_key(id)).collect();
        let held = self.held_by(elsewhere).await?;
        Ok(Roster::workforce(&roster, &held))
    }
}

#[cfg(test)]
mod tests;
