//! When which type has to be looked at next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::{JobType, Timestamp};
use crate::engine::registry::{Cursor, Definition, Rulebook};
use crate::store::{Rule, RuleKey, RuleKind};

/// A run that is expected elsewhere is missed once its grace is over, not at that very moment.
const GRACE_OVER: Duration = Duration::from_micros(1);

#[derive(Default)]
struct State {
    order: BTreeSet<(Timestamp, JobType)>,
    of: HashMap<JobType, Timestamp>,
    /// How often rows were heeded.
    heeded: u64,
}

/// See the module.
#[derive(Default)]
pub struct Agenda {
    state: Mutex<State>,
    changed: Arc<Notify>,
}

impl Agenda {
    /// Told whenever something comes up earlier than was known.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Types whose time has come, at most `limit`.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<JobType> {
        let state = self.state.lock();
        let due = state.order.iter().take_while(|(at, _)| *at <= now).take(limit);
        due.map(|(_, job_type)| job_type.clone()).collect()
    }

    /// When the next type's time comes.
    pub fn next(&self) -> Option<Timestamp> {
        self.state.lock().order.first().map(|(at, _)| *at)
    }

    /// How often rows were heeded so far: what is read after this is as new as that.
    pub fn heeded(&self) -> u64 {
        self.state.lock().heeded
    }

    /// Plans a type anew of which nothing was to be done, unless rows were heeded since `heeded`: then
    /// what was read may be old, and the type is looked at again.
    pub fn settled(
        &self,
        job_type: &JobType,
        definition: Option<&Definition>,
        cursor: Cursor,
        heeded: u64,
    ) {
        let mut state = self.state.lock();
        if state.heeded == heeded {
            state.put(job_type, definition.and_then(|definition| look_at(definition, cursor)));
        }
    }

    /// Plans every type anew, by these rows.
    pub fn plan_all(&self, book: &Rulebook, rules: &[Rule]) {
        let cursors = cursors(rules);
        let mut state = State::default();
        for (job_type, definition) in &book.types {
            // Without a cursor it is looked at once, which makes one.
            let cursor = cursors.get(job_type.as_str()).copied().unwrap_or_default();
            state.put(job_type, look_at(definition, cursor));
        }
        let mut held = self.state.lock();
        state.heeded = held.heeded + 1;
        *held = state;
        drop(held);
        self.changed.notify_one();
    }

    /// Plans those types anew whose declaration or cursor are among `keys`; `found` is how these stand.
    pub fn heed(&self, book: &Rulebook, keys: &[RuleKey], found: &[Rule]) {
        let cursors = cursors(found);
        let moved = keys.iter().filter(|key| key.kind == RuleKind::Schedule);
        for name in moved.map(|key| key.name.as_str()) {
            let Ok(job_type) = JobType::new(name) else { continue };
            let definition = book.types.get(&job_type).map(AsRef::as_ref);
            let cursor = cursors.get(name).copied().unwrap_or_default();
            let mut state = self.state.lock();
            state.heeded += 1;
            let at = definition.and_then(|definition| look_at(definition, cursor));
            let sooner = state.put(&job_type, at);
            drop(state);
            if sooner {
                self.changed.notify_one();
            }
        }
    }
}

impl State {
    /// Answers whether it comes first now.
    fn put(&mut self, job_type: &JobType, at: Option<Timestamp>) -> bool {
        let first = self.order.first().map(|(at, _)| *at);
        let before = match at {
            Some(at) => self.of.insert(job_type.clone(), at),
            None => self.of.remove(job_type),
        };
        if let Some(before) = before {
            self.order.remove(&(before, job_type.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, job_type.clone()));
        }
        at.is_some_and(|at| first.is_none_or(|first| at < first))
    }
}

/// One that cannot be read is as none: its type is looked at at once, which makes one.
fn cursors(rules: &[Rule]) -> HashMap<&str, Cursor> {
    let rows = rules.iter().filter(|rule| rule.key.kind == RuleKind::Schedule);
    let read = |rule| Some((rule, Rule::read::<Cursor>(rule).ok()?));
    rows.filter_map(read).map(|(rule, cursor)| (rule.key.name.as_str(), cursor)).collect()
}

/// When a type has to be looked at next.
fn look_at(definition: &Definition, cursor: Cursor) -> Option<Timestamp> {
    let schedule = definition.active_schedule()?;
    let spec = &definition.declared.spec;
    let next = schedule.next_owed(cursor)?;
    Some(match &spec.expected {
        Some(expected) => next.plus(expected.grace_period).plus(GRACE_OVER),
        None => schedule.nominal(&spec.job_type, next).fire_time,
    })
}
