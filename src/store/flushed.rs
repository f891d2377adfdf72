//! The newest flushed progress of a running job: three things that come to be known apart from each other, in one row.
//!
//! A report has a sequence. A line of the log moves only the time of the last activity, a sample of usage only that of
//! the newest sample; neither has a sequence, and each may have come to another server. So each has a column of its own
//! with an order of its own, and within a lease none goes back, whoever writes the row. What a reader gets is all of
//! them, one behind the other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::status::{JobStatus, State};
use crate::domain::usage::{UsageWatch, later};
use crate::domain::{JobId, Timestamp};

use super::rows::{corrupt, encode};
use super::{ProgressWrite, Result};

const WHAT: &str = "job_progress";

/// Times begin blobs, so that blobs stand in the order of their times.
const TIME_BYTES: usize = 8;

/// What an upsert of a row does to one that is there: `excluded` is the new one.
macro_rules! only_forward {
    () => {
        "ON CONFLICT (id) DO UPDATE SET lease_epoch = excluded.lease_epoch, \
        sequence = CASE WHEN (excluded.lease_epoch, excluded.sequence) \
        >= (job_progress.lease_epoch, job_progress.sequence) \
        THEN excluded.sequence ELSE job_progress.sequence END, \
        data = CASE WHEN (excluded.lease_epoch, excluded.sequence) \
        >= (job_progress.lease_epoch, job_progress.sequence) \
        THEN excluded.data ELSE job_progress.data END, \
        active = CASE WHEN (excluded.lease_epoch, excluded.active) \
        >= (job_progress.lease_epoch, job_progress.active) \
        THEN excluded.active ELSE job_progress.active END, \
        used = CASE WHEN (excluded.lease_epoch, excluded.used) \
        >= (job_progress.lease_epoch, job_progress.used) \
        THEN excluded.used ELSE job_progress.used END \
        WHERE excluded.lease_epoch >= job_progress.lease_epoch"
    };
}

pub(super) use only_forward;

/// What a job's row says, or is to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flushed {
    /// The lease it was reported under.
    pub lease_epoch: i64,
    /// How far the job is.
    pub progress: Progress,
    /// What it uses.
    pub usage: Option<ResourceUsage>,
    /// Since when that is more than it may.
    pub usage_watch: UsageWatch,
}

/// The same as columns.
pub(super) struct Columns {
    /// The order of reports.
    pub sequence: i64,
    /// The newest report.
    pub data: Vec<u8>,
    /// The time of the last activity.
    pub active: Vec<u8>,
    /// The time of the newest sample, and what it says.
    pub used: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Report {
    #[serde(rename = "l")]
    lease_epoch: i64,
    #[serde(rename = "p")]
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
struct Sample {
    #[serde(rename = "u")]
    usage: Option<ResourceUsage>,
    #[serde(rename = "w", default)]
    usage_watch: UsageWatch,
}

fn time_bytes(time: Option<Timestamp>) -> [u8; TIME_BYTES] {
    let micros = time.map_or(0, Timestamp::as_micros);
    u64::try_from(micros).unwrap_or(0).to_be_bytes()
}

impl From<ProgressWrite> for Flushed {
    fn from(write: ProgressWrite) -> Self {
        let ProgressWrite { lease_epoch, progress, usage, usage_watch, .. } = write;
        Self { lease_epoch, progress, usage, usage_watch }
    }
}

impl Flushed {
    /// As it is written for a job.
    pub(super) fn of(self, job_id: JobId) -> ProgressWrite {
        let Self { lease_epoch, progress, usage, usage_watch } = self;
        ProgressWrite { job_id, lease_epoch, progress, usage, usage_watch }
    }

    /// As columns.
    pub(super) fn columns(self) -> Result<Columns> {
        let Self { lease_epoch, mut progress, usage, usage_watch } = self;
        let active = time_bytes(progress.activity_time.take()).to_vec();
        let mut used = time_bytes(usage_watch.sample_time()).to_vec();
        if usage.is_some() || usage_watch.sample_time().is_some() {
            used.extend(encode(&Sample { usage, usage_watch })?);
        }
        let sequence = progress.sequence;
        let data = encode(&Report { lease_epoch, progress })?;
        Ok(Columns { sequence, data, active, used })
    }

    /// Reads what columns say, one behind the other.
    pub(super) fn read(mut columns: &[u8]) -> Result<Self> {
        let report = rmp_serde::from_read::<_, Report>(&mut columns);
        let Report { lease_epoch, mut progress } = report.map_err(|error| corrupt(WHAT, error))?;
        let Some((active, rest)) = columns.split_first_chunk::<TIME_BYTES>() else {
            return Err(corrupt(WHAT, "no time of an activity follows the report"));
        };
        let micros = i64::try_from(u64::from_be_bytes(*active)).unwrap_or_default();
        progress.activity_time = (micros > 0).then(|| Timestamp::from_micros(micros));
        let sample = match rest.get(TIME_BYTES..) {
            None => return Err(corrupt(WHAT, "no time of a sample follows the activity")),
            Some([]) => Sample { usage: None, usage_watch: UsageWatch::default() },
            Some(sample) => super::rows::decode(WHAT, sample)?,
        };
        let Sample { usage, usage_watch } = sample;
        Ok(Self { lease_epoch, progress, usage, usage_watch })
    }

    /// Both together, each thing as it is known later; what came under an older lease is nothing.
    pub(super) fn join(&mut self, newer: Self) {
        if newer.lease_epoch != self.lease_epoch {
            if newer.lease_epoch > self.lease_epoch {
                *self = newer;
            }
            return;
        }
        let active = self.progress.activity_time.max(newer.progress.activity_time);
        if newer.progress.sequence >= self.progress.sequence {
            self.progress = newer.progress;
        }
        self.progress.activity_time = active;
        if newer.usage_watch.sample_time() >= self.usage_watch.sample_time() {
            (self.usage, self.usage_watch) = (newer.usage, newer.usage_watch);
        }
    }

    /// Shows this progress on the job, if the job runs with its epoch and knows nothing newer.
    pub(super) fn overlay(self, status: &mut JobStatus) {
        let current =
            matches!(status.state, State::Running { .. }) && status.lease_epoch == self.lease_epoch;
        let active = status.progress.activity_time.max(self.progress.activity_time);
        if current && self.progress.sequence >= status.progress.sequence {
            status.progress = self.progress;
        }
        if current {
            // Neither a line in the log nor a sample of usage has a sequence.
            status.progress.activity_time = active;
            let known = (status.resource_usage, status.usage_watch);
            (status.resource_usage, status.usage_watch) =
                later((self.usage, self.usage_watch), known);
        }
    }

    /// Whether the job showed activity after `since` under this lease.
    pub(super) fn is_active_after(&self, lease_epoch: i64, since: Timestamp) -> bool {
        self.lease_epoch == lease_epoch && self.progress.activity_time > Some(since)
    }
}

/// What rows say of each job and lease together: a statement writes a row at most once.
pub(super) fn of_each_lease<'a>(
    rows: impl Iterator<Item = &'a ProgressWrite>,
) -> Vec<(JobId, Flushed)> {
    let mut places: HashMap<(JobId, i64), usize> = HashMap::new();
    let mut joined: Vec<(JobId, Flushed)> = Vec::new();
    for row in rows {
        let flushed = Flushed::from(row.clone());
        match places.entry((row.job_id, row.lease_epoch)) {
            Entry::Vacant(place) => {
                place.insert(joined.len());
                joined.push((row.job_id, flushed));
            }
            Entry::Occupied(place) => {
                if let Some((_, held)) = joined.get_mut(*place.get()) {
                    held.join(flushed);
                }
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests;
