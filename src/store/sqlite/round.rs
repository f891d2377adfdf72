//! A dispatch round: the writer is held from the look at the rules to the commit.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use crate::domain::admission;
use crate::domain::job::Job;
use crate::domain::{JobId, Timestamp};
use crate::store::names;
use crate::store::{
    Batch, Claims, Committed, KeyCap, KeyName, Probe, Result, Round, RuleKey, Standing, Unread,
};

use super::read::{self, JobColumns};
use super::script::{Answers, Place, Script};
use super::writer::Writer;
use super::{commit, keys, rules, running};

pub(super) const STATEMENTS: &[&str] = &[CANDIDATES, UNDER_CAPS];

/// The front of one line. The bound on `ready_key` stops the walk where no job can be due; the
/// columns before the payload come from the index alone, so jobs that wait for their time cost no
/// more than their entry.
const CANDIDATES: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, NULL AS flushed \
    FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id \
    WHERE s.state = 0 AND s.queue = ?1 AND s.job_type = ?2 AND s.ready_key <= ?3 \
    AND s.schedule_time <= ?4 AND (s.deadline IS NULL OR s.deadline > ?4) \
    ORDER BY s.ready_key, s.id LIMIT ?5 + 0";

/// The front of a line past the jobs whose value of the label at the path ?6 has ?7 running ones.
const UNDER_CAPS: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, NULL \
    FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id \
    WHERE s.state = 0 AND s.queue = ?1 AND s.job_type = ?2 AND s.ready_key <= ?3 \
    AND s.schedule_time <= ?4 AND (s.deadline IS NULL OR s.deadline > ?4) \
    AND (SELECT count(*) FROM job_status AS r INDEXED BY job_status_key WHERE r.state = 1 \
    AND r.concurrency_key IS NOT NULL AND r.job_type = ?2 AND r.concurrency_key = j.labels ->> ?6) \
    < ?7 \
    ORDER BY s.ready_key, s.id LIMIT ?5 + 0";

/// The path of a label in the object of labels. Any text may be a key, and a path takes it as JSON does.
fn path(label: &str) -> String {
    format!("$.{}", serde_json::Value::from(label))
}

/// Looks at the fronts of these lines, past what is full under its cap if `by_caps`; answers where each look stands.
fn ask<'p>(
    script: &mut Script,
    probes: &[&'p Probe],
    by_caps: bool,
    now: Timestamp,
) -> Vec<(&'p Probe, Place)> {
    let mut add = |probe: &Probe, limit| {
        let cap = probe.cap.as_ref().filter(|_| by_caps);
        let place = script.add(if cap.is_some() { UNDER_CAPS } else { CANDIDATES });
        script
            .bind(probe.queue.to_string())
            .bind(probe.job_type.to_string())
            .bind(admission::latest_key(now).as_micros())
            .bind(now.as_micros())
            .bind(super::limit(limit));
        if let Some(KeyCap { label, max }) = cap {
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
    let asked_rules = rules::ask_for(&mut script, unknown.iter().copied());
    let asked_running =
        running::is_asked(claims).then(|| writer.running.ask(&mut script)).flatten();
    let mut beginning = None;
    if asked_rules.is_none() && asked_running.is_none() {
        // The look for candidates begins it.
        beginning = Some(script);
    } else {
        let mut answers = writer.run(script).await?;
        let learned = learn(&mut writer, (&unknown, asked_rules), asked_running, &mut answers);
        if let Err(error) = learned {
            writer.rollback().await;
            return Err(error);
        }
    }
    let mut standing = Standing { rules: writer.rules.found(&rules), ..Standing::default() };
    writer.running.tell(claims, &mut standing);
    Ok(Box::new(SqliteRound { writer, beginning, standing, candidates }))
}

/// Takes up what was not known.
fn learn(
    writer: &mut Writer,
    (unknown, rules): (&BTreeSet<&RuleKey>, Option<Place>),
    running: Option<running::Asked>,
    answers: &mut Answers,
) -> Result<()> {
    if let Some(place) = rules {
        writer.rules.learn(unknown, rules::found(answers.rows(place)?)?);
    }
    match running {
        Some(asked) => writer.running.learn(asked, answers),
        None => Ok(()),
    }
}

impl SqliteRound {
    fn script(&mut self) -> Result<Script> {
        match self.beginning.take() {
            Some(script) => Ok(script),
            None => self.writer.resume(),
        }
    }

    /// Whether any of these are to be passed by because as many run under their value as may.
    fn is_some_full(&self, probes: &[Probe]) -> bool {
        let mut caps = BTreeSet::new();
        let mut known =
            probes.iter().filter_map(|probe| Some((&probe.job_type, probe.cap.as_ref()?)));
        known.any(|(job_type, cap)| {
            caps.insert((job_type, cap.max)) && self.writer.running.is_some_full(job_type, cap.max)
        })
    }

    async fn find(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread> {
        let mut script = self.script()?;
        if probes.iter().any(|probe| probe.cap.is_some())
            && let Some(asked) = self.writer.running.ask(&mut script)
        {
            let mut answers = self.writer.run(script).await?;
            self.writer.running.learn(asked, &mut answers)?;
            script = self.writer.resume()?;
        }
        let by_caps = self.is_some_full(probes);
        let (capped, free): (Vec<&Probe>, Vec<&Probe>) =
            probes.iter().partition(|probe| by_caps && probe.cap.is_some());
        let mut places = ask(&mut script, &free, by_caps, now);
        places.extend(ask(&mut script, &capped, by_caps, now));
        let mut answers = self.writer.run(script).await?;
        let mut unread = Unread::new();
        for (probe, place) in places {
            for row in answers.rows::<JobColumns>(place)? {
                let Some(job) = read::row(row).candidate(probe, &mut unread) else { continue };
                let value = probe.cap.as_ref().and_then(|cap| job.spec.labels.get(&cap.label));
                if let Some(value) = value {
                    let running = self.writer.running.under(&probe.job_type, value);
                    self.standing.values.insert((probe.job_type.clone(), value.clone()), running);
                }
                self.candidates.push(job);
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
