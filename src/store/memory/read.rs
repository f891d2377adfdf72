//! Everything that is only read, and what background pruning takes away.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::session::{EndReason, Session};
use crate::domain::stats::{Bucket, Count, Facet, FacetTally, StatKey, hour_of, slot_of};
use crate::domain::status::{State, StateKind};
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp};
use crate::store::figures;
use crate::store::{Census, KeyKind, ListQuery, Orphan, Probe, ProgressWrite, Prune};

use super::Tables;

/// The job as lists show it.
fn brief(mut job: Job) -> Job {
    if job.spec.payload.is_some() {
        Arc::make_mut(&mut job.spec).payload = None;
    }
    job.status.result = None;
    job
}

impl Tables {
    /// The job with its newest flushed progress.
    pub(super) fn job(&self, id: JobId) -> Option<Job> {
        let mut job = self.jobs.get(&id)?.clone();
        if let Some(flushed) = self.progress.get(&id) {
            flushed.clone().overlay(&mut job.status);
        }
        Some(job)
    }

    pub(super) fn progress_of(&self, ids: &[JobId]) -> Vec<ProgressWrite> {
        let flushed = |id: &JobId| {
            let flushed = self.progress.get(id)?;
            Some(flushed.clone().of(*id))
        };
        ids.iter().filter_map(flushed).collect()
    }

    /// The job, if it waits where the probe looks and may start now; with its place in the line.
    pub(super) fn candidate(
        &self,
        id: JobId,
        probe: &Probe,
        now: Timestamp,
    ) -> Option<(Timestamp, &Job)> {
        let job = self.jobs.get(&id)?;
        let State::Pending { ready_key } = job.status.state else { return None };
        let deadline = job.status.deadline(job.spec.expire_time);
        let waits = job.status.effective.queue == probe.queue
            && job.spec.job_type == probe.job_type
            && job.status.schedule_time <= now
            && deadline.is_none_or(|deadline| deadline > now);
        waits.then_some((ready_key, job))
    }

    pub(super) fn list(&self, query: &ListQuery) -> Vec<Job> {
        self.jobs
            .values()
            .rev()
            .filter(|job| query.before.is_none_or(|before| job.id < before))
            .filter(|job| query.filter.matches(job))
            .take(query.limit)
            .filter_map(|job| self.job(job.id))
            .map(|job| if query.full { job } else { brief(job) })
            .collect()
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = (Timestamp, JobId)> {
        self.jobs.values().filter_map(|job| {
            job.status.deadline(job.spec.expire_time).map(|deadline| (deadline, job.id))
        })
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<JobId> {
        let mut due: Vec<_> = self.deadlines().filter(|(time, _)| *time <= now).collect();
        due.sort_unstable();
        due.into_iter().take(limit).map(|(_, id)| id).collect()
    }

    pub(super) fn expired_sessions(&self, now: Timestamp, limit: usize) -> Vec<SessionId> {
        let mut expired: Vec<_> = self
            .sessions
            .values()
            .filter(|session| session.end.is_none() && session.expire_time <= now)
            .collect();
        expired.sort_by_key(|session| (session.expire_time, session.id));
        expired.into_iter().take(limit).map(|session| session.id).collect()
    }

    pub(super) fn orphans(&self, limit: usize) -> Vec<Orphan> {
        let mut orphans: Vec<_> = self
            .jobs
            .values()
            .filter_map(|job| {
                let session = job.status.session()?;
                let reason = match self.sessions.get(&session) {
                    Some(held) => held.end?.1,
                    None => EndReason::Expired,
                };
                let lease_epoch = job.status.lease_epoch;
                Some(Orphan { job_id: job.id, lease_epoch, session, reason })
            })
            .collect();
        orphans.sort_by_key(|orphan| (orphan.session, orphan.job_id));
        orphans.truncate(limit);
        orphans
    }

    pub(super) fn held(&self, sessions: &[SessionId]) -> Vec<Job> {
        self.jobs
            .values()
            .filter(|job| job.status.session().is_some_and(|held| sessions.contains(&held)))
            .filter_map(|job| self.job(job.id))
            .map(brief)
            .collect()
    }

    pub(super) fn sessions_where(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Session> {
        let mut found: Vec<Session> =
            self.sessions.values().filter(|session| wanted(session)).cloned().collect();
        found.sort_by_key(|session| Reverse((session.connect_time, session.id)));
        found
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        self.counts
            .iter()
            .map(|((key, state), (stored, finished_total))| Count {
                key: key.clone(),
                state: *state,
                stored: *stored,
                finished_total: *finished_total,
            })
            .collect()
    }

    pub(super) fn buckets(&self, from_minute: i64) -> Vec<Bucket> {
        let hours = self.hours.iter().filter(|((hour, _), _)| *hour >= hour_of(from_minute));
        let hours = hours.map(|((hour, key), tally)| (hour * 60, key.clone(), tally.clone()));
        let minutes = self.buckets.iter().filter(|((minute, _), _)| *minute >= from_minute);
        let minutes = minutes.map(|((minute, key), tally)| (*minute, key.clone(), tally.clone()));
        figures::buckets(hours.chain(minutes))
    }

    pub(super) fn roll_up(&mut self, before_minute: i64, limit: usize) -> u64 {
        let old = self.buckets.extract_if(.., |(minute, _), _| *minute < before_minute);
        let old: Vec<_> = old.take(limit).collect();
        let gone = old.len() as u64;
        let minutes = old.into_iter().map(|((minute, key), tally)| Bucket { key, minute, tally });
        for (name, tally) in figures::hours(minutes.collect()) {
            self.hours.entry(name).or_default().merge(&tally);
        }
        gone
    }

    pub(super) fn facet(&self, facet: &Facet, from_slot: i64) -> Vec<(i64, FacetTally)> {
        let of_it = self.facets.iter().filter(|((slot, of), _)| *slot >= from_slot && of == facet);
        of_it.map(|((slot, _), tally)| (*slot, *tally)).collect()
    }

    pub(super) fn census(&self, filter: &JobFilter, now: Timestamp, most: u64) -> Census {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let found = self.jobs.values().rev().filter(|job| filter.matches(job)).take(most);
        found.fold(Census::default(), |mut census, job| {
            let key = StatKey {
                job_type: job.spec.job_type.clone(),
                queue: job.status.effective.queue.clone(),
            };
            let ready = job.status.schedule_time;
            let waits = job.status.kind() == StateKind::Pending && ready <= now;
            census.add(key, job.status.kind(), 1, waits.then_some(ready));
            census
        })
    }

    pub(super) fn oldest_pending(&self, now: Timestamp) -> Vec<(QueueName, JobType, Timestamp)> {
        let mut oldest = BTreeMap::new();
        for job in self.jobs.values() {
            let ready = job.status.schedule_time;
            if job.status.kind() == StateKind::Pending && ready <= now {
                let key = (job.status.effective.queue.clone(), job.spec.job_type.clone());
                let held = oldest.entry(key).or_insert(ready);
                *held = ready.min(*held);
            }
        }
        oldest.into_iter().map(|((queue, job_type), ready)| (queue, job_type, ready)).collect()
    }

    pub(super) fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        limit: usize,
    ) -> Vec<Job> {
        self.jobs
            .values()
            .rev()
            .filter(|job| job.spec.job_type == *job_type && job.status.kind().is_terminal())
            .filter(|job| state.is_none_or(|state| job.status.kind() == state))
            .take(limit)
            .cloned()
            .map(brief)
            .collect()
    }

    pub(super) fn prune(&mut self, prune: Prune) -> u64 {
        let mut gone = 0;
        let mut left = prune.limit;
        let mut goes = |old: bool, left: &mut usize| {
            let goes = old && *left > 0;
            if goes {
                *left -= 1;
                gone += 1;
            }
            !goes
        };
        self.changes.prune(|time| goes(time < prune.changes_before, &mut left));
        left = prune.limit;
        self.sessions.retain(|_, session| {
            let old = session.end.is_some_and(|(time, _)| time < prune.sessions_before);
            goes(old, &mut left)
        });
        left = prune.limit;
        let jobs = &self.jobs;
        self.keys.retain(|(kind, _, _), key| {
            let old = *kind == KeyKind::Request
                && key.create_time < prune.requests_before
                && !jobs.contains_key(&key.holder);
            goes(old, &mut left)
        });
        left = prune.limit;
        let before = prune.buckets_before.minute();
        self.buckets.retain(|(minute, _), _| goes(*minute < before, &mut left));
        left = prune.limit;
        self.hours.retain(|(hour, _), _| goes(*hour < hour_of(before), &mut left));
        left = prune.limit;
        self.facets.retain(|(slot, _), _| goes(*slot < slot_of(before), &mut left));
        gone += self.told.prune(&prune);
        gone
    }
}
