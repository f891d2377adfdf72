//! Taking away what is over.

use crate::domain::retention::Terminal;
use crate::domain::{Job, JobId};
use crate::store::{Batch, Ended, EndedLine, EndedPage, EndedQuery, JobDelete, PurgeBatch};

use super::Tables;

fn ended(job: &Job) -> Option<Ended> {
    let end_time = job.status.end_time?;
    Some(Ended {
        id: job.id,
        revision: job.status.revision,
        state: Terminal::of(job.status.kind())?,
        end_time,
        purge_time: job.spec.retention.map(|span| end_time.plus(span)),
    })
}

impl Tables {
    /// A page of jobs that are over.
    pub(super) fn ended(&self, query: &EndedQuery) -> EndedPage {
        let stands = |job: &Job, ended: &Ended| match &query.line {
            EndedLine::OfType { job_type, state, from, before } => {
                job.spec.job_type == *job_type
                    && ended.state == *state
                    && (*from..*before).contains(&ended.end_time)
            }
            EndedLine::ByPolicy { job_type, state, before } => {
                job.spec.job_type == *job_type && ended.state == *state && ended.end_time < *before
            }
            EndedLine::OwnWord { before } => ended.purge_time.is_some_and(|time| time < *before),
        };
        let line = self.jobs.values().filter_map(|job| {
            ended(job)
                .filter(|ended| stands(job, ended))
                .map(|ended| (ended.place(&query.line), ended))
        });
        let mut line: Vec<_> =
            line.filter(|(place, _)| query.after.is_none_or(|after| *place > after)).collect();
        line.sort_by_key(|(place, _)| *place);
        let walked = line.into_iter().take(query.limit).map(|(_, ended)| ended).collect();
        let mut page = EndedPage::of(walked, query);
        if matches!(query.line, EndedLine::ByPolicy { .. }) {
            page.jobs.retain(|ended| ended.purge_time.is_none());
        }
        page
    }

    /// The commit that takes away those that are over as they were seen.
    pub(super) fn purge(&self, purge: &PurgeBatch) -> Batch {
        let mut batch = Batch::new(purge.id, purge.now);
        let seen = purge.jobs.iter().filter_map(|(id, revision)| self.seen(*id, *revision));
        batch.deletes = seen
            .map(|job| JobDelete { expected_revision: job.status.revision, job: job.clone() })
            .collect();
        batch
    }

    fn seen(&self, id: JobId, revision: i64) -> Option<&Job> {
        let job = self.jobs.get(&id)?;
        (job.status.revision == revision && job.status.kind().is_terminal()).then_some(job)
    }

    /// Lets go of at most `limit` rows of the logs of those that are over as they were seen; answers how many went.
    pub(super) fn drop_logs(&mut self, jobs: &[(JobId, i64)], limit: usize) -> u64 {
        let seen: Vec<JobId> = jobs
            .iter()
            .filter_map(|(id, revision)| self.seen(*id, *revision))
            .map(|job| job.id)
            .collect();
        let mut left = limit;
        for id in seen {
            let Some(rows) = self.logs.get_mut(&id) else { continue };
            let going = rows.len().min(left);
            drop(rows.drain(..going));
            left -= going;
            if rows.is_empty() {
                self.logs.remove(&id);
            }
        }
        (limit - left) as u64
    }
}
