//! A job while a batch is decided.

use crate::domain::Job;
use crate::domain::audit::AuditEvent;
use crate::domain::event::{Event, Wanted, of_change};
use crate::domain::machine::{self, Effect};
use crate::domain::stats::Changes;
use crate::domain::status::Attempt;
use crate::store::{Counted, JobWrite, KeyChange, holds_key};

use super::rule_desk::RuleDesk;

/// Breakers and quotas, and which events are told that are not worth a row unless somebody asks for them.
pub(super) type Rules<'a> = (&'a mut RuleDesk, Wanted);

/// A job within a batch: as it was read, and as it stands after the work so far.
pub(super) struct Desk {
    pub(super) base: Job,
    pub(super) from_cache: bool,
    pub(super) job: Job,
    pub(super) effects: Vec<Effect>,
    superseded: Vec<Attempt>,
    changes: Changes,
    pub(super) events: Vec<Event>,
    pub(super) audit: Vec<AuditEvent>,
    pub(super) deleted: bool,
}

impl Desk {
    pub(super) fn new(job: Job, from_cache: bool) -> Self {
        Self {
            base: job.clone(),
            from_cache,
            job,
            effects: Vec::new(),
            superseded: Vec::new(),
            changes: Changes::default(),
            events: Vec::new(),
            audit: Vec::new(),
            deleted: false,
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.job.status.revision != self.base.status.revision
    }
}

impl Desk {
    /// Makes a change that was decided.
    pub(super) fn take(&mut self, transition: machine::Transition, (rules, wanted): Rules<'_>) {
        rules.note(&self.job, &transition.status);
        self.changes.record(Some(&self.job.status), &transition.status);
        let before = std::mem::replace(&mut self.job.status, transition.status);
        self.events.extend(of_change(Some(&before), &self.job, &transition.effects, wanted));
        self.effects.extend(transition.effects);
        self.superseded.extend(transition.superseded);
    }
}

/// The write of a job that changed.
pub(super) fn write_of(desk: &mut Desk) -> JobWrite {
    let (base, job) = (&desk.base.status, &desk.job.status);
    let keyed = !desk.job.spec.unique_key.is_empty();
    let key = match (holds_key(&base.state), holds_key(&job.state)) {
        (true, false) if keyed => KeyChange::Release,
        (false, true) if keyed => KeyChange::Take,
        _ => KeyChange::None,
    };
    JobWrite {
        expected_revision: base.revision,
        expected_epoch: base.lease_epoch,
        quiet_since: desk.effects.iter().filter_map(Effect::quiet_since).min(),
        before: Counted::of(base),
        job: desk.job.clone(),
        superseded: std::mem::take(&mut desk.superseded),
        key,
        changes: std::mem::take(&mut desk.changes),
    }
}
