//! How many jobs run, as it stands on disk: counted when it is first asked for, and from then on by what each commit
//! moves. One connection writes, so nothing else moves it. It has an entry for each queue, type and value of a label that
//! a job runs under: not more than jobs that run.

use std::collections::HashMap;

use crate::domain::status::StateKind;
use crate::domain::{Job, JobType};
use crate::store::passed::Passed;
use crate::store::{Claims, Counted, Result, Standing};

use super::script::{Answers, Place, Script};

pub(super) const STATEMENTS: &[&str] = &[COUNTS, VALUES];

/// Walks the partial index.
const COUNTS: &str = "SELECT job_type, queue, stored FROM stat_totals \
    INDEXED BY stat_totals_running WHERE state = 1 AND stored <> 0";

const VALUES: &str = "SELECT job_type, concurrency_key, count(*) FROM job_status \
    INDEXED BY job_status_key WHERE state = 1 AND concurrency_key IS NOT NULL \
    GROUP BY job_type, concurrency_key";

/// See the module; what is not known yet is nothing.
#[derive(Default)]
pub(super) struct KnownRunning(Option<Counts>);

/// Numbers of RUNNING jobs; what has none is left out.
#[derive(Default)]
struct Counts {
    all: i64,
    queues: HashMap<String, i64>,
    types: HashMap<String, i64>,
    /// By type and the label's value they started under.
    values: HashMap<String, HashMap<String, i64>>,
}

/// Where the answers stand in a script.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    counts: Place,
    values: Place,
}

/// Whether a round goes by what is counted here.
pub(super) fn is_asked(claims: &Claims) -> bool {
    let Claims { running, queues, types, values, .. } = claims;
    *running || !queues.is_empty() || !types.is_empty() || !values.is_empty()
}

fn add(counts: &mut HashMap<String, i64>, name: &str, delta: i64) {
    let count = match counts.get_mut(name) {
        Some(count) => count,
        None => counts.entry(name.to_owned()).or_default(),
    };
    *count += delta;
    if *count == 0 {
        counts.remove(name);
    }
}

fn count(counts: &HashMap<String, i64>, name: &str) -> u64 {
    counts.get(name).map_or(0, |count| u64::try_from(*count).unwrap_or(0))
}

impl Counts {
    fn add(&mut self, job_type: &JobType, what: &Counted, delta: i64) {
        if what.state != StateKind::Running {
            return;
        }
        self.all += delta;
        add(&mut self.queues, what.queue.as_str(), delta);
        add(&mut self.types, job_type.as_str(), delta);
        let Some(value) = &what.value else { return };
        let of_type = self.values.entry(job_type.as_str().to_owned()).or_default();
        add(of_type, value, delta);
        if of_type.is_empty() {
            self.values.remove(job_type.as_str());
        }
    }
}

impl KnownRunning {
    /// Asks for all of it, unless it is known.
    pub(super) fn ask(&self, script: &mut Script) -> Option<Asked> {
        if self.0.is_some() {
            return None;
        }
        Some(Asked { counts: script.add(COUNTS), values: script.add(VALUES) })
    }

    /// Takes up the answer.
    pub(super) fn learn(&mut self, asked: Asked, answers: &mut Answers) -> Result<()> {
        let mut counts = Counts::default();
        for (job_type, queue, stored) in answers.rows::<(String, String, i64)>(asked.counts)? {
            counts.all += stored;
            add(&mut counts.queues, &queue, stored);
            add(&mut counts.types, &job_type, stored);
        }
        for (job_type, value, running) in answers.rows::<(String, String, i64)>(asked.values)? {
            counts.values.entry(job_type).or_default().insert(value, running);
        }
        self.0 = Some(counts);
        Ok(())
    }

    /// Adds to how things stand what is claimed of it.
    pub(super) fn tell(&self, claims: &Claims, standing: &mut Standing) {
        let Some(known) = &self.0 else { return };
        if claims.running {
            standing.running = u64::try_from(known.all).unwrap_or(0);
        }
        let queues = claims.queues.iter();
        let queues = queues.map(|queue| (queue.clone(), count(&known.queues, queue.as_str())));
        standing.queues.extend(queues.filter(|(_, running)| *running > 0));
        let types = claims.types.iter();
        let types =
            types.map(|job_type| (job_type.clone(), count(&known.types, job_type.as_str())));
        standing.types.extend(types.filter(|(_, running)| *running > 0));
        for (job_type, value) in &claims.values {
            let running = self.under(job_type, value);
            if running > 0 {
                standing.values.insert((job_type.clone(), value.clone()), running);
            }
        }
    }

    /// How many jobs of a type run under a value of the label it is capped by.
    pub(super) fn under(&self, job_type: &JobType, value: &str) -> u64 {
        let values = self.0.as_ref().and_then(|known| known.values.get(job_type.as_str()));
        values.map_or(0, |values| count(values, value))
    }

    /// Whether as many run under some value as may.
    pub(super) fn is_some_full(&self, job_type: &JobType, max: u32) -> bool {
        let Some(known) = &self.0 else { return false };
        let mut values = known.values.get(job_type.as_str()).into_iter().flat_map(HashMap::values);
        values.any(|running| *running >= i64::from(max))
    }

    /// Counts what a batch moved that was committed.
    pub(super) fn moved(&mut self, passed: &Passed<'_>) {
        let Some(counts) = &mut self.0 else { return };
        let mut add =
            |job: &Job, what: &Counted, delta| counts.add(&job.spec.job_type, what, delta);
        for new in passed.creates() {
            add(&new.job, &Counted::of(&new.job.status), 1);
        }
        for write in passed.writes() {
            add(&write.job, &write.before, -1);
            add(&write.job, &Counted::of(&write.job.status), 1);
        }
        for delete in passed.deletes() {
            add(&delete.job, &Counted::of(&delete.job.status), -1);
        }
    }
}
