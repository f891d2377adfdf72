//! What is due is written: runs, skips, and the step of the cursor past them, in one commit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::domain::job::Trigger;
use crate::domain::job_type::gate::{circuit_of, skip_at_create};
use crate::domain::job_type::{Draft, TypeState};
use crate::domain::limits::{
    CANCEL_GRACE_DEFAULT, GUARD_REPEATS_MAX, LOOP_ROWS_MAX, SCHEDULE_PAGES_MAX, SCHEDULES_AT_ONCE,
};
use crate::domain::machine::Command;
use crate::domain::schedule::{Lateness, Overlap, OverlapPolicy};
use crate::domain::status::{Skip, SkipReason};
use crate::domain::{
    CancelCause, Job, JobFilter, JobId, JobSpec, JobType, QueueName, StateKind, Timestamp,
};
use crate::engine::Engine;
use crate::engine::create::{Origin, newborn};
use crate::engine::error::{Error, Result};
use crate::engine::pipeline::{RuleChange, RulesChanged, Seen, Work};
use crate::engine::registry::{Cursor, Declared, Definition, readable, tell_unread};
use crate::store::{Fire, ListQuery, NewJob, Rule, RuleKey, RuleKind, RuleWrite};

/// Who makes scheduled runs.
const SCHEDULER: &str = "jobplane.scheduler";

/// A type as its rows stand.
pub(super) struct Standing {
    pub(super) definition: Arc<Definition>,
    /// Of the cursor's row; 0 if there is none.
    pub(super) revision: i64,
    /// Up to where it is settled; the very first moment if nothing that can be read says so.
    pub(super) cursor: Cursor,
    has_cursor: bool,
    pub(super) state: TypeState,
}

/// What a step comes to.
#[derive(Default)]
pub(super) struct Step {
    pub(super) through: Timestamp,
    pub(super) creates: Vec<NewJob>,
    pub(super) commands: Vec<(Seen, Command)>,
}

impl Engine {
    /// Makes the jobs of all schedules that are due; answers for how many types.
    pub async fn run_schedules(&self) -> Result<u64> {
        let due = self.agenda.due(self.clock.now(), LOOP_ROWS_MAX);
        let count = due.len() as u64;
        let settled = stream::iter(due)
            .map(|job_type| async move { self.settle_schedule(&job_type).await })
            .buffer_unordered(SCHEDULES_AT_ONCE);
        settled
            .fold(Ok(count), |all, one| async move { all.and_then(|all| one.map(|()| all)) })
            .await
    }

    /// Told when a schedule is due earlier than was known.
    #[must_use]
    pub fn schedules_changed(&self) -> Arc<tokio::sync::Notify> {
        self.agenda.changed()
    }

    /// How long until a schedule is due, at most `most`.
    #[must_use]
    pub fn until_schedule(&self, most: Duration) -> Duration {
        let next = self.agenda.next().map_or(most, |at| at.since(self.clock.now()));
        next.clamp(Duration::from_millis(1), most)
    }

    /// Settles what is due of one type.
    async fn settle_schedule(&self, job_type: &JobType) -> Result<()> {
        for _ in 0..=GUARD_REPEATS_MAX {
            let heeded = self.agenda.heeded();
            let Some(standing) = self.standing(job_type).await? else {
                self.agenda.settled(job_type, None, Cursor::default(), heeded);
                return Ok(());
            };
            let now = self.clock.now();
            let step = match &standing.definition.declared.spec.expected {
                _ if !standing.has_cursor => Step { through: now, ..Step::default() },
                Some(expected) => self.expected_step(&standing, expected, now).await?,
                None => self.due_step(&standing, now).await?,
            };
            if step.through == standing.cursor.through {
                let Standing { definition, cursor, .. } = standing;
                self.agenda.settled(job_type, Some(&definition), cursor, heeded);
                return Ok(());
            }
            let key = RuleKey::new(RuleKind::Schedule, job_type.as_str());
            let cursor = standing.cursor.moved(step.through);
            let change = RuleChange {
                writes: vec![RuleWrite::put(key, standing.revision, &cursor)?],
                creates: step.creates,
                commands: step.commands,
                ..RuleChange::default()
            };
            match self.write_rules(change).await? {
                RulesChanged::Done { missed, .. } => return self.make_way(missed).await,
                // Another server was faster, or the declaration changed.
                RulesChanged::Missed => {}
            }
        }
        Err(Error::Overloaded)
    }

    /// Asks those once more that moved on before they were told to stop: one that started meanwhile has to make way
    /// all the same. If this server dies first, they are asked when the next run is due.
    pub(super) async fn make_way(&self, mut left: Vec<JobId>) -> Result<()> {
        for _ in 0..=GUARD_REPEATS_MAX {
            if left.is_empty() {
                return Ok(());
            }
            let ids = std::mem::take(&mut left);
            let jobs = self.loop_db.read(|store| async move { store.load(&ids).await }).await?;
            let stays = |job: &Job| {
                let asked = job.status.cancel_request.as_ref();
                asked.is_none_or(|request| !request.cause.ends_cancelled())
            };
            let is_in_the_way = |job: &Job| !job.status.kind().is_terminal() && stays(job);
            for job in jobs.into_iter().filter(is_in_the_way) {
                let (Seen { job_id, .. }, command) = stop(&job);
                let work = |reply| Work::Try { job_id, command, deed: None, reply };
                if !self.pipeline.ask(work).await? {
                    left.push(job_id);
                }
            }
        }
        Err(Error::Overloaded)
    }

    /// How the type stands, read now; `None` if it has no schedule that acts.
    async fn standing(&self, job_type: &JobType) -> Result<Option<Standing>> {
        let keys = [RuleKind::Type, RuleKind::Circuit, RuleKind::Schedule]
            .map(|kind| RuleKey::new(kind, job_type.as_str()));
        let (wanted, losses) = (keys.to_vec(), self.registry.losses());
        let found =
            self.loop_db.read(|store| async move { store.rules_by_key(&wanted).await }).await?;
        self.registry.look(losses, &found);
        let rule = |kind| found.iter().find(|rule: &&Rule| rule.key.kind == kind);
        let definition = rule(RuleKind::Type).and_then(|rule| {
            Definition::of(rule).inspect_err(|error| tell_unread(&rule.key, error)).ok()
        });
        let definition = definition.filter(|found| found.active_schedule().is_some());
        let Some(definition) = definition.map(Arc::new) else { return Ok(None) };
        let revision = rule(RuleKind::Schedule).map_or(0, |rule| rule.revision);
        let found_cursor: Option<Cursor> = rule(RuleKind::Schedule).and_then(readable);
        let (cursor, has_cursor) = (found_cursor.unwrap_or_default(), found_cursor.is_some());
        let known = |rule: &Rule| {
            readable(rule).or_else(|| self.registry.book().circuits.get(job_type).cloned())
        };
        let circuit = rule(RuleKind::Circuit).and_then(known).unwrap_or_default();
        let state = TypeState { schedule_through: cursor.through, circuit, ..TypeState::default() };
        Ok(Some(Standing { definition, revision, cursor, has_cursor, state }))
    }

    /// The runs that are due, and those that came too late.
    async fn due_step(&self, standing: &Standing, now: Timestamp) -> Result<Step> {
        let Some(schedule) = standing.definition.active_schedule() else {
            return Ok(Step { through: standing.cursor.through, ..Step::default() });
        };
        let declared = &standing.definition.declared;
        let spec = &declared.spec;
        let due = schedule.due(&spec.job_type, standing.cursor, now);
        let policy = schedule.spec().overlap_policy;
        let first = due.times.iter().find(|time| time.lateness == Lateness::Run);
        let mut others = match first {
            Some(first) => self.others(&spec.job_type, policy, (first.nominal.time, now)).await?,
            None => Others::default(),
        };
        let book = self.registry.book();
        let circuit = circuit_of(Some(spec), &book.defaults.what.circuit);
        let refused = skip_at_create(Some(spec), circuit, &standing.state, now);
        let mut step = Step { through: due.through, ..Step::default() };
        for time in due.times {
            let skipped = match time.lateness {
                Lateness::Missed => Some(SkipReason::Missed.into()),
                Lateness::Run if refused.is_some() => refused,
                Lateness::Run => match policy.decide(others.running, others.pending) {
                    Overlap::Create | Overlap::Queue => None,
                    Overlap::Skip => Some(SkipReason::Overlap.into()),
                    Overlap::CancelThenQueue => {
                        step.commands.extend(others.jobs.drain(..).map(|job| stop(&job)));
                        // Those of this very step are others to the next one, and are not yet there.
                        for earlier in &mut step.creates {
                            if earlier.job.status.kind() == StateKind::Pending {
                                let nominal = earlier.job.spec.schedule_time;
                                *earlier =
                                    run(declared, nominal, Some(SkipReason::Overlap.into()), now);
                            }
                        }
                        None
                    }
                },
            };
            others.pending += u64::from(skipped.is_none());
            if skipped == Some(SkipReason::Missed.into()) {
                tell_missed(&spec.job_type, time.nominal.time);
            }
            step.creates.push(run(declared, Some(time.nominal.time), skipped, now));
        }
        Ok(step)
    }

    /// Jobs of the type that are not over and no run `from` there on, as far as the policy wants to know; those that run
    /// first, for of many that wait not all are read.
    async fn others(
        &self,
        job_type: &JobType,
        policy: OverlapPolicy,
        (from, now): (Timestamp, Timestamp),
    ) -> Result<Others> {
        if policy == OverlapPolicy::Allow {
            return Ok(Others::default());
        }
        let is_other = |job: &Job| !is_run_from(job, from) && !is_for_later(job, now);
        let mut jobs = self.some_of(job_type, StateKind::Running, is_other).await?;
        let running = jobs.len();
        jobs.extend(self.some_of(job_type, StateKind::Pending, is_other).await?);
        let pending = jobs.len() - running;
        jobs.truncate(LOOP_ROWS_MAX);
        Ok(Others { running: running as u64, pending: pending as u64, jobs })
    }

    /// Jobs of the type that are wanted: those of the first page that has any.
    async fn some_of(
        &self,
        job_type: &JobType,
        state: StateKind,
        wanted: impl Fn(&Job) -> bool,
    ) -> Result<Vec<Job>> {
        let (states, types) = (vec![state], vec![job_type.clone()]);
        let filter = JobFilter { states, types, ..JobFilter::default() };
        let mut before = None;
        for _ in 0..SCHEDULE_PAGES_MAX {
            let query =
                ListQuery { filter: filter.clone(), before, limit: LOOP_ROWS_MAX, full: false };
            let page = self.loop_db.read(|store| async move { store.list(&query).await }).await?;
            before = page.last().map(|job| job.id);
            let is_last = page.len() < LOOP_ROWS_MAX;
            let jobs: Vec<Job> = page.into_iter().filter(&wanted).collect();
            if is_last || !jobs.is_empty() {
                return Ok(jobs);
            }
        }
        Ok(Vec::new())
    }
}

/// Whether it is a run of this nominal time or a later one: a clock that was ahead may have made it already.
fn is_run_from(job: &Job, from: Timestamp) -> bool {
    job.status.trigger == Trigger::Schedule && job.spec.schedule_time >= Some(from)
}

/// Whether its maker wants it later, and it was never started: no run of the schedule has to wait for that. One that waits
/// for its next attempt is a run that is not over.
fn is_for_later(job: &Job, now: Timestamp) -> bool {
    job.status.lease_epoch == 0 && job.status.schedule_time > now
}

#[derive(Default)]
struct Others {
    running: u64,
    pending: u64,
    jobs: Vec<Job>,
}

/// Makes way for the run that is due.
fn stop(job: &Job) -> (Seen, Command) {
    let command = match job.status.kind() {
        StateKind::Running => Command::RequestStop {
            lease_epoch: job.status.lease_epoch,
            cause: CancelCause::Overlap,
            reason: "the next run of its schedule is due".to_owned(),
            grace: CANCEL_GRACE_DEFAULT,
        },
        StateKind::Pending
        | StateKind::Succeeded
        | StateKind::Failed
        | StateKind::Cancelled
        | StateKind::Skipped => Command::Skip { reason: SkipReason::Overlap },
    };
    (Seen::of(job), command)
}

/// The job of a nominal time.
pub(super) fn run(
    declared: &Declared,
    nominal: Option<Timestamp>,
    skipped: Option<Skip>,
    now: Timestamp,
) -> NewJob {
    let spec = &declared.spec;
    let mut rest = JobSpec::new(spec.job_type.clone(), QueueName::default());
    rest.schedule_time = nominal;
    rest.payload.clone_from(&declared.payload);
    let spec = Arc::new(Draft::new(rest).complete(Some(spec)));
    let origin = Origin {
        created_by: SCHEDULER.to_owned(),
        trigger: Trigger::Schedule,
        category: declared.spec.category.clone(),
        skipped,
    };
    NewJob { fire: nominal.map(Fire::at), ..newborn(&spec, origin, None, None, now) }
}

/// Tells the operator of a run that did not come.
pub(super) fn tell_missed(job_type: &JobType, nominal: Timestamp) {
    let late = nominal.as_micros();
    tracing::warn!(job.type = %job_type, nominal_us = late, "a scheduled run was missed");
}
