//! What is set up: declared types, queues, quotas, and how breakers stand.
//!
//! Owns: what this server knows of them ([`Rulebook`]), kept up by its own commits and by the change log.
//! Does not own: what they mean (`domain`); when schedules fire (`schedule`).
//! Entry: [`Registry::book`]; [`Followers`], through which it becomes known how rules stand.
//! Invariant: the rows are the authority. What is known here decides what a new job looks like; whatever
//! refuses somebody, and whatever is written, goes by rows read for it, guarded by their revision. A row that
//! was read before it changed may come in after what it became: it is not taken up. One that cannot be read is told
//! of, and keeps nothing else from being known.

mod book;
mod followers;
mod unread;

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::JobType;
use crate::domain::circuit::CircuitState;
use crate::domain::limits::GUARD_REPEATS_MAX;
use crate::store::{self, Rule, RuleKey, RuleKind};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::{RuleChange, RulesChanged, Work};

pub use crate::domain::schedule::Cursor;
pub use book::{DEFAULTS, Declared, Definition, Known, Rulebook, smaller_bound};
pub(super) use followers::Followers;
pub(super) use unread::{readable, tell_unread};

/// The kinds of rules that every server knows by heart.
const KNOWN: [RuleKind; 5] =
    [RuleKind::Type, RuleKind::Queue, RuleKind::Quota, RuleKind::Circuit, RuleKind::Drain];

/// What this server knows of what is set up.
#[derive(Default)]
pub struct Registry(RwLock<Held>);

#[derive(Default)]
struct Held {
    book: Arc<Rulebook>,
    /// How often rules went: a row that was read before that may be of one of them.
    losses: u64,
}

impl Registry {
    /// Everything, as it is known now.
    #[must_use]
    pub fn book(&self) -> Arc<Rulebook> {
        Arc::clone(&self.0.read().book)
    }

    /// A declared type.
    #[must_use]
    pub fn definition(&self, job_type: &JobType) -> Option<Arc<Definition>> {
        self.0.read().book.types.get(job_type).cloned()
    }

    /// Takes up how a commit of this server left these rules: those of them that were not `found` are gone.
    fn heed(&self, keys: &[RuleKey], found: &[Rule]) {
        let mut held = self.0.write();
        held.lose(keys, found);
        held.take(found);
    }

    /// The same of a commit that was asked for when `before` was known, and that made some of these rules.
    fn heed_made(&self, keys: &[RuleKey], found: &[Rule], made: &[RuleKey], before: &Rulebook) {
        let mut held = self.0.write();
        // What was known of them then, and still is, is of others that went.
        let is_old = |key: &&RuleKey| {
            let known = held.book.revision(key);
            known.is_some() && known == before.revision(key)
        };
        let old: Vec<RuleKey> = made.iter().filter(is_old).cloned().collect();
        held.lose(&old, &[]);
        held.lose(keys, found);
        held.take(found);
    }

    /// Takes up how these rules stood in a read that began when `before` was known: they may have begun anew, from
    /// an older revision on. `false` if some of them became known otherwise meanwhile: these are not settled by
    /// what was read.
    fn heed_anew(&self, keys: &[RuleKey], found: &[Rule], before: &Rulebook) -> bool {
        let mut held = self.0.write();
        let is_moved = |key: &RuleKey| held.book.revision(key) != before.revision(key);
        let (moved, settled): (Vec<_>, Vec<_>) = keys.iter().cloned().partition(is_moved);
        held.lose(&settled, found);
        held.take_each(found, |book, rule| {
            if moved.contains(&rule.key) { book.take(rule) } else { book.take_anew(rule) }
        });
        moved.is_empty()
    }

    /// How often rules went so far: asked for before a read that [`look`](Self::look) is told of.
    pub(super) fn losses(&self) -> u64 {
        self.0.read().losses
    }

    /// Takes up rows that somebody read for something else, as far as they are news. What was not there is no
    /// news, for it may have come meanwhile, and neither is anything if rules went since the read began: then the
    /// answer is `false`.
    pub(super) fn look(&self, losses: u64, found: &[Rule]) -> bool {
        let mut held = self.0.write();
        let is_news = held.losses == losses;
        if is_news {
            held.take(found);
        }
        is_news
    }

    /// Takes up how a commit left these rules whose answer was lost, by rows read after it.
    pub(super) fn note(&self, keys: &[RuleKey], found: &[Rule]) {
        self.heed(keys, found);
    }

    /// Takes up how breakers stand by commits of this server, which may be heard of in another order
    /// than they happened.
    pub(super) fn heed_circuits<'a>(
        &self,
        changed: impl Iterator<Item = (&'a JobType, &'a CircuitState)>,
    ) {
        let mut changed = changed.peekable();
        if changed.peek().is_none() {
            return;
        }
        let mut held = self.0.write();
        let book = Arc::make_mut(&mut held.book);
        for (job_type, state) in changed {
            let known = book.circuits.get(job_type).map_or(0, |known| known.revision);
            if known < state.revision {
                book.circuits.insert(job_type.clone(), state.clone());
            }
        }
    }

    /// Knows what all rows say that were read since `before` was known, and answers it. What became known meanwhile
    /// may be newer, and stays.
    fn replace(&self, rules: &[Rule], before: &Rulebook) -> Arc<Rulebook> {
        let mut held = self.0.write();
        let mut book = Rulebook::of_all(rules, &held.book);
        book.keep_news(&held.book, before);
        held.book = Arc::new(book);
        held.losses += 1;
        Arc::clone(&held.book)
    }
}

impl Held {
    /// Forgets those rules that were not found.
    fn lose(&mut self, keys: &[RuleKey], found: &[Rule]) {
        let there: BTreeSet<&RuleKey> = found.iter().map(|rule| &rule.key).collect();
        let mut gone = keys.iter().filter(|key| !there.contains(key)).peekable();
        self.losses += u64::from(gone.peek().is_some());
        for key in gone {
            Arc::make_mut(&mut self.book).drop(key);
        }
    }

    fn take(&mut self, found: &[Rule]) {
        self.take_each(found, Rulebook::take);
    }

    /// One that cannot be read leaves what is known of it, and keeps no other from being known.
    fn take_each(
        &mut self,
        found: &[Rule],
        take: impl Fn(&mut Rulebook, &Rule) -> store::Result<()>,
    ) {
        for rule in found {
            if let Err(error) = take(Arc::make_mut(&mut self.book), rule) {
                tell_unread(&rule.key, &error);
            }
        }
    }
}

impl Engine {
    /// Reads everything that is set up: at the start, and when the change log does not tell what changed.
    pub async fn load_rules(&self) -> Result<()> {
        let mut kinds = KNOWN.to_vec();
        kinds.push(RuleKind::Schedule);
        let before = self.registry.book();
        let rules = self.loop_db.read(|store| async move { store.rules(&kinds).await }).await?;
        let book = self.registry.replace(&rules, &before);
        self.agenda.plan_all(&book, &rules);
        self.line.reopen();
        self.followers.tell_drains();
        Ok(())
    }

    /// Everything that is set up as it stands now, for an answer: on a store of many servers it is read.
    pub(super) async fn current_rules(&self) -> Result<Arc<Rulebook>> {
        if !self.shared {
            return Ok(self.registry.book());
        }
        let losses = self.registry.losses();
        let rules = self.db.read(|store| async move { store.rules(&KNOWN).await }).await?;
        // What a caller was shown, starts go by from then on.
        self.registry.look(losses, &rules);
        Ok(Arc::new(Rulebook::of_all(&rules, &self.registry.book())))
    }

    /// Takes up rules that another server changed, as the change log names them.
    pub async fn heed_rules(&self, changed: &[RuleKey]) -> Result<()> {
        let mut keys: BTreeSet<RuleKey> =
            changed.iter().filter(|key| KNOWN.contains(&key.kind)).cloned().collect();
        for key in changed {
            // When a schedule fires next hangs on both.
            if matches!(key.kind, RuleKind::Type | RuleKind::Schedule) {
                keys.insert(RuleKey::new(RuleKind::Type, &key.name));
                keys.insert(RuleKey::new(RuleKind::Schedule, &key.name));
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<RuleKey> = keys.into_iter().collect();
        for _ in 0..=GUARD_REPEATS_MAX {
            let before = self.registry.book();
            let found = self.fresh_rules(keys.clone()).await?;
            if self.followers.found(&keys, &found, &before) {
                break;
            }
        }
        Ok(())
    }

    /// These rules as they stand now.
    pub(super) async fn fresh_rules(&self, keys: Vec<RuleKey>) -> Result<Vec<Rule>> {
        self.db.read(|store| async move { store.rules_by_key(&keys).await }).await
    }

    /// The same; what they say is known from now on.
    pub(super) async fn seen_rules(&self, keys: Vec<RuleKey>) -> Result<Vec<Rule>> {
        let losses = self.registry.losses();
        let found = self.fresh_rules(keys).await?;
        self.registry.look(losses, &found);
        Ok(found)
    }

    /// Decides on rules as they stand now and writes what was decided; again if one of them changed
    /// meanwhile. `decide` answers the change, if there is one, and what it comes to.
    pub(super) async fn change_rules<C: Into<RuleChange> + Send, T: Send>(
        &self,
        keys: Vec<RuleKey>,
        decide: impl Fn(&[Rule]) -> Result<(C, T)> + Send + Sync,
    ) -> Result<T> {
        for _ in 0..=GUARD_REPEATS_MAX {
            let losses = self.registry.losses();
            let found = self.fresh_rules(keys.clone()).await?;
            let (change, outcome) = decide(&found)?;
            let change: RuleChange = change.into();
            if change.writes.is_empty() {
                // It may stand so by a commit that was not heard of here.
                if self.followers.looked(losses, &keys, &found) {
                    return Ok(outcome);
                }
                continue;
            }
            match self.write_rules(change).await? {
                RulesChanged::Done { .. } => return Ok(outcome),
                RulesChanged::Missed => {}
            }
        }
        Err(Error::Overloaded)
    }

    /// Writes rules with what hangs on them. Once that is durable it is in force here, whether or not anybody
    /// waits for the answer.
    pub(super) async fn write_rules(&self, change: RuleChange) -> Result<RulesChanged> {
        self.pipeline.ask(|reply| Work::Rules { change: Box::new(change), reply }).await
    }
}

#[cfg(test)]
mod tests;
