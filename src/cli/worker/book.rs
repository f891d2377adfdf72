//! What a worker holds, what it has said and what it still has to say. No I/O but the spool's, no clock: moments come
//! in as arguments.
//!
//! An update keeps its number from stream to stream until the server has answered it: that is how a repeat is known.
//! Numbers grow along a stream, so what was said before a break is said again first.

mod answers;
mod say;

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::time::Duration;

use tokio::time::Instant;

use super::Lease;
use super::entry::{End, Entry, Outcome};
use super::spool::{Spool, weight};
use crate::domain::limits::{
    LEASE_TTL_DEFAULT, LOG_ENTRY_BYTES_MAX, PROGRESS_NAME_BYTES_MAX, REPORT_INTERVAL_UNWATCHED,
    UNACKED_BYTES_MAX, UNACKED_UPDATES_MAX,
};
use crate::proto::v1::report_progress_request::hello::Running;
use crate::proto::v1::{HostUsage, LogEntry, Progress, ResourceUsage};

pub(super) use say::Next;

#[cfg(test)]
mod tests;

/// What an entry takes beside its texts.
const ENTRY_MARGIN: usize = 128;

/// How often and how much to report.
#[derive(Debug, Clone, Copy)]
struct Policy {
    report_interval: Duration,
    unacked_bytes: usize,
    unacked_updates: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            report_interval: REPORT_INTERVAL_UNWATCHED,
            unacked_bytes: UNACKED_BYTES_MAX,
            unacked_updates: UNACKED_UPDATES_MAX,
        }
    }
}

/// A durable update that the server has not answered.
struct Sent {
    seq: i64,
    lease: Lease,
    said: Said,
}

enum Said {
    Lines(Vec<LogEntry>),
    /// Units used so far of a quota.
    Used(String, i64),
    Outcome(Outcome),
}

impl Said {
    fn weight(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.iter().map(weight).sum(),
            Self::Used(..) | Self::Outcome(_) => 0,
        }
    }

    fn lines(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Used(..) | Self::Outcome(_) => 0,
        }
    }
}

/// What a worker holds, has said and has to say.
#[expect(clippy::struct_excessive_bools, reason = "each says that one kind of message is due")]
pub(super) struct Book {
    jobs: BTreeMap<Lease, Entry>,
    spool: Spool,
    /// Said on this stream and not answered, by number.
    sent: VecDeque<Sent>,
    sent_weight: usize,
    /// Said on an earlier stream and not answered, by number.
    again: VecDeque<Sent>,
    seq: i64,
    policy: Policy,
    capacity: u32,
    capacity_due: bool,
    host: Option<HostUsage>,
    heartbeat_interval: Duration,
    heartbeat: Option<Instant>,
    /// The last message of this stream.
    received: i64,
    confirm_due: bool,
    /// Whose lines were sent last: the next job in turn comes first.
    turn: Option<Lease>,
    /// A job came that this stream's Hello did not name.
    unnamed: bool,
    /// A stream is open, and what the server asked for is known.
    attached: bool,
    /// The server has not taken anything for a while, although it is there.
    stalled: bool,
    closing: bool,
    leaving: bool,
    goodbye: bool,
}

impl Book {
    pub(super) fn new(capacity: u32, spool_bytes: usize, holding: &[Lease]) -> Self {
        let jobs = holding.iter().map(|lease| (lease.clone(), Entry::default())).collect();
        Self {
            jobs,
            spool: Spool::new(spool_bytes),
            sent: VecDeque::new(),
            sent_weight: 0,
            again: VecDeque::new(),
            seq: 0,
            policy: Policy::default(),
            capacity,
            capacity_due: true,
            host: None,
            heartbeat_interval: LEASE_TTL_DEFAULT / 3,
            heartbeat: None,
            received: 0,
            confirm_due: false,
            turn: None,
            unnamed: false,
            attached: false,
            stalled: false,
            closing: false,
            leaving: false,
            goodbye: false,
        }
    }

    /// Whether more lines wait than a server that is there takes at once.
    pub(super) fn is_full(&self) -> bool {
        self.attached && !self.stalled && self.spool.is_over_memory()
    }

    /// The server takes nothing: nobody has to wait for it until it does.
    pub(super) fn stalled(&mut self) {
        self.stalled = true;
    }

    /// How far a job is.
    pub(super) fn progress(&mut self, lease: &Lease, progress: Progress) {
        if let Some(entry) = self.open(lease) {
            entry.progress = Some(progress);
            entry.progress_due = true;
        }
    }

    /// What a job uses.
    pub(super) fn usage(&mut self, lease: &Lease, usage: ResourceUsage) {
        if let Some(entry) = self.open(lease) {
            entry.usage = Some(usage);
            entry.usage_due = true;
        }
    }

    /// What a job used of quotas so far.
    pub(super) fn quota_use(&mut self, lease: &Lease, so_far: &BTreeMap<String, i64>) {
        let Some(entry) = self.open(lease) else { return };
        for (name, units) in so_far {
            let used = entry.quota_use.entry(name.clone());
            let is_new = matches!(used, btree_map::Entry::Vacant(_));
            let used = used.or_default();
            if is_new || used.units != *units {
                (used.units, used.due) = (*units, true);
            }
        }
    }

    /// A line of a job's log.
    pub(super) fn log(&mut self, lease: &Lease, mut line: LogEntry, now: Instant) {
        let Some(entry) = self.open(lease) else { return };
        entry.lines_since.get_or_insert(now);
        line.step.truncate(line.step.floor_char_boundary(PROGRESS_NAME_BYTES_MAX));
        // Data of this size is a file and no log line; the line says that it is missing.
        if let Some(data) = line.data.take_if(|data| data.len() > LOG_ENTRY_BYTES_MAX / 2) {
            let note = format!(" (data of {} bytes left out)", data.len());
            line.message.push_str(&note);
        }
        let data = line.data.as_ref().map_or(0, bytes::Bytes::len);
        let most = LOG_ENTRY_BYTES_MAX - ENTRY_MARGIN - PROGRESS_NAME_BYTES_MAX - data;
        while line.message.len() > most {
            let rest = line.message.split_off(line.message.floor_char_boundary(most));
            let next = LogEntry { message: rest, data: None, ..line.clone() };
            self.spool.push(lease, std::mem::replace(&mut line, next));
        }
        self.spool.push(lease, line);
    }

    /// The end of a job; the first one said counts.
    pub(super) fn end(&mut self, lease: &Lease, outcome: Outcome) {
        if let Some(entry) = self.open(lease) {
            entry.end = End::ToSay(outcome, None);
        }
    }

    /// Jobs it may hold.
    pub(super) fn set_capacity(&mut self, slots: u32) {
        self.capacity_due |= self.capacity != slots && !self.closing;
        self.capacity = slots;
    }

    /// How busy the machine is.
    pub(super) fn set_host(&mut self, usage: HostUsage) {
        self.host = Some(usage);
    }

    /// Takes a job that was started otherwise.
    pub(super) fn hold(&mut self, lease: Lease) {
        self.jobs.entry(lease).or_insert_with(|| {
            self.unnamed = true;
            Entry::default()
        });
    }

    /// Takes no further job, and says Goodbye when everything is answered.
    pub(super) fn close(&mut self) {
        self.capacity_due |= self.capacity > 0;
        self.capacity = 0;
        self.closing = true;
    }

    /// Says Goodbye at once: what is open is given up.
    pub(super) fn leave(&mut self) {
        self.close();
        self.leaving = true;
    }

    /// Whether it takes part no more.
    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether Goodbye was said.
    pub(super) const fn has_left(&self) -> bool {
        self.goodbye
    }

    /// Whether everything is answered.
    pub(super) fn is_settled(&self) -> bool {
        self.jobs.is_empty() && self.sent.is_empty() && self.again.is_empty()
    }

    /// Whether the stream's Hello did not name every job.
    pub(super) const fn needs_hello(&self) -> bool {
        self.unnamed
    }

    /// What Hello has to name. From here on it is for a new stream.
    pub(super) fn hello(&mut self) -> Vec<Running> {
        self.unnamed = false;
        let running = self.jobs.keys();
        running.map(|of| Running { job_id: of.job_id.clone(), lease_epoch: of.epoch }).collect()
    }

    /// The stream is gone: what was not answered is to be said again.
    pub(super) fn detached(&mut self) {
        let later = std::mem::take(&mut self.again);
        self.again = std::mem::take(&mut self.sent);
        self.again.extend(later);
        self.sent_weight = 0;
        for entry in self.jobs.values_mut() {
            entry.detach();
        }
        (self.attached, self.stalled) = (false, false);
        self.capacity_due = true;
        self.received = 0;
        self.confirm_due = false;
        self.heartbeat = None;
        self.goodbye = false;
    }

    pub(super) fn held(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn dropped_lines(&self) -> u64 {
        self.spool.dropped()
    }

    /// Lines that were not confirmed.
    pub(super) fn open_lines(&self) -> u64 {
        let unanswered = self.sent.iter().chain(&self.again).map(|sent| sent.said.lines() as u64);
        self.spool.waiting() + unanswered.sum::<u64>()
    }

    fn open(&mut self, lease: &Lease) -> Option<&mut Entry> {
        self.jobs.get_mut(lease).filter(|entry| entry.is_open())
    }
}
