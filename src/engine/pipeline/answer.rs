//! What a committed batch means to each piece of its work.

use std::collections::HashMap;

use crate::domain::limits::GUARD_REPEATS_MAX;
use crate::domain::{Job, JobId, JobSpec};
use crate::store::{Appended, Batch, Committed, KeyKind, RuleWrite, Written};

use super::super::error::Error;
use super::super::registry::Rulebook;
use super::desk::Desk;
use super::fold::{Folded, RulesPart, Verdict};
use super::unheard::lease_and_number;
use super::work::{Created, RuleChange, RulesChanged, Work};
use super::writer::Writer;

impl Writer {
    /// Answers every piece of a batch that was committed since `book` was known, and repeats what missed.
    pub(super) fn answer(
        &mut self,
        folded: Folded,
        committed: &Committed,
        times: &[usize],
        book: &Rulebook,
    ) {
        if !committed.missed_rules.is_empty() {
            self.answer_missed(folded, committed, times);
            return;
        }
        let Folded { batch, mut desks, written, work, rules } = folded;
        rules.written(&self.parts.registry);
        let fate: HashMap<JobId, Written> =
            written.iter().copied().zip(committed.writes.iter().copied()).collect();
        for (job_id, outcome) in &fate {
            match (outcome, desks.get(job_id)) {
                (Written::Done, Some(desk)) => self.parts.note(&desk.job),
                _ => self.parts.cache.forget(*job_id),
            }
        }
        // Answers first: an attach is registered by its answer, so that what the same commit has to
        // tell it finds it there; and a cell that an answer opens is closed by what follows.
        for ((piece, verdict), times) in work.into_iter().zip(times) {
            if let (Work::Rules { change, .. }, Verdict::OnRules(_)) = (&piece, &verdict) {
                // Whoever asked for it may not wait any more: it is in force all the same.
                self.parts.followers.wrote(&change.writes, book);
            }
            self.answer_one(piece, verdict, *times, &fate, (&batch, committed));
        }
        for job_id in
            fate.iter().filter(|(_, outcome)| **outcome == Written::Done).map(|(id, _)| id)
        {
            if let Some(desk) = desks.get_mut(job_id) {
                self.follow(desk);
            }
        }
        for (new, outcome) in batch.creates.iter().zip(&committed.creates) {
            if *outcome == Written::Done {
                self.parts.note(&new.job);
                self.parts.after.born(&new.job);
            }
        }
        self.parts.after.appended(&batch.logs, &committed.logs);
        let before = |job_id| desks.get(&job_id).map(|desk| &desk.base);
        self.parts.after.committed(&batch, committed, before);
    }

    /// A rule stood otherwise than expected, so nothing was written: who expected that is told, and all
    /// else is decided again.
    fn answer_missed(&mut self, folded: Folded, committed: &Committed, times: &[usize]) {
        self.outrun = true;
        let missed = |write: &RuleWrite| committed.missed_rules.contains(&write.key);
        for ((piece, verdict), times) in folded.work.into_iter().zip(times) {
            match (piece, verdict) {
                (Work::Rules { change, reply }, Verdict::OnRules(..))
                    if change.writes.iter().any(missed) =>
                {
                    reply.send(Ok(RulesChanged::Missed));
                }
                // It is none of its doing: this does not count.
                (piece, _) => {
                    piece.names(|id, _| self.parts.cache.forget(id));
                    self.repeat(piece, times.saturating_sub(1));
                }
            }
        }
    }

    pub(super) fn follow(&self, desk: &mut Desk) {
        let effects = std::mem::take(&mut desk.effects);
        self.parts.after.changed(&desk.base, &desk.job, effects);
        // The cell of a lease that is over is closed by now: of two lanes the one that is behind finds out.
        self.parts.note(&desk.job);
        self.parts.forget_closed(&desk.job);
    }

    /// Answers a change of rules: what became of its creates, and which of its jobs it did nothing to.
    fn answer_rules(
        &self,
        change: &RuleChange,
        part: RulesPart,
        fate: &HashMap<JobId, Written>,
        (batch, committed): (&Batch, &Committed),
    ) -> RulesChanged {
        let RulesPart { creates, deletes, left_out: mut missed } = part;
        let undone = |job_id: &JobId| !matches!(fate.get(job_id), Some(Written::Done));
        let late = change.commands.iter().map(|(seen, _)| seen.job_id).filter(undone);
        let late: Vec<JobId> = late.filter(|job_id| !missed.contains(job_id)).collect();
        missed.extend(late);
        let asked = batch.deletes.get(deletes.clone()).unwrap_or_default();
        let gone = committed.deletes.get(deletes).unwrap_or_default();
        for (delete, gone) in asked.iter().zip(gone) {
            if *gone {
                self.parts.after.deleted(delete.job.id);
            } else {
                missed.push(delete.job.id);
            }
        }
        let creates = committed.creates.get(creates).unwrap_or_default().to_vec();
        RulesChanged::Done { creates, missed }
    }

    fn answer_one(
        &mut self,
        piece: Work,
        verdict: Verdict,
        times: usize,
        fate: &HashMap<JobId, Written>,
        (batch, committed): (&Batch, &Committed),
    ) {
        let missed = |id: &JobId| matches!(fate.get(id), Some(Written::Missed));
        let stands = |id: &JobId| matches!(fate.get(id), Some(Written::Done) | None);
        match (piece, verdict) {
            (Work::Create { new, reply, .. }, Verdict::OnCreate(place)) => {
                let answer = match committed.creates.get(place) {
                    Some(Written::Done) => Ok(Created { job: new.job, existing: false }),
                    Some(Written::KeyTaken { kind, holder }) => {
                        Err(taken(*kind, *holder, &new.job.spec))
                    }
                    Some(Written::Missed) | None => Err(Error::Overloaded),
                };
                reply.send(answer);
            }
            (Work::Create { reply, .. }, Verdict::OnJob(Err(full))) => reply.send(Err(full)),
            (Work::Command { job_id, command, patient, reply }, Verdict::OnJob(answer)) => {
                if missed(&job_id) {
                    self.repeat(Work::Command { job_id, command, patient, reply }, times);
                } else {
                    reply.send(commanded(answer, job_id, fate.get(&job_id)));
                }
            }
            (Work::Deed { job_id, command, deed, reply }, Verdict::OnJob(answer)) => {
                if missed(&job_id) {
                    self.repeat(Work::Deed { job_id, command, deed, reply }, times);
                } else {
                    reply.send(commanded(answer, job_id, fate.get(&job_id)));
                }
            }
            (Work::Try { job_id, command, deed, reply }, Verdict::OnTry(done)) => {
                // It moves each time it is looked at: then it is given up.
                if missed(&job_id) && times < GUARD_REPEATS_MAX {
                    self.repeat(Work::Try { job_id, command, deed, reply }, times);
                } else {
                    reply.send(Ok(done && stands(&job_id)));
                }
            }
            (Work::Fence { of, reply }, Verdict::OnJob(answer)) => {
                if missed(&of.job_id) {
                    self.repeat(Work::Fence { of, reply }, times);
                } else {
                    reply.send(settled(answer, of.job_id));
                }
            }
            (Work::Delete { job_id, deed, reply }, Verdict::OnDelete(place)) => {
                if committed.deletes.get(place) == Some(&true) {
                    self.parts.after.deleted(job_id);
                    reply.send(Ok(()));
                } else {
                    self.repeat(Work::Delete { job_id, deed, reply }, times);
                }
            }
            (Work::Delete { reply, job_id, .. }, Verdict::OnJob(answer)) => {
                reply.send(settled(answer, job_id).map(drop));
            }
            (Work::Logs { batch, patient, reply }, Verdict::OnLogs(place)) => {
                if committed.logs.get(place) == Some(&Appended::Done) {
                    reply.send(Ok(()));
                } else {
                    self.parts.cache.forget(batch.job_id);
                    self.repeat(Work::Logs { batch, patient, reply }, times);
                }
            }
            (Work::Logs { batch, patient, reply }, Verdict::OnJob(answer)) => {
                if missed(&batch.job_id) {
                    self.repeat(Work::Logs { batch, patient, reply }, times);
                } else if self.kept.remove(&lease_and_number(&batch)) {
                    reply.send(Ok(()));
                } else {
                    reply.send(settled(answer, batch.job_id).map(drop));
                }
            }
            (Work::Open { session, mut running, reply, .. }, Verdict::OnOpen(mut opened)) => {
                running.retain(|of| missed(&of.job_id));
                if running.is_empty() {
                    reply.send(Ok(opened));
                } else {
                    opened.adopted.retain(|job| !missed(&job.id));
                    let again = Work::Open { session, running, settled: Some(opened), reply };
                    self.repeat(again, times);
                }
            }
            (
                Work::Session { reply, .. } | Work::Expire { reply, .. },
                Verdict::OnSession(place),
            ) => {
                reply.send(Ok(committed.sessions.get(place) == Some(&true)));
            }
            (Work::Note { reply, .. }, Verdict::OnNote(events)) => {
                reply.send(Ok(committed.events.get(events).unwrap_or_default().to_vec()));
            }
            (Work::Progress { reply, .. }, Verdict::OnCommit) => reply.send(Ok(())),
            (Work::Rules { change, reply }, Verdict::OnRules(part)) => {
                reply.send(Ok(self.answer_rules(&change, part, fate, (batch, committed))));
            }
            // Decided on the cache where only a fresh read may answer.
            (piece, _) => {
                piece.names(|id, _| self.parts.cache.forget(id));
                self.repeat(piece, times);
            }
        }
    }
}

/// The answer to a command whose write did not miss.
fn commanded(
    answer: Result<Option<Job>, Error>,
    job_id: JobId,
    fate: Option<&Written>,
) -> Result<Job, Error> {
    match (fate, answer) {
        (Some(Written::KeyTaken { kind, holder }), Ok(Some(job))) => {
            Err(taken(*kind, *holder, &job.spec))
        }
        (_, answer) => settled(answer, job_id),
    }
}

fn settled(answer: Result<Option<Job>, Error>, job_id: JobId) -> Result<Job, Error> {
    answer.and_then(|job| job.ok_or(Error::JobNotFound(job_id)))
}

/// A taken key: for a request id, the caller finds out what it made.
pub(in super::super) fn taken(kind: KeyKind, holder: JobId, spec: &JobSpec) -> Error {
    match kind {
        KeyKind::Request => Error::RequestIdReused { job_id: holder },
        KeyKind::Unique => Error::DuplicateJob { holder, key: spec.unique_key.clone() },
        // Scheduled runs are asked for by `Work::Rules` alone, which hears of this otherwise.
        KeyKind::Fire => Error::DuplicateJob { holder, key: String::new() },
    }
}
