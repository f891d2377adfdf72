//! Why a job is as it is: what is known around it, gathered for the domain to tell.

use crate::auth::Caller;
use crate::domain::admission::{Candidate, Capacity, QueueRules, Room, Rules, why};
use crate::domain::explain::{Explanation, Facts, explain};
use crate::domain::limits::RECENT_RUNS_MAX;
use crate::domain::{Job, JobId, StateKind};

use super::Engine;
use super::error::{Error, Result};
use super::summary::typical_run;
use super::workers::{Worker, WorkerFilter, WorkerState};

impl Engine {
    /// Explains a job.
    pub async fn explain(&self, caller: &Caller, job_id: JobId) -> Result<Explanation> {
        let job = self.find(job_id).await?.ok_or(Error::JobNotFound(job_id))?;
        let workers = self.takers(caller, &job).await?;
        let (job_type, key) = (job.spec.job_type.clone(), job.spec.unique_key.clone());
        let (runs, holder) = self
            .db
            .read(move |store| async move {
                let runs = store.recent(&job_type, Some(StateKind::Succeeded), RECENT_RUNS_MAX);
                let runs = runs.await?;
                let holder = match key.as_str() {
                    "" => None,
                    key => store.unique_holder(&job_type, key).await?,
                };
                Ok((runs, holder))
            })
            .await?;
        let now = self.clock.now();
        let rooms: Vec<Room> = workers.iter().map(room).collect();
        let candidate = Candidate::new(&job, None);
        let facts = Facts {
            why: candidate.map_or_else(Default::default, |candidate| {
                why(&candidate, &rooms, &self.rules_of(&job), now)
            }),
            workers: workers.into_iter().map(|worker| worker.worker_id).collect(),
            unique_holder: holder.filter(|holder| *holder != job_id),
            typical_run_duration: typical_run(&runs),
            ..Facts::default()
        };
        Ok(explain(&job, &facts, now))
    }

    /// Those who take jobs of its type from its queue.
    async fn takers(&self, caller: &Caller, job: &Job) -> Result<Vec<Worker>> {
        let filter = WorkerFilter {
            queues: vec![job.status.effective.queue.clone()],
            states: vec![WorkerState::Online],
        };
        let mut workers = self.workers(caller, filter).await?;
        let job_type = &job.spec.job_type;
        workers.retain(|worker| worker.types.is_empty() || worker.types.contains(job_type));
        Ok(workers)
    }

    /// The rules that dispatch goes by, as far as they concern this job.
    fn rules_of(&self, job: &Job) -> Rules {
        let queue = &job.status.effective.queue;
        let book = self.registry.book();
        let settings = book.queues.get(queue).cloned();
        let rules = settings.map(|settings| {
            (queue.clone(), QueueRules { settings: settings.what, ..QueueRules::default() })
        });
        Rules { queues: rules.into_iter().collect(), ..Rules::default() }
    }
}

fn room(worker: &Worker) -> Room {
    let free = worker.slots.saturating_sub(worker.held);
    Room {
        capacity: Capacity {
            queues: worker.queues.clone(),
            types: worker.types.clone(),
            free: usize::try_from(free).unwrap_or(usize::MAX),
        },
        worker_id: worker.worker_id.clone(),
        memory_free: None,
    }
}
