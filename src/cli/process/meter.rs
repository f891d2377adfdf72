//! What a tree of processes uses, and whether it is too much. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Over, Usage};
use super::spec::Limits;
use crate::domain::limits::{PROCESS_CPU_OVER_FOR, PROCESS_SAMPLE_INTERVAL};

#[cfg(test)]
mod tests;

/// One look at the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// When.
    pub at: Instant,
    /// Processor time of the processes that are there, with their children that ended.
    pub cpu: Duration,
    /// Their memory.
    pub memory_bytes: u64,
    /// How many there are.
    pub processes: usize,
}

/// Turns samples into usage.
pub(super) struct Meter {
    limits: Limits,
    /// The samples of the last [`PROCESS_CPU_OVER_FOR`], the oldest first, and the one before them.
    recent: VecDeque<Sample>,
    /// Processor time of orphans that ended: it is in no sample any more.
    retired: Duration,
    usage: Option<Usage>,
}

impl Meter {
    /// A meter of a tree that starts at `now`.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let start = Sample { at: now, cpu: Duration::ZERO, memory_bytes: 0, processes: 1 };
        Self { limits, recent: [start].into(), retired: Duration::ZERO, usage: None }
    }

    /// The newest usage.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Processor time of a process that will be in no further sample.
    pub(super) fn retire(&mut self, cpu: Duration) {
        self.retired += cpu;
    }

    /// Takes a sample; answers the limit that is passed.
    pub(super) fn take(&mut self, mut sample: Sample) -> Option<Over> {
        // What ended unseen takes its time along; the sum never falls for that.
        let before = self.recent.back().map_or(Duration::ZERO, |last| last.cpu);
        sample.cpu = (sample.cpu + self.retired).max(before);
        let peak = self.usage.map_or(0, |usage| usage.peak_memory_bytes);
        self.usage = Some(Usage {
            // Processor time is counted in hundredths of a second: over a shorter time it is a rough figure.
            cpu_percent: self.percent_over(PROCESS_SAMPLE_INTERVAL, &sample),
            memory_bytes: sample.memory_bytes,
            peak_memory_bytes: peak.max(sample.memory_bytes),
            processes: sample.processes,
        });
        let over = self.over_memory(&sample).or_else(|| self.over_cpu(&sample));
        self.recent.push_back(sample);
        let long_ago = |old: &Sample| sample.at - old.at >= PROCESS_CPU_OVER_FOR;
        while self.recent.get(1).is_some_and(long_ago) {
            self.recent.pop_front();
        }
        over
    }

    fn over_memory(&self, sample: &Sample) -> Option<Over> {
        let limit_bytes = self.limits.memory_bytes?;
        let used_bytes = sample.memory_bytes;
        (used_bytes > limit_bytes).then_some(Over::Memory { used_bytes, limit_bytes })
    }

    fn over_cpu(&self, sample: &Sample) -> Option<Over> {
        let limit_percent = self.limits.cpu_percent?;
        let oldest = self.recent.front()?;
        if sample.at - oldest.at < PROCESS_CPU_OVER_FOR {
            return None;
        }
        let used_percent = self.percent_over(PROCESS_CPU_OVER_FOR, sample);
        (used_percent > limit_percent).then_some(Over::Cpu { used_percent, limit_percent })
    }

    /// The mean over this time, or a little more, or since the start.
    fn percent_over(&self, span: Duration, sample: &Sample) -> f64 {
        let newest_first = self.recent.iter().rev();
        let base = newest_first.clone().find(|old| sample.at - old.at >= span);
        let Some(base) = base.or_else(|| self.recent.front()) else { return 0.0 };
        percent(sample.cpu.saturating_sub(base.cpu), sample.at - base.at)
    }
}

/// `used` in percent of one core over `passed`.
fn percent(used: Duration, passed: Duration) -> f64 {
    if passed.is_zero() { 0.0 } else { used.as_secs_f64() / passed.as_secs_f64() * 100.0 }
}
