//! Columns of what is only added to: executions that statuses forget, lines of the log.

use std::collections::HashSet;

use uuid::Uuid;

use crate::store::Result;
use crate::store::passed::Passed;
use crate::store::rows::encode;

use super::super::super::bound::Bound;

#[derive(Default)]
pub(super) struct History {
    attempts: (Vec<Uuid>, Vec<i64>, Vec<Vec<u8>>),
    logs: Logs,
}

#[derive(Default)]
struct Logs {
    job_ids: Vec<Uuid>,
    epochs: Vec<i64>,
    attempts: Vec<i64>,
    seqs: Vec<i64>,
    counts: Vec<i64>,
    entries: Vec<Vec<u8>>,
}

impl History {
    pub(super) fn of(passed: &Passed<'_>) -> Result<Self> {
        let mut history = Self::default();
        for write in passed.writes() {
            for attempt in &write.superseded {
                history.attempts.0.push(write.job.id.0);
                history.attempts.1.push(attempt.lease_epoch);
                history.attempts.2.push(encode(attempt)?);
            }
        }
        // What deletes a job's log does not see the lines that the same statement adds.
        let gone: HashSet<_> = passed.deletes().map(|delete| delete.job.id).collect();
        for log in passed.logs().filter(|log| !gone.contains(&log.job_id)) {
            history.logs.job_ids.push(log.job_id.0);
            history.logs.epochs.push(log.lease_epoch);
            history.logs.attempts.push(i64::from(log.attempt));
            history.logs.seqs.push(log.seq);
            history.logs.counts.push(i64::try_from(log.entries.len()).unwrap_or(i64::MAX));
            history.logs.entries.push(encode(&log.entries)?);
        }
        Ok(history)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.attempts.0.is_empty() && self.logs.job_ids.is_empty()
    }

    pub(super) fn bind(self, query: Bound) -> Bound {
        let (job_ids, epochs, attempts) = self.attempts;
        let query = query.bind(job_ids).bind(epochs).bind(attempts);
        let Logs { job_ids, epochs, attempts, seqs, counts, entries } = self.logs;
        query.bind(job_ids).bind(epochs).bind(attempts).bind(seqs).bind(counts).bind(entries)
    }
}
