//! The rules that a batch is decided on: read, kept from others where others were faster; where they are kept for too
//! long, what does not go by them is decided without them.

use crate::domain::Job;
use crate::store::{self, Claims, Round, Rule, RuleKey};

use super::super::registry::Rulebook;
use super::rule_desk::{self, RuleDesk};
use super::waiting::Waiting;
use super::work::Work;
use super::writer::{Tried, Writer};

impl Writer {
    /// Keeps these rules from others until the commit, if others were faster the last time: rounds that start
    /// jobs under a busy quota follow each other without a gap, and one that only looks would never win.
    pub(super) async fn hold(
        &mut self,
        keys: &[RuleKey],
    ) -> Result<Option<Box<dyn Round>>, store::Error> {
        if keys.is_empty() || !std::mem::take(&mut self.outrun) {
            return Ok(None);
        }
        let claims = Claims { keys: keys.iter().cloned().collect(), ..Claims::default() };
        self.parts.store.begin_round(&claims).await.map(Some)
    }

    /// Has what goes by rules decided again, with what must not overtake it; answers the rest.
    pub(super) fn set_aside(
        &mut self,
        work: Vec<Work>,
        times: &[usize],
        (read, cached): (&[Job], &[Job]),
        (keys, book): (&[RuleKey], &Rulebook),
    ) -> Vec<Tried> {
        let held = rule_desk::held_up(&work, read.iter().chain(cached), keys, book);
        let mut rest = Vec::new();
        for ((work, times), held) in work.into_iter().zip(times).zip(held) {
            if held {
                self.repeat(work, *times);
            } else {
                rest.push(Tried { work, times: *times });
            }
        }
        rest
    }

    /// These rules as they stand now, unless they were `found` already, and what waits where that is bounded,
    /// if that is asked for.
    pub(super) async fn around(
        &mut self,
        book: &Rulebook,
        keys: &[RuleKey],
        found: Option<Vec<Rule>>,
        asks_for_room: bool,
    ) -> Result<(RuleDesk, Option<Waiting>), store::Error> {
        let store = self.parts.store.as_ref();
        let mut rules = RuleDesk::default();
        if let Some(found) = found {
            rules = RuleDesk::of(keys, &found, book);
        } else if !keys.is_empty() {
            rules = RuleDesk::of(keys, &store.rules_by_key(keys).await?, book);
        }
        let mut waiting = None;
        if asks_for_room {
            waiting = Some(Waiting::read(store, book, self.parts.max_pending).await?);
        }
        Ok((rules, waiting))
    }
}
