//! The views by their filters, and the commits whose turn has not come.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::limits::{FEED_CHANGES_MAX, VIEWS_MAX, VIEWS_UNINDEXED_MAX};
use crate::domain::{JobFilter, JobId, Position};

use super::super::change::{Change, Commit};
use super::super::index::Index;
use super::super::slot::Snapshot;
use super::super::view::View;
use super::Full;

/// Running jobs that were read, and the position after that.
struct Introduction {
    jobs: HashMap<JobId, Arc<Snapshot>>,
    read_through: Position,
}

/// Jobs that are shown as they stood at some later position.
#[derive(Default)]
struct Ahead {
    /// The revision that is shown; `None` if the job is shown to be gone.
    jobs: HashMap<JobId, Option<i64>>,
    read_through: Option<Position>,
}

/// A view that is watched.
struct Watched {
    view: Arc<View>,
    followers: usize,
    /// The running jobs that match it were looked for, or are about to be.
    is_met: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct State {
    views: HashMap<Arc<JobFilter>, Watched>,
    pub(super) index: Index,
    pending: Vec<Commit>,
    introductions: Vec<Introduction>,
    /// Running jobs that are being read, and that no commit changed since that began.
    awaited: HashSet<JobId>,
    /// What a repair showed earlier than its commit comes.
    ahead: Ahead,
    /// Where the views stood when that was last looked at.
    seen_at: Option<Position>,
    /// Filters of which it is not known which running jobs match.
    unmet: Vec<Arc<JobFilter>>,
}

impl State {
    /// The view of a filter, and whether it is new.
    pub(super) fn enter(&mut self, filter: &Arc<JobFilter>) -> Result<(Arc<View>, bool), Full> {
        if let Some(watched) = self.views.get_mut(filter) {
            watched.followers += 1;
            return Ok((Arc::clone(&watched.view), false));
        }
        if self.views.len() >= VIEWS_MAX {
            return Err(Full { what: "filters watched", limit: VIEWS_MAX });
        }
        if !Index::has_place_for(filter) && self.index.unindexed() >= VIEWS_UNINDEXED_MAX {
            let what = "filters watched without id, text, label, type, queue or category";
            return Err(Full { what, limit: VIEWS_UNINDEXED_MAX });
        }
        let view = Arc::new(View::new(JobFilter::clone(filter)));
        self.index.insert(&view);
        let watched = Watched { view: Arc::clone(&view), followers: 1, is_met: false };
        self.views.insert(Arc::clone(filter), watched);
        Ok((view, true))
    }

    pub(super) fn leave(&mut self, filter: &Arc<JobFilter>) {
        let Some(watched) = self.views.get_mut(filter) else { return };
        watched.followers -= 1;
        if watched.followers == 0 {
            watched.view.close();
            self.index.remove(&watched.view);
            self.views.remove(filter);
            self.unmet.retain(|unmet| unmet != filter);
        }
    }

    pub(super) fn views(&self) -> usize {
        self.views.len()
    }

    pub(super) fn each_view(&self, mut tell: impl FnMut(&Arc<View>)) {
        self.views.values().for_each(|watched| tell(&watched.view));
    }

    /// Nobody watches any more.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
        self.unknow();
        self.seen_at = None;
        self.unmet.clear();
    }

    /// The filters of which it is not known which running jobs match; from now on it is.
    pub(super) fn take_unmet(&mut self) -> Vec<Arc<JobFilter>> {
        std::mem::take(&mut self.unmet)
    }

    /// Has the running jobs looked for that match a filter, unless they were; answers whether that is to
    /// be done.
    pub(super) fn meet(&mut self, filter: &Arc<JobFilter>) -> bool {
        let Some(watched) = self.views.get_mut(filter).filter(|watched| !watched.is_met) else {
            return false;
        };
        watched.is_met = true;
        self.unmet.push(Arc::clone(filter));
        true
    }

    /// Has them looked for again, if the filter is still watched.
    pub(super) fn put_unmet(&mut self, filter: &Arc<JobFilter>) {
        self.unmet.retain(|unmet| unmet != filter);
        if let Some(watched) = self.views.get_mut(filter) {
            watched.is_met = false;
        }
        self.meet(filter);
    }

    /// What was read of single jobs is not to be relied on any more.
    pub(super) fn unknow(&mut self) {
        let met = self.views.iter().filter(|(_, watched)| watched.is_met);
        self.unmet = met.map(|(filter, _)| Arc::clone(filter)).collect();
        self.introductions.clear();
        self.awaited.clear();
        self.ahead = Ahead::default();
    }

    /// Whether this was the position when it was last asked.
    pub(super) fn is_seen_again(&mut self, position: &Position) -> bool {
        self.seen_at.replace(position.clone()).as_ref() == Some(position)
    }

    /// Commits that wait for their turn; too many of them wait for something that will not come, and
    /// are read from the change log with it.
    pub(super) fn wait(&mut self, commits: Vec<Commit>) {
        self.pending.extend(commits);
        let changes: usize = self.pending.iter().map(|commit| commit.changes.len() + 1).sum();
        if changes > 2 * FEED_CHANGES_MAX {
            self.pending.clear();
        }
    }

    /// The commit that follows `position`, if it is here.
    pub(super) fn next(&mut self, position: &Position) -> Option<Commit> {
        let at = self.pending.iter().position(|commit| commit.position.follows(position))?;
        Some(self.pending.swap_remove(at))
    }

    /// Lets go of what is known by now.
    pub(super) fn came_to(&mut self, position: &Position) {
        self.pending.retain(|commit| !position.covers(&commit.position));
        if self.ahead.read_through.as_ref().is_some_and(|through| position.covers(through)) {
            self.ahead = Ahead::default();
        }
    }

    /// Notes that these changes are shown before the commits up to `read_through` are.
    pub(super) fn is_ahead(&mut self, changes: &[Change], read_through: &Position) {
        self.ahead.jobs.extend(changes.iter().map(|change| match change {
            Change::Put { after, .. } => (after.job.id, Some(after.job.status.revision)),
            Change::Gone { job_id, .. } => (*job_id, None),
        }));
        let known = self.ahead.read_through.take().filter(|known| known.covers(read_through));
        self.ahead.read_through = Some(known.unwrap_or_else(|| read_through.clone()));
    }

    /// Takes out what is shown already in this state or a later one: views do not go back.
    pub(super) fn leave_news(&self, changes: &mut Vec<Change>) {
        changes.retain(|change| match (self.ahead.jobs.get(&change.job_id()), change) {
            (None, _) | (Some(Some(_)), Change::Gone { .. }) => true,
            (Some(Some(shown)), Change::Put { after, .. }) => after.job.status.revision > *shown,
            (Some(None), _) => false,
        });
    }

    /// These running jobs are about to be read.
    pub(super) fn await_all(&mut self, job_ids: &[JobId]) {
        self.awaited = job_ids.iter().copied().collect();
    }

    pub(super) fn introduce(
        &mut self,
        jobs: impl Iterator<Item = Arc<Snapshot>>,
        read_through: Position,
    ) {
        let awaited = std::mem::take(&mut self.awaited);
        let jobs = jobs.filter(|snapshot| awaited.contains(&snapshot.job.id));
        let jobs = jobs.map(|snapshot| (snapshot.job.id, snapshot)).collect();
        self.introductions.push(Introduction { jobs, read_through });
    }

    /// A commit changed this job: what was read before may be old.
    pub(super) fn is_changed(&mut self, job_id: JobId) {
        self.awaited.remove(&job_id);
        for introduction in &mut self.introductions {
            introduction.jobs.remove(&job_id);
        }
    }

    /// Jobs that were read in a state that the views are not behind of any more.
    pub(super) fn introduced(&mut self, position: &Position) -> Vec<Arc<Snapshot>> {
        let mut ripe = Vec::new();
        self.introductions.retain_mut(|introduction| {
            let is_ripe = position.covers(&introduction.read_through);
            if is_ripe {
                ripe.extend(introduction.jobs.drain().map(|(_, snapshot)| snapshot));
            }
            !is_ripe
        });
        ripe
    }
}
