//! A dispatch round: what it claims is kept from others, and candidates are locked, past those that another server looks at, from the look at them
//! to the commit.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::timeout;
use uuid::Uuid;

use crate::domain::admission;
use crate::domain::job::Job;
use crate::domain::{JobId, Timestamp};
use crate::store::names;
use crate::store::rows::corrupt;
use crate::store::{
    Batch, Claims, Committed, Error, KeyName, Probe, Result, Round, Standing, Unread,
};

use super::commit::{self, Failed, Lanes};
use super::error::{from_sqlx, is_refusal, late};
use super::pool::Link;
use super::read;
use super::{changes, keys, standing};

pub(super) const STATEMENTS: &[&str] = &[CANDIDATES, UNDER_CAPS];

/// The fronts of all lines at once. The bound on `ready_key` stops the walk where no job can be due; the
/// columns before the payload come from the index alone, so jobs that wait for their time cost no more
/// than their entry. With the place (from 1) of the line.
const CANDIDATES: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, p.place \
    FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY \
    AS p(queue, job_type, most, place) CROSS JOIN LATERAL (\
    SELECT id, ready_key, status, result FROM job_status \
    WHERE state = 0 AND queue = p.queue AND job_type = p.job_type AND ready_key <= $4 \
    AND schedule_time <= $5 AND (deadline IS NULL OR deadline > $5) \
    ORDER BY ready_key, id LIMIT p.most FOR UPDATE SKIP LOCKED) AS s \
    JOIN jobs AS j ON j.id = s.id ORDER BY p.place, s.ready_key, s.id";

/// The fronts of lines past the jobs whose value of a label has as many running ones as may: a look at one
/// index for each job that is passed. With the place, the value, and how many run under it.
const UNDER_CAPS: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, p.place, \
    j.labels ->> p.label, (SELECT count(*) FROM job_status AS r WHERE r.state = 1 \
    AND r.concurrency_key IS NOT NULL AND r.job_type = p.job_type \
    AND r.concurrency_key = j.labels ->> p.label) \
    FROM unnest($1::text[], $2::text[], $3::bigint[], $6::text[], $7::bigint[]) WITH ORDINALITY \
    AS p(queue, job_type, most, label, cap, place) CROSS JOIN LATERAL (\
    SELECT id, ready_key, status, result FROM job_status AS w \
    WHERE state = 0 AND queue = p.queue AND job_type = p.job_type AND ready_key <= $4 \
    AND schedule_time <= $5 AND (deadline IS NULL OR deadline > $5) \
    AND (SELECT count(*) FROM job_status AS r WHERE r.state = 1 AND r.concurrency_key IS NOT NULL \
    AND r.job_type = p.job_type AND r.concurrency_key = \
    (SELECT l.labels ->> p.label FROM jobs AS l WHERE l.id = w.id)) < p.cap \
    ORDER BY ready_key, id LIMIT p.most FOR UPDATE SKIP LOCKED) AS s \
    JOIN jobs AS j ON j.id = s.id ORDER BY p.place, s.ready_key, s.id";

/// Id, spec, payload, status, result, the place of the line.
type FreeColumns = (Uuid, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>, i64);

/// The same, the label's value, jobs that run under it.
type CappedColumns =
    (Uuid, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>, i64, Option<String>, i64);

/// Dropping it closes its connection: the database lets go of what it kept.
struct PostgresRound {
    link: Link,
    lanes: Arc<Lanes>,
    standing: Standing,
    candidates: Vec<Job>,
}

/// Opens a round.
pub(super) async fn begin(lanes: &Arc<Lanes>, claims: &Claims) -> Result<Box<dyn Round>> {
    let pool = &lanes.pool;
    let mut link = pool.begin().await?;
    let mut standing = Standing::default();
    if !claims.is_empty() {
        let keeping = async {
            standing::keep(&mut link, claims).await?;
            standing::stand(&mut link, true, claims).await
        };
        standing = timeout(pool.patience(), keeping).await.map_err(|_| late())??;
    }
    let candidates = Vec::new();
    Ok(Box::new(PostgresRound { link, lanes: Arc::clone(lanes), standing, candidates }))
}

/// Columns of probes: queues, types, limits.
fn columns(probes: &[&Probe]) -> (Vec<String>, Vec<String>, Vec<i64>) {
    let queues = probes.iter().map(|probe| probe.queue.to_string()).collect();
    let types = probes.iter().map(|probe| probe.job_type.to_string()).collect();
    (queues, types, probes.iter().map(|probe| super::limit(probe.limit)).collect())
}

/// The probe at this place.
fn of<'a>(probes: &[&'a Probe], place: i64) -> Result<&'a Probe> {
    let at = usize::try_from(place - 1).ok().and_then(|at| probes.get(at));
    at.copied().ok_or_else(|| corrupt("candidates", format!("no probe is at {place}")))
}

/// What a round failed with that carried a word to other servers, if it did. What it kept is let go of, so it
/// cannot be made again here: it may be asked for once more, and then carries none.
fn without_word(lanes: &Lanes, error: Error, had_word: bool) -> Error {
    if !had_word || !is_refusal(&error) {
        return error;
    }
    lanes.news.hush();
    match error {
        Error::Rejected(source) => Error::Unavailable(source),
        error => error,
    }
}

impl PostgresRound {
    async fn free(
        &mut self,
        probes: &[&Probe],
        (latest_key, now): (i64, i64),
        unread: &mut Unread,
    ) -> Result<()> {
        let (queues, types, limits) = columns(probes);
        let query = self.link.query_as::<FreeColumns>(CANDIDATES);
        let query = query.bind(queues).bind(types).bind(limits).bind(latest_key).bind(now);
        let rows = query.fetch_all(&mut *self.link).await.map_err(from_sqlx)?;
        for (id, spec, payload, status, result, place) in rows {
            let row = read::row((id, spec, payload, status, result, None));
            self.candidates.extend(row.candidate(of(probes, place)?, unread));
        }
        Ok(())
    }

    async fn capped(
        &mut self,
        probes: &[&Probe],
        (latest_key, now): (i64, i64),
        unread: &mut Unread,
    ) -> Result<()> {
        let (queues, types, limits) = columns(probes);
        let caps = probes.iter().filter_map(|probe| probe.cap.as_ref());
        let (labels, most): (Vec<String>, Vec<i64>) =
            caps.map(|cap| (cap.label.clone(), i64::from(cap.max))).unzip();
        let query = self.link.query_as::<CappedColumns>(UNDER_CAPS);
        let query = query.bind(queues).bind(types).bind(limits).bind(latest_key).bind(now);
        let query = query.bind(labels).bind(most);
        let rows = query.fetch_all(&mut *self.link).await.map_err(from_sqlx)?;
        for (id, spec, payload, status, result, place, value, running) in rows {
            let probe = of(probes, place)?;
            let row = read::row((id, spec, payload, status, result, None));
            self.candidates.extend(row.candidate(probe, unread));
            if let Some(value) = value {
                let key = (probe.job_type.clone(), value);
                self.standing.values.insert(key, u64::try_from(running).unwrap_or(0));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Round for PostgresRound {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn look(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread> {
        let times = (admission::latest_key(now).as_micros(), now.as_micros());
        let (free, capped): (Vec<&Probe>, Vec<&Probe>) =
            probes.iter().partition(|probe| probe.cap.is_none());
        let patience = self.lanes.pool.patience();
        let looking = async {
            let mut unread = Unread::new();
            if !free.is_empty() {
                self.free(&free, times, &mut unread).await?;
            }
            if !capped.is_empty() {
                self.capped(&capped, times, &mut unread).await?;
            }
            Ok(unread)
        };
        timeout(patience, looking).await.map_err(|_| late())?
    }

    async fn holders(&mut self, names: &[KeyName]) -> Result<HashMap<KeyName, JobId>> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let names = names::borrowed(names);
        let asking = keys::holders(&mut self.link, &names);
        let holders = timeout(self.lanes.pool.patience(), asking).await.map_err(|_| late())??;
        Ok(names::owned(holders))
    }

    async fn commit(mut self: Box<Self>, batch: Batch) -> Result<Committed> {
        if batch.is_empty() {
            self.link.rollback().await;
            return Ok(Committed::default());
        }
        let lanes = Arc::clone(&self.lanes);
        let word = lanes.word_of(&batch);
        let writing =
            commit::write_within(&mut self.link, self.lanes.clock, &batch, word.as_deref());
        match commit::settled(&self.lanes.pool, writing).await {
            Ok(committed) if !committed.missed_rules.is_empty() => {
                self.link.rollback().await;
                Ok(committed)
            }
            Ok(committed) => {
                if let Err(error) = self.link.commit().await {
                    return Err(without_word(&lanes, error, word.is_some()));
                }
                self.lanes.own.note(&committed);
                Ok(committed)
            }
            Err(failed) => {
                if matches!(failed, Failed::Unnumbered(_)) {
                    changes::enumerate(&self.lanes.pool).await?;
                }
                let is_other = matches!(failed, Failed::Other(_));
                Err(without_word(&lanes, Error::from(failed), is_other && word.is_some()))
            }
        }
    }

    async fn abandon(self: Box<Self>) {
        self.link.rollback().await;
    }
}
