//! How fast it goes.

use std::time::Duration;

use crate::domain::limits::BULK_BATCH_JOBS;
use crate::domain::time::Timestamp;

use super::spec::BulkSpec;
use super::state::BulkState;

/// How many jobs were taken since a moment. It is not kept over a restart: the pace begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    since: Timestamp,
    taken: u64,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkNext {
    /// Take this many jobs, at least one.
    Take(usize),
    /// Take none before this moment.
    Wait(Timestamp),
    /// As many jobs were changed as were expected: one more that matches is one too many.
    Full,
}

impl Pace {
    /// A pace that begins at `now`.
    #[must_use]
    pub const fn starting(now: Timestamp) -> Self {
        Self { since: now, taken: 0 }
    }

    /// Notes that jobs were taken.
    pub fn took(&mut self, jobs: usize) {
        self.taken += jobs as u64;
    }

    /// What to do next. The first job may be taken at once, the one after it 1 / rate later; time in
    /// which nothing could be done is not made up for by more than one batch.
    pub fn next(&mut self, spec: &BulkSpec, state: &BulkState, now: Timestamp) -> BulkNext {
        let Some(room) = spec.expected_max.checked_sub(state.changed).filter(|room| *room > 0)
        else {
            return BulkNext::Full;
        };
        let batch = usize::try_from(room).unwrap_or(usize::MAX).min(BULK_BATCH_JOBS);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a pace: counts stay far below 2^53"
        )]
        let allowed = {
            let allowed = (now.since(self.since).as_secs_f64() * spec.rate) as u64 + 1;
            // What could have been taken and was not, beyond a batch, is forgotten.
            let late = allowed.saturating_sub(self.taken).saturating_sub(BULK_BATCH_JOBS as u64);
            self.since = self.since.plus(Duration::from_secs_f64(late as f64 / spec.rate));
            allowed - late
        };
        match allowed.saturating_sub(self.taken) {
            0 => {
                #[expect(clippy::cast_precision_loss, reason = "see above")]
                let due = Duration::from_secs_f64(self.taken as f64 / spec.rate);
                BulkNext::Wait(self.since.plus(due).max(now.plus(Duration::from_micros(1))))
            }
            open => BulkNext::Take(usize::try_from(open).unwrap_or(usize::MAX).min(batch)),
        }
    }
}
