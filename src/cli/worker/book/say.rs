//! What is to be said next, and when.

use std::ops::Bound;
use std::time::Duration;

use tokio::time::Instant;

use super::{Book, Said, Sent};
use crate::cli::worker::Lease;
use crate::cli::worker::entry::End;
use crate::domain::limits::LOG_ENTRY_BYTES_MAX;
use crate::proto::v1::report_progress_request::update::Report;
use crate::proto::v1::report_progress_request::{Capacity, Goodbye, Heartbeat, Kind, Update};
use crate::proto::v1::{LogBatch, Progress, QuotaUse, ReportProgressRequest};

/// Lines wait this long for others to travel with them: nobody sees it, and a chatty job needs few commits.
const LINGER: Duration = Duration::from_millis(50);
/// No line weighs more.
const LINE_WEIGHT_MAX: usize = 2 * LOG_ENTRY_BYTES_MAX;

/// What is to be done next.
pub(in crate::cli::worker) enum Next {
    /// Say this now.
    Say(Box<ReportProgressRequest>),
    /// Nothing before this moment, or before something happens.
    Wait(Option<Instant>),
}

/// The first of several moments.
#[derive(Default)]
struct Soonest(Option<Instant>);

impl Soonest {
    /// Whether the moment is here; if not it is remembered.
    fn is_due(&mut self, at: Instant, now: Instant) -> bool {
        if at > now {
            self.0 = Some(self.0.map_or(at, |soonest| soonest.min(at)));
        }
        at <= now
    }
}

impl Book {
    /// What is to be said now.
    pub(in crate::cli::worker) fn next(&mut self, now: Instant) -> Next {
        let mut soonest = Soonest::default();
        match self.choose(now, &mut soonest) {
            Some(kind) => Next::Say(Box::new(self.message(Some(kind)))),
            None if self.confirm_due => Next::Say(Box::new(self.message(None))),
            None => Next::Wait(soonest.0),
        }
    }

    fn message(&mut self, kind: Option<Kind>) -> ReportProgressRequest {
        self.confirm_due = false;
        ReportProgressRequest { received_through: self.received, kind }
    }

    fn choose(&mut self, now: Instant, soonest: &mut Soonest) -> Option<Kind> {
        if std::mem::take(&mut self.capacity_due) {
            let slots = i32::try_from(self.capacity).unwrap_or(i32::MAX);
            return Some(Kind::Capacity(Capacity { slots }));
        }
        // A sign of life goes at its time, however much else there is to say: it tells how busy the machine is.
        let heartbeat = self.heartbeat.map_or(now, |last| last + self.heartbeat_interval);
        if soonest.is_due(heartbeat, now) && !self.goodbye {
            self.heartbeat = Some(now);
            return Some(Kind::Heartbeat(Heartbeat { host_usage: self.host }));
        }
        if self.leaving {
            return self.goodbye();
        }
        if let Some(first) = self.again.front() {
            let fits = matches!(first.said, Said::Outcome(_)) || self.fits(first.said.weight());
            let sent = self.again.pop_front_if(|_| fits)?;
            let newest = self.jobs.get(&sent.lease).and_then(|entry| entry.progress.clone());
            return Some(self.send(sent, newest));
        }
        let update = self.outcome(now, soonest).or_else(|| self.tick(now, soonest));
        let update = update.or_else(|| self.quota(now, soonest));
        if let Some(update) = update.or_else(|| self.lines(now, soonest)) {
            return Some(update);
        }
        if self.closing && self.is_settled() { self.goodbye() } else { None }
    }

    fn goodbye(&mut self) -> Option<Kind> {
        let said = std::mem::replace(&mut self.goodbye, true);
        (!said).then_some(Kind::Goodbye(Goodbye {}))
    }

    /// Whether a durable update of this weight may be under way with the others.
    fn fits(&self, weight: usize) -> bool {
        let bytes = self.sent.is_empty() || self.sent_weight + weight <= self.policy.unacked_bytes;
        bytes && self.sent.len() < self.policy.unacked_updates.max(1)
    }

    fn number(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    /// Says a durable update, and remembers it.
    fn send(&mut self, sent: Sent, newest: Option<Progress>) -> Kind {
        let report = match &sent.said {
            Said::Lines(lines) => Report::Logs(LogBatch { entries: lines.clone() }),
            Said::Used(name, units) => {
                Report::QuotaUse(QuotaUse { name: name.clone(), units: *units })
            }
            Said::Outcome(outcome) => outcome.report(newest),
        };
        let kind = update(sent.seq, &sent.lease, report);
        self.sent_weight += sent.said.weight();
        self.sent.push_back(sent);
        kind
    }

    /// The outcome of a job about which nothing else is left to say.
    fn outcome(&mut self, now: Instant, soonest: &mut Soonest) -> Option<Kind> {
        let spool = &self.spool;
        let (lease, entry) = self.jobs.iter_mut().find(|(lease, entry)| match &entry.end {
            End::ToSay(_, after) => {
                let heard = entry.batches == 0 && spool.is_empty(lease) && !entry.has_use();
                let ready = heard && !entry.has_tick();
                ready && after.is_none_or(|after| soonest.is_due(after, now))
            }
            End::Open | End::Said(_) => false,
        })?;
        let seq = self.seq + 1;
        let End::ToSay(outcome, _) = std::mem::replace(&mut entry.end, End::Said(seq)) else {
            return None;
        };
        let lease = lease.clone();
        let seq = self.number();
        Some(self.send(Sent { seq, lease, said: Said::Outcome(outcome) }, None))
    }

    /// How far a job is, or what it uses: no more often than the server asks for, and at its end at once.
    fn tick(&mut self, now: Instant, soonest: &mut Soonest) -> Option<Kind> {
        let interval = self.policy.report_interval;
        let (lease, entry) = self.jobs.iter_mut().find(|(_, entry)| {
            let last = entry.ticked.filter(|_| entry.is_open());
            let said = matches!(entry.end, End::Said(_));
            let due = entry.has_tick() && !said;
            due && last.is_none_or(|last| soonest.is_due(last + interval, now))
        })?;
        self.seq += 1;
        let report = if std::mem::take(&mut entry.progress_due) {
            entry.tick_seqs[0] = self.seq;
            Report::Progress(entry.progress.clone().unwrap_or_default())
        } else {
            entry.usage_due = false;
            entry.tick_seqs[1] = self.seq;
            Report::ResourceUsage(entry.usage.unwrap_or_default())
        };
        // Progress and usage go together: the second one right behind the first.
        if !entry.usage_due {
            entry.ticked = Some(now);
        }
        Some(update(self.seq, lease, report))
    }

    /// What a job used of a quota: as often as how far it is, for each word is a write of the server.
    fn quota(&mut self, now: Instant, soonest: &mut Soonest) -> Option<Kind> {
        if !self.fits(0) {
            return None;
        }
        let interval = self.policy.report_interval;
        let (lease, name, used) = self.jobs.iter_mut().find_map(|(lease, entry)| {
            let paced = entry.is_open();
            let (name, used) = entry.quota_use.iter_mut().find(|(_, used)| {
                let pace = used.said.filter(|_| paced).map(|said| said + interval);
                let may = |at| soonest.is_due(at, now);
                used.due && !used.under_way && pace.max(used.after).is_none_or(may)
            })?;
            Some((lease, name, used))
        })?;
        (used.due, used.under_way, used.said, used.after) = (false, true, Some(now), None);
        let (lease, said) = (lease.clone(), Said::Used(name.clone(), used.units));
        let seq = self.number();
        Some(self.send(Sent { seq, lease, said }, None))
    }

    /// Lines of the job whose turn it is.
    fn lines(&mut self, now: Instant, soonest: &mut Soonest) -> Option<Kind> {
        if !self.fits(0) {
            return None;
        }
        let spool = &self.spool;
        let last = self.turn.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.jobs.range((last, Bound::Unbounded));
        let before = self.turn.as_ref().map(|turn| self.jobs.range(..=turn));
        let (lease, _) = after.chain(before.into_iter().flatten()).find(|(lease, entry)| {
            let lingers = entry.lines_since.filter(|_| entry.is_open());
            let due = lingers.is_none_or(|since| soonest.is_due(since + LINGER, now));
            let free = entry.lines_after.is_none_or(|after| soonest.is_due(after, now));
            due && free && !spool.is_empty(lease)
        })?;
        let lease = lease.clone();
        // A single line goes whatever its weight: the server takes it when nothing else is under way.
        let most = self.policy.unacked_bytes.max(LINE_WEIGHT_MAX);
        let room = most.saturating_sub(self.sent_weight);
        // Not a line at a time: for the rest of the room the server's answer is awaited.
        if room < LINE_WEIGHT_MAX.min(most) {
            return None;
        }
        let lines = self.spool.take(&lease, room);
        let rest = !self.spool.is_empty(&lease);
        if let Some(entry) = self.jobs.get_mut(&lease) {
            entry.lines_since = entry.lines_since.filter(|_| rest);
            entry.lines_after = None;
            entry.batches += 1;
        }
        self.turn = Some(lease.clone());
        let seq = self.number();
        Some(self.send(Sent { seq, lease, said: Said::Lines(lines) }, None))
    }
}

fn update(seq: i64, lease: &Lease, report: Report) -> Kind {
    let Lease { job_id, epoch } = lease.clone();
    Kind::Update(Box::new(Update { seq, job_id, lease_epoch: epoch, report: Some(report) }))
}
