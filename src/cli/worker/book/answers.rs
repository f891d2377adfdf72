//! What the server says, and what follows from it.

use std::time::Duration;

use prost::Message as _;
use tokio::time::Instant;

use super::{Book, Policy, Said, Sent};
use crate::cli::client::Refusal;
use crate::cli::format;
use crate::cli::worker::entry::{End, Entry, Outcome};
use crate::cli::worker::{Event, Lease};
use crate::domain::limits::{UNACKED_BYTES_MAX, UNACKED_UPDATES_MAX};
use crate::proto::v1::report_progress_response::{
    CancelRequest as StopRequest, ReportPolicy, Revoke, Welcome,
};
use crate::proto::v1::{Assignment, CancelCause, Job};

/// The least pace that is believed: a server that asks for less is not well.
const REPORT_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// The pause before a refused report is said again, if the server gives none.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Book {
    /// A message came.
    pub(in crate::cli::worker) fn heard(&mut self, sequence: i64) {
        self.received = sequence;
    }

    /// The session is open.
    pub(in crate::cli::worker) fn welcome(&mut self, welcome: Welcome) -> Vec<Event> {
        let interval = welcome.heartbeat_interval.as_ref().map(format::duration);
        if let Some(interval) = interval.filter(|interval| !interval.is_zero()) {
            self.heartbeat_interval = interval;
        }
        self.policy(&ReportPolicy {
            report_interval: welcome.report_interval,
            max_unacked_bytes: welcome.max_unacked_bytes,
            max_unacked_updates: welcome.max_unacked_updates,
        });
        self.attached = true;
        let mut events = Vec::new();
        for adopted in welcome.adopted {
            let lease = Lease { job_id: adopted.job_id, epoch: adopted.lease_epoch };
            events.extend(adopted.cancel_request.and_then(|request| {
                let (cause, reason) = (request.cause(), request.reason);
                self.stop(lease, cause, reason, request.grace.as_ref())
            }));
        }
        events.extend(welcome.revoked.into_iter().filter_map(|revoke| self.revoke(revoke)));
        events
    }

    /// How often and how much to report from now on.
    pub(in crate::cli::worker) fn policy(&mut self, policy: &ReportPolicy) {
        let before = self.policy;
        let interval = policy.report_interval.as_ref().map(format::duration);
        let bytes = usize::try_from(policy.max_unacked_bytes).unwrap_or(0);
        let updates = usize::try_from(policy.max_unacked_updates).unwrap_or(0);
        self.policy = Policy {
            report_interval: interval
                .map_or(before.report_interval, |i| i.max(REPORT_INTERVAL_MIN)),
            unacked_bytes: if bytes == 0 { UNACKED_BYTES_MAX } else { bytes },
            unacked_updates: if updates == 0 { UNACKED_UPDATES_MAX } else { updates },
        };
    }

    /// A job is handed out.
    ///
    /// # Errors
    ///
    /// A job that cannot be read.
    pub(in crate::cli::worker) fn assigned(
        &mut self,
        assignment: Assignment,
    ) -> Result<Vec<Event>, prost::DecodeError> {
        let job = Job::decode(assignment.job.unwrap_or_default())?;
        let lease = Lease { job_id: job.id.clone(), epoch: assignment.lease_epoch };
        // Confirmed at once: what is not confirmed in time is taken back.
        self.confirm_due = true;
        if self.jobs.contains_key(&lease) {
            return Ok(Vec::new());
        }
        let older: Vec<_> = self.jobs.keys().filter(|of| of.job_id == job.id).cloned().collect();
        let reason = "it was handed out again";
        let mut events: Vec<_> =
            older.into_iter().filter_map(|lease| self.lose(lease, reason)).collect();
        self.jobs.insert(lease.clone(), Entry::default());
        events.push(Event::Assigned { lease, job: Box::new(job) });
        Ok(events)
    }

    /// A job is to stop.
    pub(in crate::cli::worker) fn asked_to_stop(&mut self, request: StopRequest) -> Option<Event> {
        let cause = request.cause();
        let lease = Lease { job_id: request.job_id, epoch: request.lease_epoch };
        self.stop(lease, cause, request.reason, request.grace.as_ref())
    }

    fn stop(
        &mut self,
        lease: Lease,
        cause: CancelCause,
        reason: String,
        grace: Option<&prost_types::Duration>,
    ) -> Option<Event> {
        self.open(&lease)?;
        let grace = grace.map(format::duration).unwrap_or_default();
        Some(Event::Cancel { lease, cause, reason, grace })
    }

    /// A job is lost.
    pub(in crate::cli::worker) fn revoke(&mut self, revoke: Revoke) -> Option<Event> {
        self.lose(Lease { job_id: revoke.job_id, epoch: revoke.lease_epoch }, &revoke.reason)
    }

    /// The lease of a job is not in force. Its outcome, if there is one, is said all the same: the server knows
    /// whether it has it.
    fn lose(&mut self, lease: Lease, reason: &str) -> Option<Event> {
        let open = self.jobs.get(&lease)?.is_open();
        self.spool.remove(&lease);
        self.again.retain(|sent| sent.lease != lease || matches!(sent.said, Said::Outcome(_)));
        let batches = self.sent.iter().filter(|sent| sent.lease == lease && sent.said.lines() > 0);
        let batches = batches.count();
        if let Some(entry) = self.jobs.get_mut(&lease) {
            entry.batches = batches;
            entry.quota_use.clear();
        }
        if !open {
            return None;
        }
        self.jobs.remove(&lease);
        Some(Event::Revoked { lease, reason: reason.to_owned() })
    }

    /// Everything up to here is applied or was rejected.
    pub(in crate::cli::worker) fn acked(&mut self, through: i64) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.seq <= through) {
            self.stalled = false;
            let lease = self.answered(&sent);
            if let Said::Outcome(_) = sent.said {
                self.jobs.remove(&lease);
                events.push(Event::Settled { lease, answer: Ok(()) });
            }
        }
        events
    }

    /// An update is not under way any more.
    fn answered(&mut self, sent: &Sent) -> Lease {
        self.sent_weight -= sent.said.weight();
        if let Some(entry) = self.jobs.get_mut(&sent.lease) {
            match &sent.said {
                Said::Lines(_) => entry.batches = entry.batches.saturating_sub(1),
                Said::Used(name, _) => {
                    if let Some(used) = entry.quota_use.get_mut(name) {
                        used.under_way = false;
                    }
                }
                Said::Outcome(_) => {}
            }
        }
        sent.lease.clone()
    }

    /// An update was refused.
    pub(in crate::cli::worker) fn rejected(
        &mut self,
        seq: i64,
        refusal: Refusal,
        now: Instant,
    ) -> Option<Event> {
        let Ok(at) = self.sent.binary_search_by_key(&seq, |sent| sent.seq) else {
            return self.tick_rejected(seq, refusal);
        };
        let sent = self.sent.remove(at)?;
        let lease = self.answered(&sent);
        let again = refusal.retry_after.or(refusal.passing.then_some(RETRY_PAUSE));
        match (sent.said, again) {
            (Said::Lines(lines), Some(pause)) => {
                let entry = self.jobs.get_mut(&lease)?;
                entry.lines_after = Some(now + pause);
                self.spool.put_back(&lease, lines);
                None
            }
            (Said::Used(name, _), Some(pause)) => {
                // What was said of it meanwhile counts.
                let used = self.jobs.get_mut(&lease)?.quota_use.get_mut(&name)?;
                (used.due, used.after) = (true, Some(now + pause));
                None
            }
            (Said::Lines(_) | Said::Used(..), None) if refusal.is_of_lease() => {
                self.lose(lease, refusal.cause())
            }
            (Said::Used(name, _), None) => {
                let used = self.jobs.get_mut(&lease)?.quota_use.get_mut(&name)?;
                let is_new = !std::mem::replace(&mut used.told, true);
                is_new.then(|| rejection(lease, "quota use", refusal))
            }
            (Said::Lines(lines), None) => {
                self.spool.refused(lines.len() as u64);
                Some(rejection(lease, "log lines", refusal))
            }
            (Said::Outcome(outcome), Some(pause)) => {
                self.jobs.get_mut(&lease)?.end = End::ToSay(outcome, Some(now + pause));
                None
            }
            (Said::Outcome(outcome), None) => self.outcome_refused(lease, outcome, refusal),
        }
    }

    /// The server will not have this outcome. The job must end: if it is still ours, it fails with the reason.
    fn outcome_refused(
        &mut self,
        lease: Lease,
        outcome: Outcome,
        refusal: Refusal,
    ) -> Option<Event> {
        let entry = self.jobs.get_mut(&lease)?;
        if refusal.is_of_lease() || entry.replaced {
            self.jobs.remove(&lease);
            return Some(Event::Settled { lease, answer: Err(Box::new(refusal)) });
        }
        if entry.progress.take().is_some() {
            // Its progress may be what is wrong.
            entry.end = End::ToSay(outcome, None);
            return None;
        }
        entry.replaced = true;
        entry.end = End::ToSay(Outcome::refused(&refusal.said()), None);
        Some(rejection(lease, "outcome", refusal))
    }

    fn tick_rejected(&mut self, seq: i64, refusal: Refusal) -> Option<Event> {
        let its = |entry: &Entry| entry.tick_seqs.iter().position(|tick| *tick == seq);
        let mut jobs = self.jobs.iter_mut();
        let (lease, entry, which) =
            jobs.find_map(|(lease, entry)| its(entry).map(|which| (lease, entry, which)))?;
        let lease = lease.clone();
        if refusal.is_of_lease() {
            return self.lose(lease, refusal.cause());
        }
        // Not to be said with the outcome, nor on the next stream.
        let what = if which == 0 {
            entry.progress.take_if(|_| !entry.progress_due);
            "progress"
        } else {
            entry.usage.take_if(|_| !entry.usage_due);
            "resource usage"
        };
        Some(rejection(lease, what, refusal))
    }
}

fn rejection(lease: Lease, what: &'static str, refusal: Refusal) -> Event {
    Event::Rejected { lease, what, refusal: Box::new(refusal) }
}
