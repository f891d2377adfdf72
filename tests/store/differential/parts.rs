//! What the parts of a batch are, made from their numbers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jobplane::domain::audit::{AuditAction, AuditEvent, AuditSubject, Deed, Fields};
use jobplane::domain::event::{Event, Facts};
use jobplane::domain::machine::{Command, ReleaseReason};
use jobplane::domain::stats::FacetPolicy;
use jobplane::domain::{EndReason, Job, JobSpec, Priority, UniquePolicy};
use jobplane::store::{
    Batch, Cause, Fire, JobWrite, NewJob, RuleKey, RuleWrite, SessionWrite, Store as _,
};

use crate::world::{
    at, batch, born, cancel, decide, delete, fail, job_id, job_type, keyed, lines, progress, queue,
    request, retry, session, session_id, spec, start, succeed,
};

use super::World;
use super::steps::{CAPPED_BY, INSTANCES, Part, QUEUES, RULES, TYPES};

impl World<'_> {
    pub(super) fn create(
        &mut self,
        kind: usize,
        keys: (Option<u8>, Option<u8>),
        delay: u64,
    ) -> NewJob {
        let now = self.now();
        let spec = JobSpec {
            job_type: job_type(TYPES[kind % 2]),
            queue: queue(QUEUES[kind / 2 % 2]),
            priority: [Priority::Normal, Priority::High][kind / 4],
            payload: kind.is_multiple_of(3).then(|| Bytes::from(vec![1; kind])),
            labels: [(CAPPED_BY.to_owned(), kind.to_string())].into(),
            owner: ["", "me"][kind % 2].to_owned(),
            schedule_time: (delay > 0).then(|| now.plus(Duration::from_secs(delay))),
            timeout: kind.is_multiple_of(2).then(|| Duration::from_secs(15)),
            expire_time: (kind == 5).then(|| now.plus(Duration::from_secs(60))),
            retention: (kind == 3).then(|| Duration::from_secs(86_400)),
            unique_key: keys.1.map(|key| format!("key {key}")).unwrap_or_default(),
            unique_policy: [UniquePolicy::Reject, UniquePolicy::ReturnExisting][kind / 2 % 2],
            ..spec()
        };
        let mut new = born(self.born, spec, now);
        new.request = keys.0.map(|key| request(&format!("request {key}")));
        self.born += 1;
        new
    }

    pub(super) fn write(&self, job: &Job, command: u8, stale: u8) -> Option<JobWrite> {
        let epoch = job.status.lease_epoch;
        let command = match command {
            0..=2 => start(u64::from(command)),
            3 => succeed(epoch),
            4 => fail(epoch, false),
            5 => fail(epoch, true),
            6 => cancel(),
            7 => Command::MeetDeadline,
            8 => Command::Adopt { lease_epoch: epoch, session: session_id(4) },
            9 => Command::Release {
                lease_epoch: epoch,
                delay: Duration::from_secs(3),
                reason: ReleaseReason::NotHeld {
                    session: job.status.session().unwrap_or(session_id(1)),
                },
            },
            _ => retry(),
        };
        let starts = matches!(command, Command::Start { .. });
        let mut write = decide(job, command, self.now())?;
        if starts {
            write = keyed(write, CAPPED_BY);
        }
        match stale {
            0 => write.expected_revision -= 1,
            1 => write.expected_epoch += 1,
            _ => {}
        }
        Some(write)
    }

    pub(super) fn session(&self, number: u64, write: u8, seconds: u32) -> SessionWrite {
        let id = session_id(number);
        let span = Duration::from_secs(1) * seconds;
        match write {
            0..=2 => {
                let mut new = session(number, INSTANCES[usize::from(write)], self.now());
                new.unary = seconds.is_multiple_of(4);
                SessionWrite::Open(new)
            }
            3 | 4 => SessionWrite::Renew { id, age: span / 2, ttl: span },
            5 => SessionWrite::Shorten { id, keep: span },
            6 if seconds.is_multiple_of(2) => SessionWrite::EndIfUnary { id },
            6 => SessionWrite::End { id, reason: EndReason::Goodbye },
            _ => SessionWrite::Expire { id },
        }
    }

    /// Some of them are told once.
    pub(super) fn event(&self, name: u64) -> Event {
        let (age, threshold) = (Duration::from_secs(name), Duration::from_secs(1));
        let of = job_type(TYPES[usize::from(name == 2)]);
        if name <= 2 {
            return Event::of_type(of, Facts::CircuitClosed, self.now());
        }
        let facts = Facts::QueueAge { age, threshold };
        Event::of_queue(queue(QUEUES[usize::from(name == 5)]), facts, self.now())
    }

    pub(super) fn deed(&self, name: u64) -> AuditEvent {
        let (id, job_type) = (job_id(name % 2), job_type("sync"));
        let subject = AuditSubject::Job { id, job_type };
        let deed = Deed::new(["ann", "bob"][usize::from(name > 3)], AuditAction::CancelJob);
        deed.done(subject, &Fields::new(), &Fields::new(), self.now())
    }

    pub(super) async fn rule(&self, key: RuleKey, gone: bool, stale: bool) -> RuleWrite {
        let keys = std::slice::from_ref(&key);
        let held = self.model.rules_by_key(keys).await.expect("a read").pop();
        let revision = held.map_or(0, |rule| rule.revision) + i64::from(stale);
        if gone && revision > 0 {
            RuleWrite::delete(key, revision)
        } else {
            RuleWrite::put(key, revision, &self.seconds).expect("encodes")
        }
    }

    pub(super) async fn batch(&mut self, parts: Vec<Part>) -> Batch {
        let mut batch = Batch { facets: Some(facets()), ..batch(self.now()) };
        let mut named = Vec::new();
        for part in parts {
            match part {
                Part::Create { kind, request, unique, delay, started, fire } => {
                    let mut new = self.create(kind, (request, unique), delay);
                    new.fire = fire.map(|fire| Fire::at(at(u64::from(fire))));
                    if started && let Some(write) = self.write(&new.job, 0, 9) {
                        let before = new.job.status;
                        new.job = write.job;
                        new.changes.record(Some(&before), &new.job.status);
                    }
                    batch.creates.push(new);
                }
                Part::Write { job, command, stale } => {
                    if let Some(job) = self.job(job).await
                        && !named.contains(&job.id)
                        && let Some(write) = self.write(&job, command, stale)
                    {
                        named.push(job.id);
                        batch.writes.push(write);
                    }
                }
                Part::Delete { job, stale } => {
                    if let Some(job) = self.job(job).await
                        && !named.contains(&job.id)
                        && job.status.kind().is_terminal()
                    {
                        named.push(job.id);
                        let mut delete = delete(&job);
                        delete.expected_revision -= i64::from(stale);
                        batch.deletes.push(delete);
                    }
                }
                Part::Log { job, epoch, seq, lines: count } => {
                    if let Some(job) = self.job(job).await {
                        let mut log = lines(0, job.status.lease_epoch - epoch, seq, count);
                        log.job_id = job.id;
                        batch.logs.push(log);
                    }
                }
                Part::Progress { job, epoch, sequence, active } => {
                    if let Some(job) = self.job(job).await {
                        let mut write = progress(0, job.status.lease_epoch - epoch, sequence);
                        write.job_id = job.id;
                        write.progress = write.progress.active_at(at(active.into()));
                        batch.progress.push(write);
                    }
                }
                Part::Session { session, write, seconds } => {
                    batch.sessions.push(self.session(session, write, seconds));
                }
                Part::Tell { cause, place, name } => {
                    let cause = match cause {
                        0 => Cause::Batch,
                        1 => Cause::Create(place),
                        2 => Cause::Write(place),
                        3 => Cause::Delete(place),
                        _ => Cause::Session(place),
                    };
                    batch.tell(cause, self.event(name));
                    batch.record(cause, self.deed(name));
                }
                Part::Rule { name, gone, stale } => {
                    let key = RuleKey::new(RULES[name].0, RULES[name].1);
                    if !batch.rules.iter().any(|write| write.key == key) {
                        batch.rules.push(self.rule(key, gone, stale).await);
                    }
                }
            }
        }
        batch
    }
}

/// All that jobs are made with.
pub(super) fn facets() -> Arc<FacetPolicy> {
    Arc::new(FacetPolicy { by_owner: true, by_labels: vec!["kind".to_owned()] })
}
