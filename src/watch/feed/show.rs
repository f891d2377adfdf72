//! Showing commits and ticks to the views they concern.

use std::sync::Arc;

use crate::domain::Job;

use super::super::change::{Before, Change, Commit};
use super::super::slot::Snapshot;
use super::super::ticker::Ticker;
use super::super::view::{Event, View, Why};
use super::state::State;
use super::{Feed, Told};

impl Feed {
    /// Shows the commits whose turn has come.
    pub(super) fn show_pending(&self, state: &mut State) {
        let Some(mut head) = self.head() else { return };
        while let Some(Commit { position, mut changes }) = state.next(&head.position) {
            state.leave_news(&mut changes);
            self.show(state, &changes);
            self.move_head(state, position.clone(), head.read_through.clone());
            head.position = position;
        }
        state.came_to(&head.position);
        self.show_introduced(state);
    }

    /// Shows all of a commit to each view it concerns, each at one moment. Running jobs are made known
    /// to tickers only after that: what a ticker shows is never ahead of a view.
    pub(super) fn show(&self, state: &mut State, changes: &[Change]) {
        let mut told = Told::new();
        let mut filters = 0;
        let mut running = Vec::new();
        for change in changes {
            state.is_changed(change.job_id());
            filters += match change {
                Change::Put { before, after } => {
                    let (tried, matching) = put(state, before, after, &mut told);
                    running.push((after, matching));
                    tried
                }
                Change::Gone { .. } => gone(state, change, &mut told),
            };
        }
        for (view, events) in told.into_values() {
            view.apply(events);
        }
        for (after, views) in running {
            self.stand(after, views);
        }
        for change in changes {
            if let Change::Gone { job_id, .. } = change {
                self.0.tickers.remove(job_id);
            }
        }
        self.0.count((changes.len() as u64, filters));
    }

    /// Keeps the ticker of a job that runs, and takes it away from one that does not.
    fn stand(&self, after: &Arc<Snapshot>, views: Vec<Arc<View>>) {
        let job_id = after.job.id;
        if after.job.status.session().is_none() {
            self.0.tickers.remove(&job_id);
            return;
        }
        let ticker = self.0.tickers.get(&job_id).map(|ticker| Arc::clone(&ticker));
        let ticker = if let Some(ticker) = ticker {
            ticker.stand(Arc::clone(after), views);
            ticker
        } else {
            let ticker = Ticker::new(Arc::clone(&self.0.live), Arc::clone(after), views);
            let ticker = Arc::new(ticker);
            self.0.tickers.insert(job_id, Arc::clone(&ticker));
            ticker
        };
        if ticker.is_ahead() {
            self.show_tick(&ticker);
        }
    }

    pub(super) fn show_tick(&self, ticker: &Arc<Ticker>) {
        let job_id = ticker.durable().job.id;
        let current = self.0.tickers.get(&job_id).is_some_and(|held| Arc::ptr_eq(&held, ticker));
        if current {
            for view in ticker.views() {
                view.tick(job_id, ticker);
            }
        }
    }

    /// Makes known what was read of running jobs, as soon as the views have come that far.
    pub(super) fn show_introduced(&self, state: &mut State) {
        let Some(head) = self.head() else { return };
        for snapshot in state.introduced(&head.position) {
            if !self.0.tickers.contains_key(&snapshot.job.id) {
                let candidates = state.index.candidates(&snapshot.job, None);
                let matching = candidates.into_iter();
                let views = matching.filter(|view| view.filter().matches(&snapshot.job)).collect();
                self.stand(&snapshot, views);
                // What it reported may be on disk by now, and read from there: news all the same.
                let ticker = self.0.tickers.get(&snapshot.job.id).map(|held| Arc::clone(&held));
                if let Some(ticker) = &ticker {
                    self.show_tick(ticker);
                }
            }
        }
    }

    /// Shows the running jobs that are known to a view that is new.
    pub(super) fn show_running(&self, view: &Arc<View>) {
        for ticker in &self.0.tickers {
            if view.filter().matches(&ticker.durable().job) {
                ticker.add_view(view);
                // Whether what was known of it first was its durable state or a report: a watcher that
                // was away may have missed either.
                view.tick(*ticker.key(), ticker.value());
            }
        }
    }
}

/// What a job that was made or changed means to the views; answers how many were tried, and those that
/// match now.
fn put(
    state: &State,
    before: &Before,
    after: &Arc<Snapshot>,
    told: &mut Told,
) -> (u64, Vec<Arc<View>>) {
    let queue_before = match before {
        Before::Known(job) => Some(&job.status.effective.queue),
        Before::None | Before::Unknown => None,
    };
    let mut candidates = state.index.candidates(&after.job, queue_before);
    let tried = candidates.len() as u64;
    candidates.retain(|view| {
        let filter = view.filter();
        let matches = filter.matches(&after.job);
        if matches {
            tell(told, view, Event::Upsert(Arc::clone(after)));
        } else if may_have_matched(view, before, &after.job) {
            let job = Some(Arc::clone(after));
            tell(told, view, Event::Removed { job_id: after.job.id, why: Why::Unmatched, job });
        }
        matches
    });
    (tried, candidates)
}

fn may_have_matched(view: &View, before: &Before, after: &Job) -> bool {
    match before {
        Before::None => false,
        Before::Known(job) => view.filter().matches(job),
        Before::Unknown => view.filter().fits(after),
    }
}

/// What a deleted job means to the views; answers how many were tried.
fn gone(state: &State, change: &Change, told: &mut Told) -> u64 {
    let Change::Gone { job_id, job_type, before } = change else { return 0 };
    let removed = || Event::Removed { job_id: *job_id, why: Why::Deleted, job: None };
    let mut tried = 0;
    if let Some(job) = before {
        for view in state.index.candidates(job, None) {
            tried += 1;
            if view.filter().matches(job) {
                tell(told, &view, removed());
            }
        }
    } else {
        state.each_view(|view| {
            tried += 1;
            if view.filter().may_have_matched(*job_id, job_type.as_ref()) {
                tell(told, view, removed());
            }
        });
    }
    tried
}

fn tell(told: &mut Told, view: &Arc<View>, event: Event) {
    told.entry(Arc::as_ptr(view)).or_insert_with(|| (Arc::clone(view), Vec::new())).1.push(event);
}
