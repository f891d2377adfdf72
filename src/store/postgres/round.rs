//! A dispatch round: candidates are locked, past those that another server looks at, from the look at them
//! to the commit.

use async_trait::async_trait;
use tokio::time::timeout;

use crate::domain::Timestamp;
use crate::domain::admission;
use crate::domain::job::Job;
use crate::store::{Batch, Committed, Error, Probe, Result, Round};

use super::commit::{self, Failed};
use super::error::{from_sqlx, late};
use super::pool::{Link, Pool};
use super::read::{self, JobColumns};
use super::{LeaseClock, changes};

pub(super) const STATEMENTS: &[&str] = &[CANDIDATES];

/// The fronts of all lines at once. The bound on `ready_key` stops the walk where no job can be due; the
/// columns before the payload come from the index alone, so jobs that wait for their time cost no more
/// than their entry.
const CANDIDATES: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, NULL::bytea \
    FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY \
    AS p(queue, job_type, most, place) CROSS JOIN LATERAL (\
    SELECT id, ready_key, status, result FROM job_status \
    WHERE state = 0 AND queue = p.queue AND job_type = p.job_type AND ready_key <= $4 \
    AND schedule_time <= $5 AND (deadline IS NULL OR deadline > $5) \
    ORDER BY ready_key, id LIMIT p.most FOR UPDATE SKIP LOCKED) AS s \
    JOIN jobs AS j ON j.id = s.id ORDER BY p.place, s.ready_key, s.id";

/// Dropping it closes its connection: the database lets the candidates go.
struct PostgresRound {
    link: Link,
    pool: Pool,
    clock: LeaseClock,
    candidates: Vec<Job>,
}

/// Opens a round.
pub(super) async fn begin(
    pool: &Pool,
    clock: LeaseClock,
    probes: &[Probe],
    now: Timestamp,
) -> Result<Box<dyn Round>> {
    let mut link = pool.begin().await?;
    let looking = timeout(pool.patience(), candidates(&mut link, probes, now)).await;
    let candidates = looking.map_err(|_| late())??;
    Ok(Box::new(PostgresRound { link, pool: pool.clone(), clock, candidates }))
}

async fn candidates(link: &mut Link, probes: &[Probe], now: Timestamp) -> Result<Vec<Job>> {
    let latest_key = admission::latest_key(now);
    let rows: Vec<JobColumns> = link
        .query_as(CANDIDATES)
        .bind(probes.iter().map(|probe| probe.queue.as_str()).collect::<Vec<_>>())
        .bind(probes.iter().map(|probe| probe.job_type.as_str()).collect::<Vec<_>>())
        .bind(probes.iter().map(|probe| super::limit(probe.limit)).collect::<Vec<_>>())
        .bind(latest_key.as_micros())
        .bind(now.as_micros())
        .fetch_all(&mut **link)
        .await
        .map_err(from_sqlx)?;
    rows.into_iter().map(read::job).collect()
}

#[async_trait]
impl Round for PostgresRound {
    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn commit(mut self: Box<Self>, batch: Batch) -> Result<Committed> {
        if batch.is_empty() {
            self.link.rollback().await;
            return Ok(Committed::default());
        }
        let writing = commit::write_within(&mut self.link, self.clock, &batch);
        match commit::settled(&self.pool, writing).await {
            Ok(committed) if !committed.missed_rules.is_empty() => {
                self.link.rollback().await;
                Ok(committed)
            }
            Ok(committed) => {
                self.link.commit().await?;
                Ok(committed)
            }
            Err(failed) => {
                if matches!(failed, Failed::Unnumbered(_)) {
                    changes::enumerate(&self.pool).await?;
                }
                Err(Error::from(failed))
            }
        }
    }

    async fn abandon(self: Box<Self>) {
        self.link.rollback().await;
    }
}
