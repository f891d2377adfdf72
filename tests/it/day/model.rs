//! What must have become of each job, kept by whoever does it.

use std::collections::BTreeMap;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;

use crate::harness::JobFacts as _;

/// What the loops of the server still have to do about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    ToBeAskedToStop,
    ToEnd,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Created,
    Started,
    AttemptEnded,
    Succeeded,
    Failed,
    Cancelled,
    Skipped,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Happened {
    pub what: What,
    pub job_type: String,
    pub owner: String,
    /// In microseconds.
    pub at: i64,
}

/// What an operator did: as the audit calls it, to what, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    pub action: String,
    /// A job, a type, a queue; of what was done to many jobs, how many.
    pub to: String,
    pub reason: String,
}

/// A job.
#[derive(Debug, Clone)]
pub struct Life {
    pub job_type: String,
    pub owner: String,
    pub state: State,
    /// Attempts begun.
    pub executions: usize,
    attempt: i32,
    max_attempts: i32,
    /// The step from which on nothing holds it back.
    not_before: usize,
    /// The step in which it was started.
    since: usize,
    is_asked_to_stop: bool,
    is_scheduled: bool,
}

/// Everything.
#[derive(Default)]
pub struct Model {
    pub step: usize,
    pub lives: BTreeMap<String, Life>,
    pub happened: Vec<Happened>,
    /// Runs of schedules that were deleted.
    pub deleted_runs: usize,
    /// What workers counted.
    pub rows: f64,
    /// What an operator did.
    pub deeds: Vec<Deed>,
    /// Commands for many jobs that were given.
    pub commands: i64,
    waits: Vec<(usize, String, Waits)>,
    /// Types of jobs that failed for good in this step although nobody said so.
    over_in_step: Vec<String>,
}

/// What can be asked of a state.
pub trait IsOver {
    fn is_over(&self) -> bool;
}

impl IsOver for State {
    fn is_over(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

impl Life {
    /// Whether it runs, and will unless somebody stops it: one that was asked to stop may end at any moment.
    pub fn is_at_work(&self) -> bool {
        self.state == State::Running && !self.is_asked_to_stop
    }

    /// Whether it runs and was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.state == State::Running && self.is_asked_to_stop
    }

    pub fn is_ready(&self, step: usize) -> bool {
        self.state == State::Pending && self.not_before <= step
    }
}

fn micros(time: Option<prost_types::Timestamp>) -> i64 {
    let time = time.expect("a time");
    time.seconds * 1_000_000 + i64::from(time.nanos / 1_000)
}

impl Model {
    /// Every job that is stored.
    pub fn living(&self) -> impl Iterator<Item = (&String, &Life)> {
        self.lives.iter()
    }

    fn life(&mut self, job: &v1::Job) -> &mut Life {
        self.lives.get_mut(&job.id).expect("a job that is known")
    }

    fn note(&mut self, what: What, job: &v1::Job, at: Option<prost_types::Timestamp>) {
        let spec = job.spec.as_ref().expect("a spec");
        let (job_type, owner) = (spec.r#type.clone(), spec.owner.clone());
        self.happened.push(Happened { what, job_type, owner, at: micros(at) });
    }

    pub fn created(&mut self, job: &v1::Job) {
        let (spec, status) = (job.spec.as_ref().expect("a spec"), job.status());
        let life = Life {
            job_type: spec.r#type.clone(),
            owner: spec.owner.clone(),
            state: job.state(),
            executions: 0,
            attempt: 0,
            max_attempts: status.max_attempts,
            not_before: self.step,
            since: self.step,
            is_asked_to_stop: false,
            is_scheduled: status.trigger() == v1::JobTrigger::Schedule,
        };
        assert!(self.lives.insert(job.id.clone(), life).is_none(), "{} was made twice", job.id);
        self.note(What::Created, job, status.create_time);
    }

    /// A run of a schedule, if it is not known yet.
    pub fn fired(&mut self, job: &v1::Job) {
        if self.lives.contains_key(&job.id) {
            return;
        }
        let job_type = &job.spec.as_ref().expect("a spec").r#type;
        let mut of_type = self.lives.values().filter(|life| life.job_type == *job_type);
        let is_busy = of_type.any(|life| !life.state.is_over());
        let is_skipped = job.state() == State::Skipped;
        // Whether what ended by itself in this step ended before it, nobody knows.
        let may_be_either = self.over_in_step.contains(job_type);
        assert!(
            may_be_either || is_skipped == is_busy,
            "{job_type}: a run that overlaps is skipped, and no other"
        );
        self.created(job);
        if is_skipped {
            self.note(What::Skipped, job, job.status().end_time);
        }
    }

    /// An operator did this.
    pub fn did(&mut self, action: &str, to: &str, reason: &str) {
        let [action, to, reason] = [action, to, reason].map(ToOwned::to_owned);
        self.deeds.push(Deed { action, to, reason });
    }

    pub fn started(&mut self, job: &v1::Job) {
        self.note(What::Started, job, job.status().start_time);
        let step = self.step;
        let life = self.life(job);
        (life.since, life.is_asked_to_stop) = (step, false);
        assert_eq!(life.state, State::Pending, "{} was handed out", job.id);
        life.state = State::Running;
        life.executions += 1;
        life.attempt += 1;
        assert_eq!(job.status().attempt, life.attempt);
    }

    pub fn counted(&mut self, job: &v1::Job) {
        let progress = job.status().progress.as_ref().expect("progress");
        self.rows += progress.counters["rows"];
    }

    /// It came to its end; `ran` says whether out of an attempt.
    pub fn ended(&mut self, job: &v1::Job, state: State, ran: bool) {
        assert_eq!(job.state(), state, "{}", job.id);
        if ran {
            self.note(What::AttemptEnded, job, job.status().end_time);
        }
        let what = match state {
            State::Succeeded => What::Succeeded,
            State::Failed => What::Failed,
            _ => What::Cancelled,
        };
        self.note(what, job, job.status().end_time);
        self.life(job).state = state;
    }

    /// An attempt failed, in whichever way.
    pub fn failed(&mut self, job: &v1::Job) {
        let step = self.step;
        let life = self.life(job);
        if life.attempt >= life.max_attempts {
            return self.ended(job, State::Failed, true);
        }
        life.state = State::Pending;
        life.not_before = step + 1;
        assert_eq!(job.state(), State::Pending, "{} is tried again", job.id);
        self.note(What::AttemptEnded, job, job.status().update_time);
    }

    pub fn retried(&mut self, job: &v1::Job) {
        assert_eq!(job.state(), State::Pending);
        let step = self.step;
        let life = self.life(job);
        life.state = State::Pending;
        life.not_before = step;
        life.max_attempts = life.max_attempts.max(life.attempt + 1);
        assert_eq!(job.status().max_attempts, life.max_attempts);
    }

    pub fn deleted(&mut self, id: &str) {
        let life = self.lives.remove(id).expect("a job that is known");
        assert!(life.state.is_over());
        self.deleted_runs += usize::from(life.is_scheduled);
    }

    pub fn stuck(&mut self, id: &str) {
        self.waits.push((self.step + 2, id.to_owned(), Waits::ToBeAskedToStop));
    }

    pub fn lost(&mut self, id: &str) {
        self.waits.push((self.step + 1, id.to_owned(), Waits::ToEnd));
    }

    /// What a sweep of half an hour finds: who was not heard of since an earlier step, and was not asked yet.
    pub fn stuck_since_earlier(&self) -> Vec<String> {
        let is_stuck = |life: &Life| {
            life.state == State::Running && life.since < self.step && !life.is_asked_to_stop
        };
        self.living().filter(|(_, life)| is_stuck(life)).map(|(id, _)| id.clone()).collect()
    }

    /// Its time to stop is over by the next step.
    pub fn asked_to_stop(&mut self, id: &str) {
        self.lives.get_mut(id).expect("a job that is known").is_asked_to_stop = true;
        self.waits.retain(|(_, other, _)| other != id);
        self.waits.push((self.step + 1, id.to_owned(), Waits::ToEnd));
    }

    /// Whether something is still to come of stuck and lost workers.
    pub fn waits_for_time(&self) -> bool {
        let runs =
            |id: &String| self.lives.get(id).is_some_and(|life| life.state == State::Running);
        self.waits.iter().any(|(_, id, _)| runs(id))
    }

    /// All that was over is gone, the commands for many jobs among it.
    pub fn purged(&mut self) -> i64 {
        let before = self.lives.len();
        self.lives.retain(|_, life| !life.state.is_over());
        i64::try_from(before - self.lives.len()).expect("a count") + self.commands
    }

    /// What must have happened by now to jobs that nobody has stopped meanwhile.
    pub fn due(&mut self) -> Vec<(String, Waits)> {
        self.over_in_step.clear();
        let step = self.step;
        let due = self.waits.extract_if(.., |(at, ..)| *at <= step);
        let due: Vec<_> = due.map(|(_, id, wanted)| (id, wanted)).collect();
        let runs =
            |id: &String| self.lives.get(id).is_some_and(|life| life.state == State::Running);
        due.into_iter().filter(|(id, _)| runs(id)).collect()
    }

    pub fn settled(&mut self, id: &str, wanted: Waits, job: &v1::Job) {
        match wanted {
            Waits::ToBeAskedToStop => self.asked_to_stop(id),
            Waits::ToEnd => {
                self.failed(job);
                if job.state().is_over() {
                    let job_type = &job.spec.as_ref().expect("a spec").r#type;
                    self.over_in_step.push(job_type.clone());
                }
            }
        }
    }
}
