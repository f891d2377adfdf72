//! Lines that wait for the server, of all jobs: in memory up to a bound, then on disk up to another, then the oldest
//! give way to a line that says how many they were.

mod pages;

use std::collections::{BTreeMap, VecDeque};

use prost::Message as _;
use prost_types::Timestamp;
use prost_types::value::Kind;

use super::Lease;
use crate::domain::limits::{LOG_BATCH_BYTES_MAX, LOG_BATCH_LINES_MAX, SPOOL_MEMORY_BYTES_MAX};
use crate::proto::v1::{LogEntry, LogLevel};
use pages::{Pages, Place};

#[cfg(test)]
mod tests;

/// What a line weighs beside its texts: as the server counts it.
const LINE_WEIGHT: usize = 128;
/// Less than this of one job is not moved to the disk: a chunk takes whole pages.
const SPILL_WEIGHT_MIN: usize = 16 * 1024;

/// What a line weighs.
pub(super) fn weight(line: &LogEntry) -> usize {
    let data = line.data.as_ref().map_or(0, bytes::Bytes::len);
    LINE_WEIGHT + line.step.len() + line.message.len() + data
}

/// The lines of one job, the oldest in front: `front`, the gap, `chunks`, `back`.
#[derive(Default)]
struct Lines {
    front: VecDeque<LogEntry>,
    gap: Option<Gap>,
    chunks: VecDeque<Chunk>,
    back: VecDeque<LogEntry>,
    back_weight: usize,
}

/// Lines that were dropped.
struct Gap {
    lines: u64,
    /// The time of the last of them.
    time: Option<Timestamp>,
}

/// Lines on disk.
struct Chunk {
    order: u64,
    place: Place,
    lines: u64,
    time: Option<Timestamp>,
}

/// Lines of all jobs that wait for the server.
pub(super) struct Spool {
    jobs: BTreeMap<Lease, Lines>,
    /// Whose chunk is the oldest.
    order: BTreeMap<u64, Lease>,
    chunks: u64,
    pages: Pages,
    memory: usize,
    waiting: u64,
    dropped: u64,
}

impl Spool {
    /// Keeps so many bytes on disk at most.
    pub(super) fn new(disk_bytes: usize) -> Self {
        Self {
            jobs: BTreeMap::new(),
            order: BTreeMap::new(),
            chunks: 0,
            pages: Pages::new(disk_bytes),
            memory: 0,
            waiting: 0,
            dropped: 0,
        }
    }

    /// Lines that wait.
    pub(super) const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Lines that were dropped.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Lines that were taken are lost: the server would not have them.
    pub(super) const fn refused(&mut self, lines: u64) {
        self.dropped += lines;
    }

    /// Whether more waits than belongs into memory.
    pub(super) fn is_over_memory(&self) -> bool {
        self.memory > SPOOL_MEMORY_BYTES_MAX / 2 || !self.order.is_empty()
    }

    /// Whether nothing of this job waits; a gap that is not told yet waits too.
    pub(super) fn is_empty(&self, job: &Lease) -> bool {
        self.jobs.get(job).is_none_or(Lines::is_empty)
    }

    /// Adds a line of a job.
    pub(super) fn push(&mut self, job: &Lease, line: LogEntry) {
        let weight = weight(&line);
        self.memory += weight;
        self.waiting += 1;
        let of = self.jobs.entry(job.clone()).or_default();
        of.back.push_back(line);
        of.back_weight += weight;
        if self.memory > SPOOL_MEMORY_BYTES_MAX && of.back_weight >= SPILL_WEIGHT_MIN {
            self.spill(job);
        }
    }

    /// Takes the oldest lines of a job: as many as a batch holds and `bytes` allow by weight.
    pub(super) fn take(&mut self, job: &Lease, bytes: usize) -> Vec<LogEntry> {
        let mut batch = Vec::new();
        let (mut encoded, mut weighed) = (0, 0);
        while batch.len() < LOG_BATCH_LINES_MAX {
            let Some(line) = self.oldest(job) else { break };
            encoded += line.encoded_len();
            weighed += weight(line);
            if encoded > LOG_BATCH_BYTES_MAX || weighed > bytes {
                break;
            }
            batch.extend(self.pop(job));
        }
        if self.is_empty(job) {
            self.jobs.remove(job);
        }
        batch
    }

    /// Puts lines back that were taken and not accepted: they are the oldest again.
    pub(super) fn put_back(&mut self, job: &Lease, lines: Vec<LogEntry>) {
        let of = self.jobs.entry(job.clone()).or_default();
        for line in lines.into_iter().rev() {
            self.memory += weight(&line);
            self.waiting += 1;
            of.front.push_front(line);
        }
    }

    /// Forgets the lines of a job.
    pub(super) fn remove(&mut self, job: &Lease) {
        let Some(lines) = self.jobs.remove(job) else { return };
        for line in lines.front.iter().chain(&lines.back) {
            self.memory -= weight(line);
            self.waiting -= 1;
        }
        for chunk in lines.chunks {
            self.waiting -= chunk.lines;
            self.order.remove(&chunk.order);
            self.pages.free(chunk.place);
        }
    }

    /// The oldest line of a job, fetched from disk if it is there.
    fn oldest(&mut self, job: &Lease) -> Option<&LogEntry> {
        self.fetch(job);
        let of = self.jobs.get(job)?;
        of.front.front().or_else(|| of.back.front())
    }

    /// Brings the oldest line of a job to the front, unless it is in memory.
    fn fetch(&mut self, job: &Lease) {
        while let Some(of) = self.jobs.get_mut(job).filter(|of| of.front.is_empty()) {
            if let Some(gap) = of.gap.take() {
                let line = gap.line();
                self.memory += weight(&line);
                self.waiting += 1;
                of.front.push_back(line);
            } else if let Some(chunk) = of.chunks.pop_front() {
                self.load(job, chunk);
            } else {
                return;
            }
        }
    }

    fn pop(&mut self, job: &Lease) -> Option<LogEntry> {
        let of = self.jobs.get_mut(job)?;
        let line = if let Some(line) = of.front.pop_front() {
            line
        } else {
            let line = of.back.pop_front()?;
            of.back_weight -= weight(&line);
            line
        };
        self.memory -= weight(&line);
        self.waiting -= 1;
        Some(line)
    }

    /// Reads a chunk; what cannot be read is lost, and counted.
    fn load(&mut self, job: &Lease, chunk: Chunk) {
        self.order.remove(&chunk.order);
        let lines = self.pages.read(&chunk.place).ok().and_then(|bytes| decode(&bytes));
        let Some(lines) = lines else { return self.lose(job, chunk) };
        self.pages.free(chunk.place);
        self.memory += lines.iter().map(weight).sum::<usize>();
        self.jobs.entry(job.clone()).or_default().front.extend(lines);
    }

    /// Moves what a job has in memory, and that is the newest, to the disk.
    fn spill(&mut self, job: &Lease) {
        let Some(of) = self.jobs.get_mut(job) else { return };
        let mut lines = std::mem::take(&mut of.back);
        self.memory -= std::mem::take(&mut of.back_weight);
        while !lines.is_empty() {
            let (mut bytes, mut count, mut time) = (Vec::new(), 0, None);
            while let Some(line) = lines.front() {
                if count > 0 && bytes.len() + line.encoded_len() > LOG_BATCH_BYTES_MAX {
                    break;
                }
                bytes.extend(line.encode_length_delimited_to_vec());
                time = line.time;
                count += 1;
                lines.pop_front();
            }
            self.store(job, &bytes, count, time);
        }
    }

    /// Writes a chunk; the oldest ones give way to it.
    fn store(&mut self, job: &Lease, bytes: &[u8], lines: u64, time: Option<Timestamp>) {
        let place = loop {
            match self.pages.write(bytes) {
                Ok(place) => break place,
                // No room, or the disk fails: what is the oldest goes.
                Err(_) if self.drop_oldest() => {}
                Err(_) => return self.count_lost(job, lines, time),
            }
        };
        self.chunks += 1;
        self.order.insert(self.chunks, job.clone());
        let chunk = Chunk { order: self.chunks, place, lines, time };
        self.jobs.entry(job.clone()).or_default().chunks.push_back(chunk);
    }

    /// Drops the oldest chunk of all; `false` if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, job)) = self.order.pop_first() else { return false };
        // The oldest of all is the oldest of its job.
        let chunk = self.jobs.get_mut(&job).and_then(|of| of.chunks.pop_front());
        if let Some(chunk) = chunk {
            self.lose(&job, chunk);
        }
        true
    }

    fn lose(&mut self, job: &Lease, chunk: Chunk) {
        self.pages.free(chunk.place);
        self.count_lost(job, chunk.lines, chunk.time);
    }

    fn count_lost(&mut self, job: &Lease, lines: u64, time: Option<Timestamp>) {
        self.waiting -= lines;
        self.dropped += lines;
        let of = self.jobs.entry(job.clone()).or_default();
        let before = of.gap.take().map_or(0, |gap| gap.lines);
        of.gap = Some(Gap { lines: before + lines, time });
    }
}

impl Lines {
    fn is_empty(&self) -> bool {
        let none = self.front.is_empty() && self.chunks.is_empty() && self.back.is_empty();
        none && self.gap.is_none()
    }
}

impl Gap {
    /// The line that stands where they stood.
    fn line(&self) -> LogEntry {
        let (lines, noun) = (self.lines, if self.lines == 1 { "line was" } else { "lines were" });
        #[expect(clippy::cast_precision_loss, reason = "nobody drops 2^53 lines")]
        let dropped = prost_types::Value { kind: Some(Kind::NumberValue(lines as f64)) };
        let data = prost_types::Struct { fields: [("dropped_lines".to_owned(), dropped)].into() };
        LogEntry {
            time: self.time,
            level: LogLevel::Warning.into(),
            message: format!("{lines} {noun} dropped here: the server was away for too long"),
            data: Some(data.encode_to_vec().into()),
            ..LogEntry::default()
        }
    }
}

/// The lines of a chunk; `None` if they are not as they were written.
fn decode(mut bytes: &[u8]) -> Option<Vec<LogEntry>> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        lines.push(LogEntry::decode_length_delimited(&mut bytes).ok()?);
    }
    Some(lines)
}
