//! The one way in: a group commit without a timer.
//!
//! Owns: the queue of work, the writer that drains whatever queued up while the last commit ran,
//! folding several commands for one job into one row, guards that missed, repeats, bisection, and
//! what follows a commit.
//! Does not own: what a command does (`domain::machine`), how it is stored (`store`).
//! Entry: [`Pipeline::submit`].
//! Invariants: nothing is answered before it is durable; a refusal comes from a read that began after
//! the command arrived; a batch is at most [`COMMIT_COMMANDS_MAX`] commands.
//!
//! Over a store that takes several writers there is a writer for each [`Lane`]. What must be decided in
//! its order goes by one lane; all else is made safe by guards and keys, as between servers.

mod after;
mod answer;
mod cache;
mod desk;
mod fold;
mod keeping;
mod lane;
mod queue;
mod rule_desk;
mod unheard;
mod waiting;
mod work;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::Job;
use crate::domain::event::Wanted;
use crate::runtime::{Clock, Shutdown, Tasks};
use crate::store::Store;
use crate::telemetry::Metrics;

use super::error::{Error, Result};
use super::health::Health;
use super::registry::{Followers, Registry};

use queue::Queue;

pub use after::After;
pub(super) use answer::taken;
pub(super) use cache::Cache;
pub use lane::Lane;
pub(super) use rule_desk::{circuit_event, exhausted_event};
pub(super) use unheard::is_its_write;
pub(super) use waiting::Waiting;
pub use work::{Adoption, Created, Opened, Reply, RuleChange, RulesChanged, Seen, Work};

/// What a writer works with.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) cache: Arc<Cache>,
    pub(super) after: Arc<After>,
    pub(super) metrics: Metrics,
    pub(super) health: Arc<Health>,
    /// Which events are told that are not worth a row unless somebody asks for them.
    pub(super) wanted: Wanted,
    pub(super) registry: Arc<Registry>,
    /// Who goes by rules, told of what is written.
    pub(super) followers: Arc<Followers>,
    /// Jobs that may wait in all, as this server was told; 0 = any number.
    pub(super) max_pending: u32,
}

impl Parts {
    /// Notes in the cache how a job stands after a commit.
    fn note(&self, job: &Job) {
        self.cache.note(job, |session| self.after.keeps(session));
    }

    /// Forgets a job that nobody runs here any more, whatever was just noted: a commit of another lane may have
    /// been followed up before an earlier one of this.
    fn forget_closed(&self, job: &Job) {
        if self.after.herald.is_shared() && !self.after.live.knows(job.id) {
            self.cache.forget(job.id);
        }
    }
}

/// The queues into the writers. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    lanes: Arc<[Queue]>,
    health: Arc<Health>,
    timeout: Duration,
}

impl Pipeline {
    /// Starts the writers, one for each lane.
    pub(super) fn start(
        parts: &Parts,
        lanes: usize,
        timeout: Duration,
        tasks: &Tasks,
        shutdown: &Shutdown,
    ) -> Self {
        let lanes: Arc<[Queue]> = (0..lanes.max(1)).map(|_| Queue::default()).collect();
        for lane in 0..lanes.len() {
            let writer = writer::Writer::new(parts.clone());
            let writer = writer.run(Arc::clone(&lanes), lane, shutdown.clone());
            tasks.spawn_vital("writer", shutdown, writer);
        }
        Self { lanes, health: Arc::clone(&parts.health), timeout }
    }

    fn queue(&self, lane: Lane) -> &Queue {
        &self.lanes[lane.among(self.lanes.len())]
    }

    /// Queues work whose answer goes where its reply says.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too much waits already, [`Error::Draining`] after the end; the work's
    /// reply is dropped unanswered then.
    pub fn submit(&self, work: Work) -> Result<()> {
        let lane = work.lane();
        self.submit_in(lane, work)
    }

    /// The same, in its order among all that goes by this lane.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_in(&self, lane: Lane, work: Work) -> Result<()> {
        self.queue(lane).push(work, false).map_err(|refused| {
            self.health.trouble();
            refused.1
        })
    }

    /// Whether so many pieces of work would be taken now, spread as they come.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too much waits already.
    pub fn takes(&self, pieces: usize) -> Result<()> {
        let share = pieces.div_ceil(self.lanes.len());
        if self.lanes.iter().all(|queue| queue.takes(share)) {
            return Ok(());
        }
        self.health.trouble();
        Err(Error::Overloaded)
    }

    /// Queues work that must be taken, such as the reports of workers, in its order among all that goes
    /// by this lane. Whoever submits so bounds how much.
    pub fn submit_surely(&self, lane: Lane, work: Work) {
        if let Err(refused) = self.queue(lane).push(work, true) {
            let (work, error) = *refused;
            work.fail(error);
        }
    }

    /// Waits until everything is written that was submitted before.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn written(&self) -> Result<()> {
        for lane in Lane::all(self.lanes.len()) {
            // An empty piece of work is answered after everything before it.
            self.ask_in(lane, |reply| Work::Progress { rows: Vec::new(), reply }).await?;
        }
        Ok(())
    }

    /// Queues the work that `make` makes around a reply, and waits for the answer.
    ///
    /// # Errors
    /// What the work was answered; [`Error::OutcomeUnknown`] if the answer does not come in time.
    pub async fn ask<T: Send + 'static>(&self, make: impl FnOnce(Reply<T>) -> Work) -> Result<T> {
        let (reply, receiver) = answered();
        self.submit(make(reply))?;
        self.answer(receiver).await
    }

    /// The same, in its order among all that goes by this lane.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn ask_in<T: Send + 'static>(
        &self,
        lane: Lane,
        make: impl FnOnce(Reply<T>) -> Work,
    ) -> Result<T> {
        let (reply, receiver) = answered();
        self.submit_in(lane, make(reply))?;
        self.answer(receiver).await
    }

    async fn answer<T>(&self, receiver: oneshot::Receiver<Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.timeout, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Draining),
            Err(_) => Err(Error::OutcomeUnknown),
        }
    }
}

/// A reply, and where it arrives.
fn answered<T: Send + 'static>() -> (Reply<T>, oneshot::Receiver<Result<T>>) {
    let (sender, receiver) = oneshot::channel();
    let reply = Reply::new(move |answer| {
        // Nobody waits any more: the answer is lost, the change is not.
        let _ = sender.send(answer);
    });
    (reply, receiver)
}
