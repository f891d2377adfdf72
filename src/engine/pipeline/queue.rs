//! The queue into the writer: first in, first out, bounded by count and by bytes.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::limits::{COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_MAX};

use super::super::error::Error;
use super::work::Work;

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    bytes: usize,
    closed: bool,
}

/// Work that waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

/// Work that was not taken, and why.
type Refused = Box<(Work, Error)>;

impl Queue {
    /// Puts work at the end, unless too much waits already. What must be taken, such as the reports
    /// of workers, is taken all the same: whoever submits it bounds how much there is.
    pub(super) fn push(&self, work: Work, must_be_taken: bool) -> Result<(), Refused> {
        let bytes = work.bytes();
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(Box::new((work, Error::Draining)));
            }
            let full = state.work.len() >= COMMIT_QUEUE_MAX
                || (state.bytes + bytes > COMMIT_QUEUE_BYTES_MAX && !state.work.is_empty());
            if full && !must_be_taken {
                return Err(Box::new((work, Error::Overloaded)));
            }
            state.bytes += bytes;
            state.work.push_back(work);
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Takes the first piece, if there is one.
    pub(super) fn pop(&self) -> Option<Work> {
        let mut state = self.state.lock();
        let work = state.work.pop_front()?;
        state.bytes = state.bytes.saturating_sub(work.bytes());
        Some(work)
    }

    /// Whether so many more pieces of no great size would be taken; any number if nothing waits.
    pub(super) fn takes(&self, pieces: usize) -> bool {
        let state = self.state.lock();
        let fits =
            state.work.len() + pieces <= COMMIT_QUEUE_MAX && state.bytes < COMMIT_QUEUE_BYTES_MAX;
        fits || state.work.is_empty()
    }

    /// How many pieces wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().work.len()
    }

    /// Waits until there is something. Safe to drop; for one reader.
    pub(super) async fn filled(&self) {
        while self.len() == 0 {
            self.filled.notified().await;
        }
    }

    /// Takes no more. What still waits is answered that the server is shutting down.
    pub(super) fn close(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.work)
        };
        for work in left {
            work.fail(Error::Draining);
        }
    }
}
