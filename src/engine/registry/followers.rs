//! Who goes by rules: told at once where it becomes known how rules stand, whoever waits for that or does not.

use std::sync::Arc;

use crate::engine::dispatch::{Line, Waiters};
use crate::engine::pipeline::After;
use crate::engine::schedule::Agenda;
use crate::engine::session::Sessions;
use crate::runtime::Clock;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::{KNOWN, Registry, Rulebook};

/// See the module.
pub struct Followers {
    registry: Arc<Registry>,
    agenda: Arc<Agenda>,
    line: Line,
    sessions: Arc<Sessions>,
    waiters: Arc<Waiters>,
    clock: Clock,
}

impl Followers {
    /// These, with those who follow a commit.
    pub(in crate::engine) fn new(
        registry: &Arc<Registry>,
        agenda: &Arc<Agenda>,
        waiters: &Arc<Waiters>,
        after: &After,
    ) -> Self {
        Self {
            registry: Arc::clone(registry),
            agenda: Arc::clone(agenda),
            line: after.line.clone(),
            sessions: Arc::clone(&after.sessions),
            waiters: Arc::clone(waiters),
            clock: after.clock.clone(),
        }
    }

    /// Takes up what a commit of this server wrote, which began when `before` was known.
    pub(in crate::engine) fn wrote(&self, writes: &[RuleWrite], before: &Rulebook) {
        let (mut keys, mut rules, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for RuleWrite { key, expected_revision, body } in writes {
            if !KNOWN.contains(&key.kind) && key.kind != RuleKind::Schedule {
                continue;
            }
            keys.push(key.clone());
            if *expected_revision == 0 {
                made.push(key.clone());
            }
            if let Some(body) = body.clone() {
                rules.push(Rule { key: key.clone(), revision: expected_revision + 1, body });
            }
        }
        if !keys.is_empty() {
            self.registry.heed_made(&keys, &rules, &made, before);
            self.tell(&keys, &rules);
        }
    }

    /// Takes up how rules stand that somebody changed, by rows read after it since `before` was known. `false` if some
    /// became known otherwise meanwhile: then they are to be read again.
    pub(in crate::engine) fn found(
        &self,
        keys: &[RuleKey],
        found: &[Rule],
        before: &Rulebook,
    ) -> bool {
        let is_settled = self.registry.heed_anew(keys, found, before);
        self.tell(keys, found);
        is_settled
    }

    /// Takes up rows that were read for something else since rules had gone `losses` times. `false` if what was
    /// read may be of rules that went meanwhile: then it is to be read again.
    pub(in crate::engine) fn looked(&self, losses: u64, keys: &[RuleKey], found: &[Rule]) -> bool {
        let is_news = self.registry.look(losses, found);
        if is_news {
            self.tell(keys, found);
        }
        is_news
    }

    fn tell(&self, keys: &[RuleKey], found: &[Rule]) {
        self.line.reopen();
        if keys.iter().any(|key| key.kind == RuleKind::Drain) {
            self.tell_drains();
        }
        self.agenda.heed(&self.registry.book(), keys, found);
    }

    /// Tells the workers that are attached here of the drains that they do not know of.
    pub(in crate::engine) fn tell_drains(&self) {
        let (book, now) = (self.registry.book(), self.clock.now());
        if book.drains.is_empty() {
            return;
        }
        self.sessions.drain_those_told(&book, now);
        self.waiters.dismiss(|process| book.drain_of(process, now).is_some());
    }
}
