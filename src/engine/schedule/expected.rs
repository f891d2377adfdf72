//! Types that a scheduler elsewhere runs: who did not come is recorded.

use crate::domain::filter::TimeRange;
use crate::domain::limits::{EXPECTED_EARLY, LOOP_ROWS_MAX};
use crate::domain::schedule::expected::Expected;
use crate::domain::status::{SkipReason, State};
use crate::domain::{Job, JobFilter, JobType, Timestamp};
use crate::engine::Engine;
use crate::engine::error::Result;
use crate::store::ListQuery;

use super::fire::{Standing, Step, run, tell_missed};

impl Engine {
    /// Nominal times whose grace is over and that saw no run.
    pub(super) async fn expected_step(
        &self,
        standing: &Standing,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Step> {
        let Some(schedule) = standing.definition.active_schedule() else {
            return Ok(Step { through: standing.cursor.through, ..Step::default() });
        };
        let declared = &standing.definition.declared;
        let job_type = &declared.spec.job_type;
        let runs = self.runs_since(job_type, standing.cursor.through.minus(EXPECTED_EARLY)).await?;
        let missed = expected.missed(schedule, &runs, standing.cursor, now);
        let creates = missed.times.into_iter().map(|time| {
            tell_missed(job_type, time);
            run(declared, Some(time), Some(SkipReason::Missed.into()), now)
        });
        Ok(Step { through: missed.through, creates: creates.collect(), ..Step::default() })
    }

    /// When runs of the type came, in order.
    async fn runs_since(&self, job_type: &JobType, after: Timestamp) -> Result<Vec<Timestamp>> {
        let filter = JobFilter {
            types: vec![job_type.clone()],
            create_time: TimeRange { after: Some(after), before: None },
            ..JobFilter::default()
        };
        let (mut runs, mut before) = (Vec::new(), None);
        loop {
            let query =
                ListQuery { filter: filter.clone(), before, limit: LOOP_ROWS_MAX, full: false };
            let page = self.loop_db.read(|store| async move { store.list(&query).await }).await?;
            before = page.last().map(|job| job.id);
            // One that was refused came; what was recorded for one that did not is no run.
            let came = page.iter().filter(|job| !is_missed(job));
            runs.extend(came.map(|job| job.status.create_time));
            if page.len() < LOOP_ROWS_MAX {
                runs.sort_unstable();
                return Ok(runs);
            }
        }
    }
}

const fn is_missed(job: &Job) -> bool {
    matches!(job.status.state, State::Skipped { reason: SkipReason::Missed })
}
