//! What is to be told to a worker: a bounded queue, and one conflated ack.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use crate::domain::limits::{
    ACK_PACE, ACKS_UNREAD_MAX, DURABLE_ACKS_UNREAD_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_STALLED_AFTER,
};
use crate::domain::{CancelRequest, Job, JobId, SessionId};
use crate::runtime::Clock;

use super::super::error::Error;
use super::super::pipeline::Adoption;

/// The answer to Hello.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// The attach.
    pub session_id: SessionId,
    /// Its lease.
    pub lease_ttl: Duration,
    /// How often to be heard of at least.
    pub heartbeat_interval: Duration,
    /// The pace to report at.
    pub report_interval: Duration,
    /// Jobs that are leased to it.
    pub adopted: Vec<Job>,
    /// Jobs it named but lost, and why.
    pub revoked: Vec<(Adoption, String)>,
}

/// A message to a worker.
#[derive(Debug, Clone)]
pub enum ToWorker {
    /// The attach is open.
    Welcome(Box<Welcome>),
    /// A job to run.
    Assignment(Box<Job>),
    /// Everything up to this update is applied or was rejected.
    Ack {
        /// Which.
        through_seq: i64,
    },
    /// An update was not applied.
    Reject {
        /// Which.
        seq: i64,
        /// Why.
        error: Error,
    },
    /// A job is to stop.
    Cancel {
        /// Which.
        job_id: JobId,
        /// Its lease.
        lease_epoch: i64,
        /// The wish.
        request: CancelRequest,
    },
    /// A job is lost.
    Revoke {
        /// Which.
        job_id: JobId,
        /// Its lease.
        lease_epoch: i64,
        /// Why.
        reason: String,
    },
    /// It is to leave: to take nothing more, and finish or give back what it holds.
    Drain {
        /// Within so long.
        grace: Duration,
        /// Why; may be empty.
        reason: String,
    },
    /// This stream will end: keep every job and attach again after this long.
    Reconnect {
        /// The wait.
        after: Duration,
    },
    /// The pace to report at changed.
    ReportPolicy {
        /// The pace.
        report_interval: Duration,
    },
    /// The server is there.
    Heartbeat,
}

/// An assignment that the worker has not confirmed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub(super) job_id: JobId,
    pub(super) lease_epoch: i64,
    /// When it was handed to the transport; `None` while it waits here.
    pub(super) written: Option<Instant>,
    queued: Instant,
    sequence: i64,
}

impl Delivery {
    fn is_of(&self, job: &Job) -> bool {
        self.job_id == job.id && self.lease_epoch == job.status.lease_epoch
    }
}

/// The end of a stream: well, or with an error.
struct End(Option<Error>);

/// An ack that is to be written.
#[derive(Clone, Copy)]
struct Ack {
    through_seq: i64,
    /// Whether it covers something that is on disk since the ack before.
    durable: bool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<ToWorker>,
    ack: Option<Ack>,
    acked: Option<Instant>,
    /// Runs while an ack is held back.
    pace: Option<Pin<Box<Sleep>>>,
    unconfirmed: VecDeque<Delivery>,
    sequence: i64,
    /// The newest message that the worker said it received.
    received: i64,
    last_written: Option<Instant>,
    /// Since when something waits that the transport does not take.
    waiting: Option<Instant>,
    /// How the stream ends once the queue is empty; its error is told once.
    end: Option<End>,
    waker: Option<Waker>,
}

/// The way to a worker. Cheap to clone; one of the clones is the stream that the transport reads.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Mutex<State>>);

impl Outbox {
    /// Queues a message; `false` if it will never be sent. A worker that reads nothing while thousands
    /// queue up loses its stream.
    pub(super) fn push(&self, message: ToWorker) -> bool {
        let mut state = self.0.lock();
        if state.end.is_some() {
            return false;
        }
        let fits = state.queue.len() < OUTBOX_MESSAGES_MAX;
        if fits {
            let queued = Clock::monotonic();
            if let ToWorker::Assignment(job) = &message {
                state.unconfirmed.push_back(Delivery {
                    job_id: job.id,
                    lease_epoch: job.status.lease_epoch,
                    written: None,
                    queued,
                    sequence: 0,
                });
            }
            state.waiting.get_or_insert(queued);
            state.queue.push_back(message);
        } else {
            state.end = Some(End(Some(Error::LimitExceeded {
                what: "messages waiting for the worker to read them",
                limit: OUTBOX_MESSAGES_MAX as u64,
            })));
        }
        wake(state);
        fits
    }

    /// Moves the ack on. Once the end is set it stays where it is: a reject that it would cover may
    /// not have been queued. Before the first update is settled there is nothing to say.
    pub(super) fn ack(&self, through_seq: i64, durable: bool) {
        let mut state = self.0.lock();
        if state.end.is_some() || through_seq <= 0 {
            return;
        }
        let durable = durable || state.ack.is_some_and(|ack| ack.durable);
        state.ack = Some(Ack { through_seq, durable });
        wake(state);
    }

    /// Whether a job may be given to it: the stream goes on, and the transport takes what waits.
    pub(super) fn takes_jobs(&self) -> bool {
        let state = self.0.lock();
        let stalled = |since| Clock::monotonic().duration_since(since) >= OUTBOX_STALLED_AFTER;
        state.end.is_none() && !state.waiting.is_some_and(stalled)
    }

    /// Ends the stream after what is queued, with an error or well.
    pub fn end(&self, error: Option<Error>) {
        let mut state = self.0.lock();
        if state.end.is_none() {
            state.end = Some(End(error));
            wake(state);
        }
    }

    /// Takes note that the worker received everything up to `sequence`.
    pub(super) fn received_through(&self, sequence: i64) {
        let mut state = self.0.lock();
        state.received = state.received.max(sequence.min(state.sequence));
        state
            .unconfirmed
            .retain(|delivery| delivery.written.is_none() || delivery.sequence > sequence);
    }

    /// Takes note that the worker has this job.
    pub(super) fn confirm(&self, job_id: JobId) {
        let mut state = self.0.lock();
        if !state.unconfirmed.is_empty() {
            state.unconfirmed.retain(|delivery| delivery.job_id != job_id);
        }
    }

    /// Takes out the deliveries that were written, or have waited to be, for `within` or longer without
    /// being confirmed. What was not written yet never will be.
    pub(super) fn overdue(&self, within: Duration) -> Vec<Delivery> {
        let now = Clock::monotonic();
        let mut guard = self.0.lock();
        let state = &mut *guard;
        let late = |delivery: &Delivery| {
            now.duration_since(delivery.written.unwrap_or(delivery.queued)) >= within
        };
        let overdue: Vec<Delivery> = state.unconfirmed.iter().copied().filter(late).collect();
        if overdue.is_empty() {
            return overdue;
        }
        state.unconfirmed.retain(|delivery| !late(delivery));
        let unwritten = |job: &Job| {
            overdue.iter().any(|delivery| delivery.written.is_none() && delivery.is_of(job))
        };
        state
            .queue
            .retain(|message| !matches!(message, ToWorker::Assignment(job) if unwritten(job)));
        overdue
    }

    /// Takes out every delivery that is not confirmed, written or not.
    pub(super) fn take_unconfirmed(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.0.lock().unconfirmed).into()
    }

    /// How long nothing was written; `None` before the first message, and while one waits.
    pub(super) fn silence(&self) -> Option<Duration> {
        let state = self.0.lock();
        let written = state.last_written.filter(|_| state.queue.is_empty())?;
        Some(Clock::monotonic().duration_since(written))
    }
}

impl State {
    /// The ack, if it is time for it. A worker that reads gets it at once; one that does not seem to, at a
    /// pace: its transport keeps whatever it does not read.
    fn due_ack(&mut self, context: &mut Context<'_>) -> Option<ToWorker> {
        let Ack { through_seq, durable } = self.ack?;
        let unread_max = if durable { DURABLE_ACKS_UNREAD_MAX } else { ACKS_UNREAD_MAX };
        let unread = self.sequence - self.received;
        let now = Clock::monotonic();
        let due = self.acked.filter(|_| unread >= unread_max && self.end.is_none());
        if let Some(due) = due.map(|last| last + ACK_PACE).filter(|due| *due > now) {
            let pace = self.pace.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if pace.as_mut().poll(context).is_pending() {
                return None;
            }
        }
        (self.ack, self.pace, self.acked) = (None, None, Some(now));
        Some(ToWorker::Ack { through_seq })
    }
}

fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Stream for Outbox {
    type Item = Result<(i64, ToWorker), Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock();
        let next = match state.queue.pop_front() {
            Some(message) => Some(message),
            None => state.due_ack(context),
        };
        // The transport asks: it is not stalled.
        state.waiting = (!state.queue.is_empty()).then(Clock::monotonic);
        if let Some(message) = next {
            let now = Clock::monotonic();
            state.sequence += 1;
            state.last_written = Some(now);
            let sequence = state.sequence;
            if let ToWorker::Assignment(job) = &message
                && let Some(delivery) = state
                    .unconfirmed
                    .iter_mut()
                    .find(|delivery| delivery.is_of(job) && delivery.written.is_none())
            {
                delivery.written = Some(now);
                delivery.sequence = sequence;
            }
            return Poll::Ready(Some(Ok((sequence, message))));
        }
        if let Some(End(error)) = &mut state.end {
            return Poll::Ready(error.take().map(Err));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
