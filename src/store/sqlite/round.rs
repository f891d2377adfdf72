//! A dispatch round: the writer is held from the look at the candidates to the commit.

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use crate::domain::Timestamp;
use crate::domain::admission;
use crate::domain::job::{Job, Priority};
use crate::store::{Batch, Committed, Probe, Result, Round};

use super::commit;
use super::read::{self, JobColumns};
use super::script::{Answers, Place};
use super::writer::Writer;

pub(super) const STATEMENTS: &[&str] = &[CANDIDATES];

/// The front of one line. The bound on `ready_key` stops the walk where no job can be due; the
/// columns before the payload come from the index alone, so jobs that wait for their time cost no
/// more than their entry.
const CANDIDATES: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, NULL AS flushed \
    FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id \
    WHERE s.state = 0 AND s.queue = ?1 AND s.job_type = ?2 AND s.ready_key <= ?3 \
    AND s.schedule_time <= ?4 AND (s.deadline IS NULL OR s.deadline > ?4) \
    ORDER BY s.ready_key, s.id LIMIT ?5 + 0";

/// Dropping it leaves the transaction to whoever takes the writer next, who rolls it back first.
pub(super) struct SqliteRound {
    writer: OwnedMutexGuard<Writer>,
    candidates: Vec<Job>,
}

/// Opens a round.
pub(super) async fn begin(
    mut writer: OwnedMutexGuard<Writer>,
    probes: &[Probe],
    now: Timestamp,
) -> Result<Box<dyn Round>> {
    let latest_key = admission::ready_key(now, Priority::Low).max(now);
    let mut script = writer.begin().await?;
    let mut places = Vec::with_capacity(probes.len());
    for probe in probes {
        places.push(script.add(CANDIDATES));
        script
            .bind(probe.queue.as_str())
            .bind(probe.job_type.as_str())
            .bind(latest_key.as_micros())
            .bind(now.as_micros())
            .bind(super::limit(probe.limit));
    }
    // Probes that find nothing: there are seven texts, not as many as there may be probes.
    for _ in probes.len()..probes.len().next_power_of_two() {
        script.add(CANDIDATES);
        script.bind("").bind("").bind(0_i64).bind(0_i64).bind(0_i64);
    }
    let mut answers = writer.run(script).await?;
    match candidates(&mut answers, &places) {
        Ok(candidates) => Ok(Box::new(SqliteRound { writer, candidates })),
        Err(error) => {
            writer.rollback().await;
            Err(error)
        }
    }
}

fn candidates(answers: &mut Answers, places: &[Place]) -> Result<Vec<Job>> {
    let mut found = Vec::new();
    for place in places {
        for row in answers.rows::<JobColumns>(*place)? {
            found.push(read::job(row)?);
        }
    }
    Ok(found)
}

#[async_trait]
impl Round for SqliteRound {
    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn commit(mut self: Box<Self>, batch: Batch) -> Result<Committed> {
        if batch.is_empty() {
            self.writer.rollback().await;
            return Ok(Committed::default());
        }
        let script = self.writer.resume()?;
        commit::write(&mut self.writer, script, &batch, &self.candidates).await
    }

    async fn abandon(mut self: Box<Self>) {
        self.writer.rollback().await;
    }
}
