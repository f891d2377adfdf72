//! Which updates of a stream are applied: the cumulative ack.

use std::collections::VecDeque;

use crate::domain::limits::{UNACKED_BYTES_MAX, UNACKED_UPDATES_MAX};

/// Entries kept exactly; beyond it, ticks whose numbers leave gaps are remembered by the last one only.
const LEDGER_ENTRIES_MAX: usize = 4 * UNACKED_UPDATES_MAX;

/// Updates in the order they came; the ack goes as far as all before are settled.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What came since the oldest update that is not settled.
    open: VecDeque<Entry>,
    received: i64,
    through: i64,
    /// What was told of `through`.
    told: i64,
    durable: usize,
    durable_bytes: usize,
}

/// A durable update, or a run of neighbours that were settled on arrival.
#[derive(Debug)]
struct Entry {
    first: i64,
    seq: i64,
    bytes: usize,
    durable: bool,
    settled: bool,
}

/// Whether an update is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is.
    New,
    /// It was acked before and is acked again.
    Acked,
    /// It repeats one that is not acked yet, and is acked with that one.
    UnderWay,
    /// It does not grow, and repeats nothing.
    Backwards {
        /// The highest sequence received.
        received: i64,
    },
}

impl Ledger {
    pub(super) fn see(&mut self, seq: i64) -> Seen {
        if seq > self.received {
            self.received = seq;
            Seen::New
        } else if seq <= self.through {
            Seen::Acked
        } else if self.knows(seq) {
            Seen::UnderWay
        } else {
            Seen::Backwards { received: self.received }
        }
    }

    fn knows(&self, seq: i64) -> bool {
        let at = self.open.partition_point(|entry| entry.seq < seq);
        self.open.get(at).is_some_and(|entry| entry.first <= seq)
    }

    /// The bound that another durable update of so many bytes would break, by name.
    pub(super) fn bound_broken_by(&self, bytes: usize) -> Option<(&'static str, u64)> {
        if self.durable >= UNACKED_UPDATES_MAX {
            return Some(("unacknowledged updates of a stream", UNACKED_UPDATES_MAX as u64));
        }
        let fits = self.durable == 0 || self.durable_bytes + bytes <= UNACKED_BYTES_MAX;
        (!fits).then_some(("unacknowledged bytes of a stream", UNACKED_BYTES_MAX as u64))
    }

    /// Notes an update that is settled on arrival.
    pub(super) fn note_settled(&mut self, seq: i64) {
        let full = self.open.len() >= LEDGER_ENTRIES_MAX;
        match self.open.back_mut() {
            None => self.through = seq,
            Some(last) if !last.durable && (last.seq + 1 == seq || full) => {
                // Where numbers are left out for long, the run forgets what it began with: that none
                // of the numbers left out passes for known matters more.
                if last.seq + 1 < seq {
                    last.first = seq;
                }
                last.seq = seq;
            }
            Some(_) => {
                let run = Entry { first: seq, seq, bytes: 0, durable: false, settled: true };
                self.open.push_back(run);
            }
        }
    }

    /// Notes a durable update under way.
    pub(super) fn begin(&mut self, seq: i64, bytes: usize) {
        self.durable += 1;
        self.durable_bytes += bytes;
        self.open.push_back(Entry { first: seq, seq, bytes, durable: true, settled: false });
    }

    /// Notes that a durable update is applied or was rejected.
    pub(super) fn settle(&mut self, seq: i64) {
        let Ok(at) = self.open.binary_search_by_key(&seq, |entry| entry.seq) else { return };
        if let Some(entry) = self.open.get_mut(at)
            && !entry.settled
        {
            entry.settled = true;
            self.durable -= 1;
            self.durable_bytes -= entry.bytes;
        }
        while self.open.front().is_some_and(|entry| entry.settled) {
            if let Some(entry) = self.open.pop_front() {
                self.through = entry.seq;
            }
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.durable == 0
    }

    /// Everything up to here is settled, if that was not told yet.
    pub(super) fn news(&mut self) -> Option<i64> {
        (self.through > self.told).then(|| {
            self.told = self.through;
            self.through
        })
    }

    /// Everything up to here is settled.
    pub(super) const fn through(&self) -> i64 {
        self.through
    }
}

#[cfg(test)]
mod tests;
