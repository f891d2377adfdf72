//! What an operator does between two looks at the clock, each deed with a reason of its own.

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;

use super::model::{IsOver as _, Life};
use super::{CATEGORIES, Day, QUEUES, category_of, queue_of};
use crate::harness::{JobFacts as _, SOON, eventually, seconds};

/// A command for many jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Many {
    Retry,
    Cancel,
    Delete,
}

/// From which step on each is given, as soon as there are jobs for it.
pub const PLANS: [(usize, Many); 5] =
    [(5, Many::Retry), (8, Many::Cancel), (11, Many::Retry), (13, Many::Delete), (16, Many::Retry)];

/// What the three answers have in common: how many match, and the job that does it.
type Begun = (i64, Option<v1::Job>);

impl Day {
    pub(super) async fn operate(&mut self) {
        match (self.paused.take(), self.chance.random_range(0..4)) {
            (Some(queue), 0) => self.pause(queue, false).await,
            (None, 1) => {
                let queue = QUEUES[self.chance.random_range(0..QUEUES.len())];
                self.pause(queue, true).await;
                self.paused = Some(queue);
            }
            (still, _) => self.paused = still,
        }
        if self.chance.random_ratio(1, 3) {
            self.sweep().await;
        }
        if let Some(id) = self.pick(|life| life.state == State::Pending, 2) {
            self.cancel(&id, false).await;
        }
        if let Some(id) = self.pick(Life::is_at_work, 6) {
            self.cancel(&id, true).await;
        }
        if let Some(id) = self.pick(|life| life.state == State::Failed, 1) {
            self.retry(&id).await;
        }
        if let Some(id) = self.pick(|life| life.state.is_over(), 3) {
            self.client.delete(&id).await.expect("deleted");
            self.model.did("delete_job", &id, "");
            self.model.deleted(&id);
        }
        if let Some((_, many)) = self.plans.first().filter(|(from, _)| *from <= self.model.step)
            && self.command(*many).await
        {
            self.plans.remove(0);
        }
    }

    fn reason(&self, why: &str) -> String {
        format!("{why}, hour {}", self.model.step)
    }

    /// Cancels a job that waits, or runs and ends at once.
    async fn cancel(&mut self, id: &str, runs: bool) {
        let reason = self.reason(if runs { "it was a mistake" } else { "no need of it" });
        let request = v1::CancelJobRequest {
            job_id: id.to_owned(),
            reason: reason.clone(),
            grace: seconds(0.0),
        };
        let answer = self.client.jobs.clone().cancel_job(request).await;
        let job = answer.expect("cancelled").into_inner().job.expect("a job");
        self.model.did("cancel_job", id, &reason);
        self.model.ended(&job, State::Cancelled, runs);
    }

    async fn retry(&mut self, id: &str) {
        let reason = self.reason("the cause is mended");
        let request = v1::RetryJobRequest {
            job_id: id.to_owned(),
            reason: reason.clone(),
            ..v1::RetryJobRequest::default()
        };
        let answer = self.client.jobs.clone().retry_job(request).await;
        self.model.did("retry_job", id, &reason);
        self.model.retried(&answer.expect("again").into_inner().job.expect("a job"));
    }

    async fn sweep(&mut self) {
        let reason = self.reason("nothing moves");
        let request = v1::SweepStuckJobsRequest {
            threshold: seconds(30.0 * 60.0),
            reason: reason.clone(),
            ..v1::SweepStuckJobsRequest::default()
        };
        let mut swept = self.client.sweep(request).await.expect("swept").job_ids;
        swept.sort();
        assert_eq!(swept, self.model.stuck_since_earlier());
        for id in &swept {
            self.model.asked_to_stop(id);
            self.model.did("sweep_stuck_jobs", id, &reason);
        }
        self.model.did("sweep_stuck_jobs", &swept.len().to_string(), &reason);
    }

    async fn pause(&mut self, name: &str, paused: bool) {
        let reason = self.reason(if paused { "a broken supplier" } else { "it is back" });
        let queue = v1::Queue {
            name: name.to_owned(),
            paused,
            pause_reason: if paused { reason.clone() } else { String::new() },
            ..v1::Queue::default()
        };
        let paths = vec!["paused".to_owned(), "pause_reason".to_owned()];
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask };
        self.client.admin.clone().update_queue(request).await.expect("it is changed");
        self.model.did("update_queue", name, if paused { &reason } else { "" });
    }

    /// Gives a command for many jobs, unless there are none for it; then `false`.
    async fn command(&mut self, many: Many) -> bool {
        let Some((filter, meant)) = self.meant(many) else { return false };
        let reason = self.reason(match many {
            Many::Retry => "the supplier is back",
            Many::Cancel => "a bad batch",
            Many::Delete => "nobody looks at them",
        });
        let (count, job) = self.begin(many, filter, meant.len(), &reason).await;
        assert_eq!(count, i64::try_from(meant.len()).expect("a count"), "{many:?}");
        let id = job.expect("the job that does it").id;
        eventually(3 * SOON, "the command comes to its end", || async {
            self.client.get(&id).await.state().is_over()
        })
        .await;
        let done = self.client.get(&id).await;
        assert_eq!(done.state(), State::Succeeded, "{many:?}: {done:?}");
        let progress = done.status().progress.clone().expect("progress");
        let counted = (progress.total, progress.succeeded, progress.failed);
        assert_eq!(counted, (Some(count), count, 0), "{many:?}");
        self.model.commands += 1;
        let (whole, one) = match many {
            Many::Retry => ("bulk_retry_jobs", "retry_job"),
            Many::Cancel => ("bulk_cancel_jobs", "cancel_job"),
            Many::Delete => ("bulk_delete_jobs", "delete_job"),
        };
        self.model.did(whole, &count.to_string(), &reason);
        for id in &meant {
            self.model.did(one, id, &reason);
            match many {
                Many::Retry => self.model.retried(&self.client.get(id).await),
                Many::Cancel => {
                    let ran = self.model.lives[id].state == State::Running;
                    self.model.ended(&self.client.get(id).await, State::Cancelled, ran);
                }
                Many::Delete => self.model.deleted(id),
            }
        }
        true
    }

    /// Which jobs it is for: the most that a queue, an owner or a category has.
    fn meant(&self, many: Many) -> Option<(v1::JobFilter, Vec<String>)> {
        let ids = |is: &dyn Fn(&Life) -> bool| -> Vec<String> {
            self.model.living().filter(|(_, life)| is(life)).map(|(id, _)| id.clone()).collect()
        };
        let some: Vec<(v1::JobFilter, Vec<String>)> = match many {
            Many::Retry => QUEUES
                .map(|queue| {
                    let filter = v1::JobFilter {
                        queues: vec![queue.to_owned()],
                        states: vec![State::Failed.into()],
                        ..v1::JobFilter::default()
                    };
                    let is = |life: &Life| {
                        life.state == State::Failed && queue_of(&life.job_type) == queue
                    };
                    (filter, ids(&is))
                })
                .into(),
            // One that was asked to stop may end at any moment: whose has such a one is left alone.
            Many::Cancel => ["ann", "bob"]
                .into_iter()
                .filter(|owner| ids(&|life| life.owner == *owner && life.is_stopping()).is_empty())
                .map(|owner| {
                    let filter =
                        v1::JobFilter { owner: owner.to_owned(), ..v1::JobFilter::default() };
                    (filter, ids(&|life| life.owner == owner && !life.state.is_over()))
                })
                .collect(),
            Many::Delete => (0..CATEGORIES)
                .map(|number| {
                    let category = format!("category-{number}");
                    let wanted = [State::Succeeded, State::Skipped];
                    let is = |life: &Life| {
                        category_of(&life.job_type) == category && wanted.contains(&life.state)
                    };
                    let meant = ids(&is);
                    let filter = v1::JobFilter {
                        categories: vec![category.clone()],
                        states: wanted.map(Into::into).into(),
                        ..v1::JobFilter::default()
                    };
                    (filter, meant)
                })
                .collect(),
        };
        let most = some.into_iter().max_by_key(|(_, meant)| meant.len());
        most.filter(|(_, meant)| !meant.is_empty())
    }

    async fn begin(&self, many: Many, filter: v1::JobFilter, jobs: usize, why: &str) -> Begun {
        let filter = Some(filter);
        let (expected_max, reason) = (i64::try_from(jobs).expect("a count"), why.to_owned());
        let mut jobs = self.client.jobs.clone();
        match many {
            Many::Retry => {
                let request =
                    v1::BulkRetryJobsRequest { filter, reason, expected_max, ..Default::default() };
                let begun = jobs.bulk_retry_jobs(request).await.expect("begun").into_inner();
                (begun.count, begun.job)
            }
            Many::Cancel => {
                let request = v1::BulkCancelJobsRequest {
                    filter,
                    reason,
                    expected_max,
                    grace: seconds(0.0),
                    ..Default::default()
                };
                let begun = jobs.bulk_cancel_jobs(request).await.expect("begun").into_inner();
                (begun.count, begun.job)
            }
            Many::Delete => {
                let request = v1::BulkDeleteJobsRequest {
                    filter,
                    reason,
                    expected_max,
                    ..Default::default()
                };
                let begun = jobs.bulk_delete_jobs(request).await.expect("begun").into_inner();
                (begun.count, begun.job)
            }
        }
    }

    /// One of the jobs that are so, once in `of` times.
    fn pick(&mut self, wanted: impl Fn(&Life) -> bool, of: u32) -> Option<String> {
        if !self.chance.random_ratio(1, of) {
            return None;
        }
        let some: Vec<_> = self.model.living().filter(|(_, life)| wanted(life)).collect();
        some.choose(&mut self.chance).map(|(id, _)| (*id).clone())
    }
}
