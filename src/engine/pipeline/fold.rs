//! Decides a batch of work: each piece in order on how the jobs stand after the ones before it,
//! several changes of one job folded into one write.

use std::collections::HashMap;
use std::ops::Range;

use crate::domain::audit::{AuditEvent, Deed};
use crate::domain::event::{Event, Wanted, of_change};
use crate::domain::machine::{self, Applied, Command, Now, Refusal};
use crate::domain::status::StateKind;
use crate::domain::{Job, JobId, JobStatus};
use crate::store::{Batch, Cause, JobDelete, NewJob, RuleWrite, SessionWrite};

use super::super::error::Error;
use super::desk::{Desk, Rules, write_of};
use super::rule_desk::RuleDesk;
use super::waiting::Waiting;
use super::work::{Adoption, Opened, RuleChange, Seen, Work};

/// What was decided of one piece of work; it holds only if the commit says so.
#[expect(
    clippy::large_enum_variant,
    reason = "most verdicts carry the job; a box would cost each one an allocation"
)]
pub(super) enum Verdict {
    /// Hangs on the write of its job, with this answer.
    OnJob(Result<Option<Job>, Error>),
    /// Hangs on the write of its job: whether it does anything.
    OnTry(bool),
    /// Hangs on the create at this place.
    OnCreate(usize),
    /// Hangs on the delete at this place.
    OnDelete(usize),
    /// Hangs on the log batch at this place.
    OnLogs(usize),
    /// Hangs on the writes of the jobs it names.
    OnOpen(Opened),
    /// Hangs on the session write at this place.
    OnSession(usize),
    /// Hangs on the commit as a whole; its events are these.
    OnNote(Range<usize>),
    /// Hangs on the commit as a whole, but for its jobs, which hang on their own writes.
    OnRules(RulesPart),
    /// Hangs on the commit as a whole.
    OnCommit,
    /// Must be decided again on a fresh read: it would write nothing, and nothing of the kind may be
    /// answered from the cache.
    Again,
}

/// What a batch has of a change of rules.
pub(super) struct RulesPart {
    /// Its creates.
    pub(super) creates: Range<usize>,
    /// Its deletes.
    pub(super) deletes: Range<usize>,
    /// Jobs that it does nothing to.
    pub(super) left_out: Vec<JobId>,
}

/// A decided batch.
pub(super) struct Folded {
    pub(super) batch: Batch,
    pub(super) desks: HashMap<JobId, Desk>,
    /// The job of each write of the batch.
    pub(super) written: Vec<JobId>,
    /// Each piece of work with its verdict.
    pub(super) work: Vec<(Work, Verdict)>,
    /// Breakers and quotas after it.
    pub(super) rules: RuleDesk,
}

/// Decides `work` on the jobs read.
pub(super) fn fold(
    work: Vec<Work>,
    read: Vec<Job>,
    cached: Vec<Job>,
    (mut rules, mut waiting): (RuleDesk, Option<Waiting>),
    mut batch: Batch,
    wanted: Wanted,
    mut chance: impl FnMut() -> f64,
) -> Folded {
    let mut desks: HashMap<JobId, Desk> = HashMap::with_capacity(read.len() + cached.len());
    desks.extend(cached.into_iter().map(|job| (job.id, Desk::new(job, true))));
    desks.extend(read.into_iter().map(|job| (job.id, Desk::new(job, false))));
    let mut decided = Vec::with_capacity(work.len());
    for piece in work {
        let room = waiting.as_mut();
        let rules = (&mut rules, wanted);
        let verdict = decide(&piece, &mut desks, rules, room, &mut batch, &mut chance);
        decided.push((piece, verdict));
    }
    let mut written = Vec::new();
    for (job_id, desk) in &mut desks {
        if desk.is_changed() && !desk.deleted {
            let cause = Cause::Write(batch.writes.len());
            desk.events.drain(..).for_each(|event| batch.tell(cause, event));
            desk.audit.drain(..).for_each(|event| batch.record(cause, event));
            batch.writes.push(write_of(desk));
            written.push(*job_id);
        }
    }
    // What a job's own write says of its progress is newer than what was to be flushed.
    batch.progress.retain(|row| !desks.get(&row.job_id).is_some_and(Desk::is_changed));
    Folded { batch, desks, written, work: decided, rules }
}

fn decide(
    piece: &Work,
    desks: &mut HashMap<JobId, Desk>,
    rules: Rules<'_>,
    room: Option<&mut Waiting>,
    batch: &mut Batch,
    chance: &mut impl FnMut() -> f64,
) -> Verdict {
    let now = batch.now;
    match piece {
        Work::Create { new, deed, .. } => {
            if let Some(Err(full)) = room.map(|room| room.take(&new.job)) {
                return Verdict::OnJob(Err(full));
            }
            let place = create(batch, new, rules.1);
            if let Some(deed) = deed {
                let event = deed.done_to(&new.job, None, Some(&new.job.status), now);
                batch.record(Cause::Create(place), event);
            }
            Verdict::OnCreate(place)
        }
        Work::Command { job_id, command, .. } => {
            let at = Now { time: now, chance: chance() };
            command_verdict(desks, rules, *job_id, command, None, at)
        }
        Work::Deed { job_id, command, deed, .. } => {
            let at = Now { time: now, chance: chance() };
            command_verdict(desks, rules, *job_id, command, Some(deed), at)
        }
        Work::Try { job_id, command, deed, .. } => {
            let at = Now { time: now, chance: chance() };
            let revision = |desks: &HashMap<JobId, Desk>| {
                desks.get(job_id).map(|desk| desk.job.status.revision)
            };
            let before = revision(desks);
            command_verdict(desks, rules, *job_id, command, deed.as_deref(), at);
            Verdict::OnTry(revision(desks) != before)
        }
        Work::Fence { of, .. } => match fence(desks, of) {
            Some(answer) => Verdict::OnJob(answer.map(Some)),
            None => Verdict::Again,
        },
        Work::Delete { job_id, deed, .. } => delete_verdict(desks, batch, *job_id, deed.as_deref()),
        Work::Logs { batch: lines, .. } => {
            let of = Adoption { job_id: lines.job_id, lease_epoch: lines.lease_epoch };
            match fence(desks, &of) {
                Some(Ok(job)) => {
                    let attempt = job.status.attempt;
                    batch.logs.push(crate::domain::LogBatch { attempt, ..lines.clone() });
                    Verdict::OnLogs(batch.logs.len() - 1)
                }
                Some(Err(error)) => Verdict::OnJob(Err(error)),
                None => Verdict::Again,
            }
        }
        Work::Open { session, running, settled, .. } => {
            if settled.is_none() {
                batch.sessions.push(SessionWrite::Open((**session).clone()));
            }
            let mut opened = settled.clone().unwrap_or_default();
            for of in running {
                let adopt = Command::Adopt { lease_epoch: of.lease_epoch, session: session.id };
                match adoption(desks, (&mut *rules.0, rules.1), of, adopt, now) {
                    Ok(job) => opened.adopted.push(job),
                    Err(Some(reason)) => opened.revoked.push((of.clone(), reason)),
                    Err(None) => {}
                }
            }
            Verdict::OnOpen(opened)
        }
        Work::Session { write, .. } => {
            batch.sessions.push(write.clone());
            Verdict::OnSession(batch.sessions.len() - 1)
        }
        Work::Expire { session, lost, .. } => {
            let place = batch.sessions.len();
            batch.sessions.push(SessionWrite::Expire { id: *session });
            batch.tell(Cause::Session(place), (**lost).clone());
            Verdict::OnSession(place)
        }
        Work::Note { events, audit, .. } => {
            let first = batch.events.len();
            note(batch, events, audit);
            Verdict::OnNote(first..batch.events.len())
        }
        Work::Rules { change, .. } => rules_verdict(change, desks, rules, batch),
        Work::Progress { rows, .. } => {
            batch.progress.extend(rows.iter().cloned());
            Verdict::OnCommit
        }
    }
}

/// Adds a create with what is told of it; answers its place.
fn create(batch: &mut Batch, new: &NewJob, wanted: Wanted) -> usize {
    let place = batch.creates.len();
    if let Some(event) = of_change(None, &new.job, &[], wanted) {
        batch.tell(Cause::Create(place), event);
    }
    batch.creates.push(new.clone());
    place
}

/// Adds what hangs on the batch as a whole.
fn note(batch: &mut Batch, events: &[Event], audit: &[AuditEvent]) {
    for event in events {
        batch.tell(Cause::Batch, event.clone());
    }
    for event in audit {
        batch.record(Cause::Batch, event.clone());
    }
}

fn rules_verdict(
    change: &RuleChange,
    desks: &mut HashMap<JobId, Desk>,
    (rules, wanted): Rules<'_>,
    batch: &mut Batch,
) -> Verdict {
    let taken = |write: &RuleWrite| {
        // What goes may go beside what changes it.
        (rules.holds(&write.key) && write.body.is_some())
            || batch.rules.iter().any(|other| other.key == write.key)
    };
    if change.writes.iter().any(taken) {
        // Decided on the same revision as another one before it: in a batch of its own it misses.
        return Verdict::Again;
    }
    batch.rules.extend(change.writes.iter().cloned());
    let first = batch.creates.len();
    for new in &change.creates {
        create(batch, new, wanted);
    }
    note(batch, &change.events, &change.audit);
    let at = Now::at(batch.now);
    let mut left_out = Vec::new();
    for (seen, command) in &change.commands {
        if stands(desks, seen) {
            let rules = (&mut *rules, wanted);
            command_verdict(desks, rules, seen.job_id, command, change.deed.as_ref(), at);
            if !stands(desks, seen) {
                continue;
            }
        }
        left_out.push(seen.job_id);
    }
    let gone = batch.deletes.len();
    for seen in &change.deletes {
        if stands(desks, seen) {
            let verdict = delete_verdict(desks, batch, seen.job_id, change.deed.as_ref());
            if matches!(verdict, Verdict::OnDelete(_)) {
                continue;
            }
        }
        left_out.push(seen.job_id);
    }
    let (creates, deletes) = (first..batch.creates.len(), gone..batch.deletes.len());
    Verdict::OnRules(RulesPart { creates, deletes, left_out })
}

/// Whether a job is as it was seen.
fn stands(desks: &HashMap<JobId, Desk>, seen: &Seen) -> bool {
    let desk = desks.get(&seen.job_id).filter(|desk| !desk.deleted);
    desk.is_some_and(|desk| desk.job.status.revision == seen.revision)
}

fn command_verdict(
    desks: &mut HashMap<JobId, Desk>,
    rules: Rules<'_>,
    job_id: JobId,
    command: &Command,
    deed: Option<&Deed>,
    now: Now,
) -> Verdict {
    let Some(desk) = desks.get_mut(&job_id).filter(|desk| !desk.deleted) else {
        return Verdict::OnJob(Err(Error::JobNotFound(job_id)));
    };
    let applied = machine::apply(&desk.job.spec, &desk.job.status, command.clone(), now);
    if applied.is_ok()
        && let Err(error) = rules.0.check(&desk.job.status, command)
    {
        return Verdict::OnJob(Err(error));
    }
    match applied {
        Ok(Applied::Changed(transition)) => {
            if let Some(deed) = deed {
                let (before, after) = (&desk.job.status, &transition.status);
                desk.audit.push(deed.done_to(&desk.job, Some(before), Some(after), now.time));
            }
            desk.take(*transition, rules);
            Verdict::OnJob(Ok(Some(desk.job.clone())))
        }
        Ok(Applied::Unchanged) | Err(_) if desk.from_cache => Verdict::Again,
        Ok(Applied::Unchanged) => Verdict::OnJob(Ok(Some(desk.job.clone()))),
        Err(refusal) => Verdict::OnJob(Err(Error::Refused { job_id, refusal })),
    }
}

/// The job, if it runs under this lease; `None` if that cannot be said from the cache.
fn fence(desks: &HashMap<JobId, Desk>, of: &Adoption) -> Option<Result<Job, Error>> {
    let Some(desk) = desks.get(&of.job_id).filter(|desk| !desk.deleted) else {
        return Some(Err(Error::JobNotFound(of.job_id)));
    };
    let status = &desk.job.status;
    if status.kind() == StateKind::Running && status.lease_epoch == of.lease_epoch {
        return Some(Ok(desk.job.clone()));
    }
    if desk.from_cache {
        return None;
    }
    Some(Err(Error::Refused { job_id: of.job_id, refusal: stale(status, of.lease_epoch) }))
}

const fn stale(status: &JobStatus, presented: i64) -> Refusal {
    Refusal::StaleLease { held: status.lease_epoch, presented, state: status.kind() }
}

fn delete_verdict(
    desks: &mut HashMap<JobId, Desk>,
    batch: &mut Batch,
    job_id: JobId,
    deed: Option<&Deed>,
) -> Verdict {
    let Some(desk) = desks.get_mut(&job_id).filter(|desk| !desk.deleted) else {
        return Verdict::OnJob(Err(Error::JobNotFound(job_id)));
    };
    if desk.from_cache || desk.is_changed() {
        return Verdict::Again;
    }
    if !desk.job.status.kind().is_terminal() {
        return Verdict::OnJob(Err(Error::NotOver(job_id)));
    }
    desk.deleted = true;
    if let Some(deed) = deed {
        let event = deed.done_to(&desk.base, Some(&desk.base.status), None, batch.now);
        batch.record(Cause::Delete(batch.deletes.len()), event);
    }
    batch
        .deletes
        .push(JobDelete { expected_revision: desk.base.status.revision, job: desk.base.clone() });
    Verdict::OnDelete(batch.deletes.len() - 1)
}

/// One job of a reattach: adopted, lost for a reason, or closed by this worker's own report (then it
/// is neither: the report, sent again, is taken as known).
fn adoption(
    desks: &mut HashMap<JobId, Desk>,
    rules: Rules<'_>,
    of: &Adoption,
    adopt: Command,
    now: crate::domain::Timestamp,
) -> Result<Job, Option<String>> {
    let Some(desk) = desks.get_mut(&of.job_id).filter(|desk| !desk.deleted) else {
        return Err(Some("there is no such job".to_owned()));
    };
    match machine::apply(&desk.job.spec, &desk.job.status, adopt, Now::at(now)) {
        Ok(Applied::Changed(transition)) => {
            desk.take(*transition, rules);
            Ok(desk.job.clone())
        }
        Ok(Applied::Unchanged) => Ok(desk.job.clone()),
        Err(refusal) => {
            let status = &desk.job.status;
            let reported = status.execution.as_ref().is_some_and(|run| run.report.is_some());
            let own_report = status.lease_epoch == of.lease_epoch && reported;
            Err((!own_report).then(|| refusal.to_string()))
        }
    }
}
