//! Which updates of a stream are applied: the cumulative ack.

use std::collections::VecDeque;

use crate::domain::limits::{UNACKED_BYTES_MAX, UNACKED_UPDATES_MAX};

/// Updates in the order they came; the ack goes as far as all before are settled.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Sequence, bytes of a durable update, whether it is settled. Settled neighbours are one entry.
    open: VecDeque<Entry>,
    received: i64,
    through: i64,
    durable: usize,
    durable_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    seq: i64,
    bytes: usize,
    settled: bool,
}

/// Whether an update is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is.
    New,
    /// It was acked before and is acked again.
    Acked,
    /// It does not grow, and what it repeats is not settled yet.
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
        } else {
            Seen::Backwards { received: self.received }
        }
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
        match self.open.back_mut() {
            None => self.through = seq,
            Some(last) if last.settled => last.seq = seq,
            Some(_) => self.open.push_back(Entry { seq, bytes: 0, settled: true }),
        }
    }

    /// Notes a durable update under way.
    pub(super) fn begin(&mut self, seq: i64, bytes: usize) {
        self.durable += 1;
        self.durable_bytes += bytes;
        self.open.push_back(Entry { seq, bytes, settled: false });
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

    /// Everything up to here is settled.
    pub(super) const fn through(&self) -> i64 {
        self.through
    }
}
