//! A dispatch round: the writer is held from the look at the rules to the commit.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use crate::domain::admission;
use crate::domain::job::Job;
use crate::domain::{JobId, Timestamp};
use crate::store::names;
use crate::store::rows::JobRow;
use crate::store::{
    Batch, Claims, Committed, KeyCap, KeyName, Probe, Result, Round, RuleKey, Standing, Unread,
};

use super::read::{self, JobColumns};
use super::script::{Place, Script};
use super::standing;
use super::writer::Writer;
use super::{commit, keys};

pub(super) const STATEMENTS: &[&str] = &[CANDIDATES, UNDER_CAPS];

/// The front of one line. The bound on `ready_key` stops the walk where no job can be due; the
/// columns before the payload come from the index alone, so jobs that wait for their time cost no
/// more than their entry.
const CANDIDATES: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, NULL AS flushed \
    FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id \
    WHERE s.state = 0 AND s.queue = ?1 AND s.job_type = ?2 AND s.ready_key <= ?3 \
    AND s.schedule_time <= ?4 AND (s.deadline IS NULL OR s.deadline > ?4) \
    ORDER BY s.ready_key, s.id LIMIT ?5 + 0";

/// The front of a line past the jobs whose value of the label at the path ?6 has ?7 running ones; with the
/// value, and how many run under it.
const UNDER_CAPS: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, j.labels ->> ?6, \
    (SELECT count(*) FROM job_status AS r INDEXED BY job_status_key WHERE r.state = 1 \
    AND r.concurrency_key IS NOT NULL AND r.job_type = ?2 AND r.concurrency_key = j.labels ->> ?6) \
    FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id \
    WHERE s.state = 0 AND s.queue = ?1 AND s.job_type = ?2 AND s.ready_key <= ?3 \
    AND s.schedule_time <= ?4 AND (s.deadline IS NULL OR s.deadline > ?4) \
    AND (SELECT count(*) FROM job_status AS r INDEXED BY job_status_key WHERE r.state = 1 \
    AND r.concurrency_key IS NOT NULL AND r.job_type = ?2 AND r.concurrency_key = j.labels ->> ?6) \
    < ?7 \
    ORDER BY s.ready_key, s.id LIMIT ?5 + 0";

/// Id, spec, payload, status, result, the label's value, jobs that run under it.
type CappedColumns =
    (Vec<u8>, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>, Option<String>, i64);

/// The path of a label in the object of labels. Any text may be a key, and a path takes it as JSON does.
fn path(label: &str) -> String {
    format!("$.{}", serde_json::Value::from(label))
}

/// Looks at the fronts of these lines; answers where each look stands.
fn ask<'p>(script: &mut Script, probes: &[&'p Probe], now: Timestamp) -> Vec<(&'p Probe, Place)> {
    let mut add = |probe: &Probe, limit| {
        let statement = if probe.cap.is_some() { UNDER_CAPS } else { CANDIDATES };
        let place = script.add(statement);
        script
            .bind(probe.queue.to_string())
            .bind(probe.job_type.to_string())
            .bind(admission::latest_key(now).as_micros())
            .bind(now.as_micros())
            .bind(super::limit(limit));
        if let Some(KeyCap { label, max }) = &probe.cap {
            script.bind(path(label)).bind(i64::from(*max));
        }
        place
    };
    let places = probes.iter().map(|probe| (*probe, add(probe, probe.limit))).collect();
    // Looks that find nothing: so there are few texts, not as many as there may be probes.
    for _ in probes.len()..probes.len().next_power_of_two() {
        if let Some(probe) = probes.first() {
            add(probe, 0);
        }
    }
    places
}

/// Dropping it leaves the transaction to whoever takes the writer next, who rolls it back first.
pub(super) struct SqliteRound {
    writer: OwnedMutexGuard<Writer>,
    /// What begins its transaction, as long as nothing was asked.
    beginning: Option<Script>,
    standing: Standing,
    candidates: Vec<Job>,
}

/// Opens a round.
pub(super) async fn begin(
    mut writer: OwnedMutexGuard<Writer>,
    claims: &Claims,
) -> Result<Box<dyn Round>> {
    let mut script = writer.begin().await?;
    let candidates = Vec::new();
    let rules: BTreeSet<&RuleKey> = claims.keys.union(&claims.rules).collect();
    let unknown = writer.rules.unknown(&rules);
    let before = script.len();
    let asked = standing::ask(&mut script, claims, &unknown);
    let (mut beginning, mut standing) = (None, Standing::default());
    if script.len() == before {
        // The look for candidates begins it.
        beginning = Some(script);
    } else {
        let mut answers = writer.run(script).await?;
        standing = match standing::answer(&asked, &mut answers) {
            Ok(standing) => standing,
            Err(error) => {
                writer.rollback().await;
                return Err(error);
            }
        };
        writer.rules.learn(&unknown, standing.rules.into_values().collect());
    }
    standing.rules = writer.rules.found(&rules);
    Ok(Box::new(SqliteRound { writer, beginning, standing, candidates }))
}

impl SqliteRound {
    fn script(&mut self) -> Result<Script> {
        match self.beginning.take() {
            Some(script) => Ok(script),
            None => self.writer.resume(),
        }
    }

    async fn find(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread> {
        let mut script = self.script()?;
        let (capped, free): (Vec<&Probe>, Vec<&Probe>) =
            probes.iter().partition(|probe| probe.cap.is_some());
        let (free, capped) = (ask(&mut script, &free, now), ask(&mut script, &capped, now));
        let mut answers = self.writer.run(script).await?;
        let mut unread = Unread::new();
        for (probe, place) in free {
            for row in answers.rows::<JobColumns>(place)? {
                self.candidates.extend(read::row(row).candidate(probe, &mut unread));
            }
        }
        for (probe, place) in capped {
            for row in answers.rows::<CappedColumns>(place)? {
                let (id, spec, payload, status, result, value, running) = row;
                let row = JobRow { id, spec, payload, status, result, flushed: None };
                self.candidates.extend(row.candidate(probe, &mut unread));
                if let Some(value) = value {
                    let key = (probe.job_type.clone(), value);
                    self.standing.values.insert(key, u64::try_from(running).unwrap_or(0));
                }
            }
        }
        Ok(unread)
    }
}

#[async_trait]
impl Round for SqliteRound {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn look(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread> {
        let found = self.find(probes, now).await;
        if found.is_err() {
            self.writer.rollback().await;
        }
        found
    }

    async fn holders(&mut self, names: &[KeyName]) -> Result<HashMap<KeyName, JobId>> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let mut script = self.script()?;
        let names = names::borrowed(names);
        let asked = keys::ask(&mut script, &names);
        let mut answers = self.writer.run(script).await?;
        let found = asked.map_or(Ok(Vec::new()), |place| answers.rows(place))?;
        Ok(names::owned(keys::holders(&names, found)?))
    }

    async fn commit(mut self: Box<Self>, batch: Batch) -> Result<Committed> {
        if batch.is_empty() {
            self.writer.rollback().await;
            return Ok(Committed::default());
        }
        let script = self.script()?;
        commit::write(&mut self.writer, script, &batch, &self.candidates).await
    }

    async fn abandon(mut self: Box<Self>) {
        self.writer.rollback().await;
    }
}
