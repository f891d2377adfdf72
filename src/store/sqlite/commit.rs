//! Writing a batch within an open transaction: guards first, then keys, then what passed.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::{Job, JobId, Position};
use crate::store::figures::Figures;
use crate::store::names;
use crate::store::passed::{Passed, first_deletes};
use crate::store::quiet;
use crate::store::{Appended, Batch, Committed, NewJob, Result, SessionWrite, Written};

use super::figures::Tallies;
use super::input::{Rows, ids};
use super::script::{Answers, Place, Script};
use super::writer::Writer;
use super::{changes, events, figures, jobs, keys, logs, rules, sessions};

pub(super) const STATEMENTS: &[&str] = &[MISSES, PROGRESS];

/// The places of rows [id, revision, epoch, whether it must run] whose job is not as they say.
const MISSES: &str = "SELECT e.key FROM jsonb_each(?1) AS e \
    LEFT JOIN job_status AS s ON s.id = unhex(e.value ->> 0) \
    WHERE s.id IS NULL \
    OR s.revision <> coalesce(e.value ->> 1, s.revision) \
    OR s.lease_epoch <> coalesce(e.value ->> 2, s.lease_epoch) \
    OR (e.value ->> 3 AND s.state <> 1)";

/// Of jobs that must not have moved.
const PROGRESS: &str = "SELECT p.id, CAST(p.data || p.active || p.used AS BLOB) FROM json_each(?1) AS e \
    CROSS JOIN job_progress AS p ON p.id = unhex(e.value)";

/// Writes a batch by a script that begins a transaction or goes on in one, and makes it durable; answers what
/// became of each part. What was `seen` in the same transaction needs no other look.
pub(super) async fn write(
    writer: &mut Writer,
    mut script: Script,
    batch: &Batch,
    seen: &[Job],
) -> Result<Committed> {
    // Taken out: should this end half-way, nothing is known of them.
    let mut tallies = std::mem::take(&mut writer.tallies);
    let mut known = std::mem::take(&mut writer.rules);
    let mut running = std::mem::take(&mut writer.running);
    let mut sessions = openings(batch.creates.iter());
    sessions.extend(batch.sessions.iter().cloned());
    let (creates, writes, deletes) = (&batch.creates, &batch.writes, &batch.deletes);
    let all = Figures::of(batch, creates.iter(), writes.iter(), deletes.iter());
    let asked = Asked {
        misses: ask_misses(&mut script, batch, seen),
        progress: ask_progress(&mut script, batch),
        holders: keys::ask(&mut script, &names::asked(batch)),
        buckets: figures::ask(&mut script, &all, &tallies),
        sessions: sessions::ask(&mut script, &sessions),
        rules: rules::ask(&mut script, batch, &known),
        events: events::ask(&mut script, batch),
    };
    let mut answers = Answers::default();
    if asked.is_something() {
        answers = writer.run(script).await?;
        script = writer.resume()?;
    }
    let mut misses: HashSet<i64> = match asked.misses {
        Some(place) => answers.rows::<(i64,)>(place)?.into_iter().map(|(place,)| place).collect(),
        None => HashSet::new(),
    };
    if let Some(place) = asked.progress {
        // Writes are counted first.
        let moved = quiet::moved(batch, answers.rows(place)?)?;
        misses.extend(moved.into_iter().filter_map(|place| i64::try_from(place).ok()));
    }
    let mut missed = match asked.rules {
        Some(place) => rules::missed(batch, &answers.rows::<(i64,)>(place)?),
        None => known.missed(batch),
    };
    if missed.is_empty() && !batch.rules.is_empty() {
        missed = batch.rules_missed_by(&guarded(batch, &misses).writes);
    }
    if !missed.is_empty() {
        (writer.tallies, writer.rules, writer.running) = (tallies, known, running);
        writer.rollback().await;
        return Ok(Committed::missed(batch, missed));
    }
    let written = prepare(&mut script, batch, all, (asked, &mut answers), &misses, &mut tallies);
    let (mut committed, place) = match written {
        Ok(written) => written,
        Err(error) => {
            writer.rollback().await;
            return Err(error);
        }
    };
    let answers = writer.commit(script).await?;
    committed.position = answers.last_insert_rowid(place).map(Position::Sequence);
    known.wrote(&batch.rules);
    running.moved(&Passed { batch, committed: &committed });
    (writer.tallies, writer.rules, writer.running) = (tallies, known, running);
    Ok(committed)
}

/// What is to be known before anything is written.
struct Asked {
    misses: Option<Place>,
    progress: Option<Place>,
    holders: Option<Place>,
    buckets: Option<Place>,
    sessions: Option<Place>,
    rules: Option<Place>,
    events: Option<Place>,
}

impl Asked {
    const fn is_something(&self) -> bool {
        self.misses.is_some()
            || self.progress.is_some()
            || self.holders.is_some()
            || self.buckets.is_some()
            || self.sessions.is_some()
            || self.rules.is_some()
            || self.events.is_some()
    }
}

/// Appends all writes of a batch to a script; answers what becomes of each part, and where the change log is
/// written.
fn prepare(
    script: &mut Script,
    batch: &Batch,
    all: Figures<'_>,
    (asked, answers): (Asked, &mut Answers),
    misses: &HashSet<i64>,
    tallies: &mut Tallies,
) -> Result<(Committed, Place)> {
    let mut committed = guarded(batch, misses);
    let holders = match asked.holders {
        Some(place) => keys::holders(&names::asked(batch), answers.rows(place)?)?,
        None => HashMap::new(),
    };
    let standing = match asked.sessions {
        Some(place) => sessions::concerned(answers.rows(place)?)?,
        None => BTreeMap::new(),
    };
    if let Some(place) = asked.buckets {
        figures::learn(tallies, answers.rows(place)?)?;
    }
    keys::take(script, batch, holders, &mut committed);
    let passed = Passed { batch, committed: &committed };
    jobs::create(script, &passed)?;
    jobs::write_statuses(script, &passed)?;
    jobs::supersede(script, &passed)?;
    jobs::write_progress(script, &passed)?;
    logs::append(script, &passed)?;
    jobs::delete(script, &passed);
    keys::release(script, &passed);
    let figures = if passed.is_all() { all } else { passed.figures() };
    figures::write(script, &figures, tallies)?;
    rules::write(script, &batch.rules, batch.now);
    let place = changes::write(script, &passed)?;
    let mut writes = openings(passed.creates());
    let born = writes.len();
    writes.extend(batch.sessions.iter().cloned());
    committed.sessions = sessions::write(script, standing, &writes, batch.now)?.split_off(born);
    let known = match asked.events {
        Some(place) => answers.rows(place)?.into_iter().map(|(key,)| key).collect(),
        None => HashSet::new(),
    };
    events::write(script, batch, &known, &mut committed)?;
    Ok((committed, place))
}

/// The sessions that new jobs are started in at once.
fn openings<'a>(creates: impl Iterator<Item = &'a NewJob>) -> Vec<SessionWrite> {
    creates.filter_map(|new| new.session.clone()).map(SessionWrite::Open).collect()
}

/// What becomes of each part as far as the guards say.
fn guarded(batch: &Batch, missed: &HashSet<i64>) -> Committed {
    let mut place = 0..;
    let mut passes = || place.next().is_none_or(|place| !missed.contains(&place));
    Committed {
        creates: vec![Written::Done; batch.creates.len()],
        writes: batch
            .writes
            .iter()
            .map(|_| if passes() { Written::Done } else { Written::Missed })
            .collect(),
        deletes: first_deletes(batch).map(|is_first| passes() && is_first).collect(),
        logs: batch
            .logs
            .iter()
            .map(|_| if passes() { Appended::Done } else { Appended::Missed })
            .collect(),
        sessions: Vec::new(),
        events: Vec::new(),
        missed_rules: Vec::new(),
        position: None,
        told: false,
    }
}

/// Asks for the progress of jobs that must not have moved.
fn ask_progress(script: &mut Script, batch: &Batch) -> Option<Place> {
    let asked = quiet::asked(batch);
    if asked.is_empty() {
        return None;
    }
    let place = script.add(PROGRESS);
    script.bind(ids(asked.iter().map(|id| &id.0)));
    Some(place)
}

/// Asks for the places of those writes, deletes and log batches, counted in this order, whose guard
/// missed; nothing if every write was decided on a job as it was seen, for then none can miss.
fn ask_misses(script: &mut Script, batch: &Batch, seen: &[Job]) -> Option<Place> {
    let seen: HashMap<JobId, (i64, i64)> =
        seen.iter().map(|job| (job.id, (job.status.revision, job.status.lease_epoch))).collect();
    let mut rows = Rows::default();
    let mut asks = !batch.deletes.is_empty() || !batch.logs.is_empty();
    for write in &batch.writes {
        asks |= seen.get(&write.job.id) != Some(&(write.expected_revision, write.expected_epoch));
        let row = rows.row().hex(write.job.id.0.as_bytes());
        row.int(write.expected_revision).int(write.expected_epoch).int(0);
    }
    if !asks {
        return None;
    }
    for delete in &batch.deletes {
        let row = rows.row().hex(delete.job.id.0.as_bytes());
        row.int(delete.expected_revision).maybe_int(None).int(0);
    }
    for log in &batch.logs {
        let row = rows.row().hex(log.job_id.0.as_bytes());
        row.maybe_int(None).int(log.lease_epoch).int(1);
    }
    script.add_rows(MISSES, rows)
}
