//! What a process said and nobody took yet. Bounded: whoever reads the command's output waits for room ([`Queue::room`]),
//! but not for long.
//!
//! Lines wait in order; when they are too many all the same, the oldest are dropped and counted. Of progress, usage and
//! use of quotas the newest alone is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::event::{Ended, Event, Line, Usage};
use super::progress::Reading;
use super::quota::QuotaUse;
use crate::domain::limits::{PROCESS_LINES_BYTES, PROCESS_LINES_BYTES_MAX, PROCESS_ROOM_WITHIN};

#[cfg(test)]
mod tests;

/// What a line costs beside its text.
const LINE_BYTES: usize = 64;

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Line>,
    bytes: usize,
    dropped: u64,
    progress: Option<Reading>,
    usage: Option<Usage>,
    quota_use: Option<QuotaUse>,
    ended: Option<Box<Ended>>,
    over: bool,
    /// Nobody listens (any more).
    unheard: bool,
    /// How many events were taken.
    takes: u64,
    /// Nobody took anything although we waited for it.
    ignored: bool,
}

/// Where events are put.
#[derive(Clone, Default)]
pub(super) struct Queue {
    waiting: Arc<Mutex<Waiting>>,
    more: Arc<Notify>,
    taken: Arc<Notify>,
}

impl Queue {
    /// Waits while there are more lines than should wait. Safe to drop.
    pub(super) async fn room(&self) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            // Listen first, look second: what is taken in between is not missed.
            taken.as_mut().enable();
            let takes = {
                let waiting = self.waiting.lock();
                if !waiting.is_full() {
                    return;
                }
                waiting.takes
            };
            if timeout(PROCESS_ROOM_WITHIN, taken).await.is_err() {
                let mut waiting = self.waiting.lock();
                waiting.ignored = waiting.takes == takes;
            }
        }
    }

    /// Whether whoever reads has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.lock().is_full()
    }

    pub(super) fn line(&self, line: Line) {
        let mut waiting = self.waiting.lock();
        waiting.bytes += line.text.len() + LINE_BYTES;
        waiting.lines.push_back(line);
        while waiting.bytes > PROCESS_LINES_BYTES_MAX {
            let Some(oldest) = waiting.lines.pop_front() else { break };
            waiting.bytes -= oldest.text.len() + LINE_BYTES;
            waiting.dropped += 1;
        }
        drop(waiting);
        self.more.notify_one();
    }

    pub(super) fn progress(&self, reading: Reading) {
        self.waiting.lock().progress = Some(reading);
        self.more.notify_one();
    }

    pub(super) fn usage(&self, usage: Usage) {
        self.waiting.lock().usage = Some(usage);
        self.more.notify_one();
    }

    pub(super) fn quota_use(&self, so_far: QuotaUse) {
        self.waiting.lock().quota_use = Some(so_far);
        self.more.notify_one();
    }

    pub(super) fn ended(&self, ended: Ended) {
        self.waiting.lock().ended = Some(Box::new(ended));
        self.more.notify_one();
    }

    /// Where they are taken.
    pub(super) fn events(&self) -> Events {
        Events(self.clone())
    }
}

/// What a process tells. Dropping it stops nothing.
pub struct Events(Queue);

impl Events {
    /// The next event; none after [`Event::Ended`]. Safe to drop.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            {
                let mut waiting = self.0.waiting.lock();
                if waiting.over {
                    return None;
                }
                let was_full = waiting.is_over();
                if let Some(event) = take(&mut waiting) {
                    waiting.ignored = false;
                    waiting.takes += 1;
                    if was_full && !waiting.is_over() {
                        self.0.taken.notify_waiters();
                    }
                    return Some(event);
                }
            }
            self.0.more.notified().await;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.waiting.lock().unheard = true;
        self.0.taken.notify_waiters();
    }
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.bytes > PROCESS_LINES_BYTES
    }

    fn is_full(&self) -> bool {
        self.is_over() && !self.unheard && !self.ignored
    }
}

fn take(waiting: &mut Waiting) -> Option<Event> {
    // What was dropped stood before what is left.
    if waiting.dropped > 0 {
        return Some(Event::Dropped(std::mem::take(&mut waiting.dropped)));
    }
    if let Some(reading) = waiting.progress.take() {
        return Some(Event::Progress(reading));
    }
    if let Some(usage) = waiting.usage.take() {
        return Some(Event::Usage(usage));
    }
    if let Some(so_far) = waiting.quota_use.take() {
        return Some(Event::QuotaUse(so_far));
    }
    if let Some(line) = waiting.lines.pop_front() {
        waiting.bytes -= line.text.len() + LINE_BYTES;
        return Some(Event::Line(line));
    }
    let ended = waiting.ended.take()?;
    waiting.over = true;
    Some(Event::Ended(ended))
}
