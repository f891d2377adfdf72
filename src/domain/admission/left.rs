//! How many more may start, before anybody looks at which jobs wait.

use super::hold::Hold;
use super::rules::Rules;
use crate::domain::ids::{JobType, QueueName};
use crate::domain::rate::{Bucket, StartRate};
use crate::domain::time::Timestamp;

impl Rules {
    /// How many jobs of a type may start from a queue at `now`, as far as pauses, caps and rates say.
    ///
    /// # Errors
    /// With the first of them that keeps all of these jobs waiting.
    pub fn left(&self, queue: &QueueName, job_type: &JobType, now: Timestamp) -> Result<u64, Hold> {
        let mut holds = self.full(queue, job_type);
        holds.extend(self.spent(queue, job_type, now));
        if let Some(hold) = holds.into_iter().next() {
            return Err(hold);
        }
        let server_max = if job_type.is_reserved() { 0 } else { self.server_max };
        let mut left = room(self.server_running, server_max);
        if let Some(queue) = self.queues.get(queue) {
            left = left.min(room(queue.running, queue.settings.max_running));
            left = left.min(tokens(queue.settings.start_rate.as_ref(), queue.bucket, now));
        }
        if let Some(kind) = self.types.get(job_type) {
            left = left.min(room(kind.running, kind.max_concurrent));
            left = left.min(tokens(kind.start_rate.as_ref(), kind.bucket, now));
        }
        Ok(left)
    }
}

fn room(running: u64, max: u32) -> u64 {
    if max == 0 { u64::MAX } else { u64::from(max).saturating_sub(running) }
}

fn tokens(rate: Option<&StartRate>, bucket: Option<Bucket>, now: Timestamp) -> u64 {
    let Some(rate) = rate else { return u64::MAX };
    let bucket = bucket.unwrap_or_else(|| Bucket::full(rate, now));
    bucket.take(rate, u32::MAX, now).0.into()
}
