//! Jobs that a worker makes and starts by itself, where a rule concerns them: rounds of their own, without
//! a look at who waits, in one commit for all that came meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::domain::admission::{Admission, Capacity, Hold, Room, Shares, admit};
use crate::domain::event::{Wanted, of_change};
use crate::domain::job::JobSpec;
use crate::domain::limits::{GUARD_REPEATS_MAX, STARTS_AT_ONCE_MAX, STARTS_WAITING_MAX};
use crate::domain::machine::{self, Applied, Command, Now};
use crate::domain::status::SkipReason;
use crate::domain::{BatchId, Job, JobId, JobType, QueueName, Timestamp};
use crate::runtime::{Clock, Shutdown, Tasks};
use crate::store::{self, Batch, Cause, KeyKind, KeyName, NewJob, RequestKey, Store, Written};

use super::super::create::{Origin, newborn};
use super::super::error::{Error, Result};
use super::super::pipeline::{After, Cache, Created, taken};
use super::super::registry::Registry;
use super::line::Pair;
use super::round::Dispatcher;
use super::ruling::{Ruled, Ruling};
use super::waiter::Waiter;

/// A wish to start a job at once.
pub(in super::super) struct Wish {
    pub(in super::super) spec: Arc<JobSpec>,
    pub(in super::super) origin: Origin,
    pub(in super::super) request: Option<RequestKey>,
    pub(in super::super) waiter: Waiter,
}

struct Asked {
    wish: Wish,
    reply: oneshot::Sender<Result<Created>>,
}

/// Where such wishes go. Cheap to clone.
#[derive(Clone)]
pub(in super::super) struct Starter {
    registry: Arc<Registry>,
    max_running: u32,
    is_shared: bool,
    timeout: Duration,
    wishes: mpsc::Sender<Asked>,
}

/// What it works with.
struct Parts {
    store: Arc<dyn Store>,
    clock: Clock,
    cache: Arc<Cache>,
    after: Arc<After>,
    registry: Arc<Registry>,
    max_running: u32,
}

/// Grants wishes, as many at once as came while the last ones were granted.
struct Granting {
    parts: Parts,
    wishes: mpsc::Receiver<Asked>,
}

/// What the rules say to a wish.
enum Grant {
    /// A job to be made, running or skipped.
    Job(Box<NewJob>),
    Held(Hold),
    /// Another job has its name.
    Taken(KeyKind, JobId),
    /// Its rules cannot be read.
    Unread(store::Error),
}

/// Names that are taken, each with its holder.
type Names = HashMap<KeyName, JobId>;

impl Wish {
    /// The names that its job is to have.
    fn names(&self) -> impl Iterator<Item = KeyName> {
        let request = self.request.as_ref();
        let request =
            request.map(|it| (KeyKind::Request, it.caller.clone(), it.request_id.clone()));
        let (job_type, key) = (&self.spec.job_type, &self.spec.unique_key);
        let unique =
            (!key.is_empty()).then(|| (KeyKind::Unique, job_type.to_string(), key.clone()));
        request.into_iter().chain(unique)
    }
}

impl Starter {
    /// The way to ask, and the work.
    fn new(parts: Parts, timeout: Duration) -> (Self, Granting) {
        let (sender, wishes) = mpsc::channel(STARTS_WAITING_MAX);
        let registry = Arc::clone(&parts.registry);
        let (max_running, is_shared) = (parts.max_running, parts.store.is_shared());
        let starter = Self { registry, max_running, is_shared, timeout, wishes: sender };
        (starter, Granting { parts, wishes })
    }

    /// Jobs that may run on all servers at once, as this one was told; 0 = no cap.
    pub(in super::super) const fn max_running(&self) -> u32 {
        self.max_running
    }

    /// Whether a rule concerns starts of this type from this queue.
    pub(in super::super) fn concerns(&self, queue: &QueueName, job_type: &JobType) -> bool {
        let pair = (queue.clone(), job_type.clone());
        let bounds = (self.max_running, self.is_shared);
        let ruling = Ruling::new(self.registry.book(), bounds, std::iter::once(&pair));
        !ruling.claims().is_empty()
    }

    /// Makes the job, started or skipped.
    ///
    /// # Errors
    /// [`Error::Held`] if a rule keeps it from starting now; [`Error::OutcomeUnknown`] if there is no answer in
    /// time.
    pub(in super::super) async fn start(&self, wish: Wish) -> Result<Created> {
        let (reply, answer) = oneshot::channel();
        self.wishes.try_send(Asked { wish, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Error::Draining,
        })?;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Draining),
            Err(_) => Err(Error::OutcomeUnknown),
        }
    }
}

impl Dispatcher {
    /// Starts the rounds, and those of starts that workers ask for by themselves; answers where these go.
    /// Each is waited for at most so long.
    pub(in super::super) fn start(
        self,
        timeout: Duration,
        tasks: &Tasks,
        shutdown: &Shutdown,
    ) -> Starter {
        let parts = Parts {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            cache: Arc::clone(&self.cache),
            after: Arc::clone(&self.after),
            registry: Arc::clone(&self.registry),
            max_running: self.max_running,
        };
        let (starter, granting) = Starter::new(parts, timeout);
        tasks.spawn_vital("starter", shutdown, granting.run(shutdown.clone()));
        tasks.spawn_vital("dispatcher", shutdown, self.run(shutdown.clone()));
        starter
    }
}

impl Granting {
    /// Runs until `shutdown` is signalled.
    async fn run(mut self, shutdown: Shutdown) {
        loop {
            let first = tokio::select! {
                first = self.wishes.recv() => first,
                () = shutdown.signalled() => return,
            };
            let Some(first) = first else { return };
            let mut asked = vec![first];
            while asked.len() < STARTS_AT_ONCE_MAX
                && let Ok(next) = self.wishes.try_recv()
            {
                asked.push(next);
            }
            self.grant(asked).await;
        }
    }

    /// Grants these; each by itself, if the store takes them only without one of them.
    async fn grant(&self, mut asked: Vec<Asked>) {
        for _ in 0..=GUARD_REPEATS_MAX {
            // Nobody waits for these any more: they were told that there was no answer in time.
            asked.retain(|asked| !asked.reply.is_closed());
            if asked.is_empty() {
                return;
            }
            match self.round(&asked).await {
                Ok(Some(answers)) => {
                    for (asked, answer) in asked.into_iter().zip(answers) {
                        // Nobody waits any more: the job is there, and its lease runs out.
                        let _ = asked.reply.send(answer);
                    }
                    return;
                }
                // A rule was changed by somebody who knows of no claims.
                Ok(None) => {}
                Err(store::Error::Rejected(_) | store::Error::Corrupt { .. })
                    if asked.len() > 1 =>
                {
                    let alone = std::mem::take(&mut asked);
                    for one in alone {
                        Box::pin(self.grant(vec![one])).await;
                    }
                    return;
                }
                Err(error) => {
                    for asked in asked {
                        let _ = asked.reply.send(Err(Error::from(error.clone())));
                    }
                    return;
                }
            }
        }
        for asked in asked {
            let _ = asked.reply.send(Err(Error::Overloaded));
        }
    }

    /// One round; nothing if a rule stood otherwise in the end.
    async fn round(&self, asked: &[Asked]) -> store::Result<Option<Vec<Result<Created>>>> {
        let pair = |asked: &Asked| -> Pair {
            (asked.wish.spec.queue.clone(), asked.wish.spec.job_type.clone())
        };
        let pairs: Vec<Pair> = asked.iter().map(pair).collect();
        let book = self.parts.registry.book();
        let bounds = (self.parts.max_running, self.parts.store.is_shared());
        let ruling = Ruling::new(book, bounds, pairs.iter());
        let mut claims = ruling.claims();
        let values = asked.iter().filter_map(|asked| ruling.value(&asked.wish.spec));
        claims.values = values.collect();
        let losses = self.parts.registry.losses();
        let mut round = self.parts.store.begin_round(&claims).await?;
        let names: HashSet<KeyName> = asked.iter().flat_map(|asked| asked.wish.names()).collect();
        let names: Vec<KeyName> = names.into_iter().collect();
        let mut names = round.holders(&names).await?;
        if ruling.is_outdated(&self.parts.registry, losses, (&claims, round.standing())) {
            round.abandon().await;
            return Ok(None);
        }
        let now = self.parts.clock.now();
        let mut ruled = ruling.stand(&claims, round.standing(), Shares::default());
        let grants: Vec<Grant> =
            asked.iter().map(|asked| grant(&asked.wish, &mut names, &mut ruled, now)).collect();
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), now);
        batch.facets.clone_from(&self.parts.after.facets);
        batch.creates.extend(grants.iter().filter_map(|grant| match grant {
            Grant::Job(new) => Some((**new).clone()),
            Grant::Held(_) | Grant::Taken(..) | Grant::Unread(_) => None,
        }));
        for place in 0..batch.creates.len() {
            let job = batch.creates.get(place).map(|new| &new.job);
            let told = job.and_then(|job| of_change(None, job, &[], Wanted::default()));
            if let Some(event) = told {
                batch.tell(Cause::Create(place), event);
            }
        }
        if batch.creates.is_empty() {
            round.abandon().await;
            return Ok(Some(answers(asked, grants, &[], now)));
        }
        batch.rules = ruled.changed(round.standing())?;
        for event in ruled.exhausted(batch.now) {
            batch.tell(Cause::Batch, event);
        }
        let committed = round.commit(batch.clone()).await?;
        if !committed.missed_rules.is_empty() {
            return Ok(None);
        }
        self.parts.registry.heed_circuits(ruled.circuits());
        for (new, written) in batch.creates.iter().zip(&committed.creates) {
            if *written == Written::Done {
                let keeps = |session| self.parts.after.keeps(session);
                self.parts.cache.note(&new.job, keeps);
                self.parts.after.born(&new.job);
            }
        }
        self.parts.after.committed(&batch, &committed, |_| None);
        Ok(Some(answers(asked, grants, &committed.creates, now)))
    }
}

/// What the rules say to a wish, unless another job has one of its names: then it is not brought before them, for
/// what they give is spent.
fn grant(wish: &Wish, names: &mut Names, ruled: &mut Ruled, now: Timestamp) -> Grant {
    let taken = wish.names().find_map(|name| Some((name.0, *names.get(&name)?)));
    if let Some((kind, holder)) = taken {
        return Grant::Taken(kind, holder);
    }
    if let Some(error) = ruled.unread(&wish.spec.queue, &wish.spec.job_type) {
        return Grant::Unread(error.clone());
    }
    let grant = decide(wish, ruled, now);
    if let Grant::Job(new) = &grant {
        // A skipped job holds no unique key.
        let is_over = new.job.status.kind().is_terminal();
        let held = wish.names().filter(|(kind, ..)| *kind != KeyKind::Unique || !is_over);
        names.extend(held.map(|name| (name, new.job.id)));
    }
    grant
}

/// What the rules say to a wish; changes them by it.
fn decide(wish: &Wish, ruled: &mut Ruled, now: Timestamp) -> Grant {
    let new = |skipped| {
        let origin = Origin { skipped, ..wish.origin.clone() };
        newborn(&wish.spec, origin, None, wish.request.clone(), now)
    };
    let mut new_job = new(None);
    let Some(candidate) = ruled.candidate(&new_job.job) else {
        return Grant::Job(Box::new(new_job));
    };
    let key = candidate.key.clone();
    let capacity = Capacity { queues: vec![wish.spec.queue.clone()], types: Vec::new(), free: 1 };
    let room = Room { capacity, worker_id: wish.waiter.worker_id.clone(), memory_free: None };
    let Admission { mut picks, skips, holds } = admit(&[candidate], &[room], &mut ruled.rules, now);
    if let Some(pick) = picks.pop() {
        let session = wish.waiter.session(now);
        let command = Command::Start { session: session.id, worker_id: session.worker_id.clone() };
        let NewJob { job: Job { spec, status, .. }, changes, .. } = &mut new_job;
        if let Ok(Applied::Changed(transition)) =
            machine::apply(spec, status, command, Now::at(now))
        {
            let started = transition.drawing(pick.draws).keyed(key).status;
            changes.record(Some(status), &started);
            *status = started;
            new_job.session = Some(session);
        }
        return Grant::Job(Box::new(new_job));
    }
    let held = holds.into_iter().next().map(|(_, hold)| hold);
    match (skips.first(), held) {
        (Some((_, reason)), _) => {
            let skip = ruled.skip(&wish.spec.job_type, *reason, now);
            Grant::Job(Box::new(new(Some(skip))))
        }
        // Its like are running, and it is not to run beside them.
        (None, Some(Hold::TypeFull { .. } | Hold::KeyFull { .. } | Hold::Overlap { .. })) => {
            Grant::Job(Box::new(new(Some(SkipReason::Overlap.into()))))
        }
        (None, Some(hold)) => Grant::Held(hold),
        // Admission puts each candidate somewhere.
        (None, None) => Grant::Held(Hold::WorkersBusy { workers: 1 }),
    }
}

fn answers(
    asked: &[Asked],
    grants: Vec<Grant>,
    written: &[Written],
    now: Timestamp,
) -> Vec<Result<Created>> {
    let made = grants.iter().filter_map(|grant| match grant {
        Grant::Job(new) => Some(new.job.id),
        Grant::Held(_) | Grant::Taken(..) | Grant::Unread(_) => None,
    });
    let is_done = |at: usize| written.get(at) == Some(&Written::Done);
    let refused = made.enumerate().filter(|(at, _)| !is_done(*at)).map(|(_, id)| id);
    let refused: HashSet<JobId> = refused.collect();
    let mut written = written.iter();
    let answer = |(asked, grant): (&Asked, Grant)| match grant {
        Grant::Unread(error) => Err(Error::from(error)),
        // Who was to have the name never was: it may be had with the next try.
        Grant::Taken(_, holder) if refused.contains(&holder) => Err(Error::Overloaded),
        Grant::Taken(kind, holder) => Err(taken(kind, holder, &asked.wish.spec)),
        Grant::Held(hold) => {
            let retry_after = hold.until().map(|until| until.since(now));
            Err(Error::Held { hold, retry_after })
        }
        Grant::Job(new) => match written.next() {
            Some(Written::Done) => Ok(Created { job: new.job, existing: false }),
            Some(Written::KeyTaken { kind, holder }) => Err(taken(*kind, *holder, &new.job.spec)),
            Some(Written::Missed) | None => Err(Error::Overloaded),
        },
    };
    asked.iter().zip(grants).map(answer).collect()
}

#[cfg(test)]
mod tests;
