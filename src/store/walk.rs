//! What a list walks.
//!
//! Where no index fits the filter, the counters tell whether the jobs in question are few enough to
//! be gathered by their states and sorted; if not, they are dense enough to be met by walking all
//! jobs from the newest on.

use crate::domain::filter::JobFilter;
use crate::domain::status::StateKind;

/// Jobs that are gathered and sorted for one page: more cost more than walking past the others.
pub(super) const SORTED_MAX: i64 = 20_000;

/// What a part of a statement walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// The ids that are named.
    Ids,
    /// The jobs with the first label.
    Label,
    /// The index on this text of the spec.
    Text(&'static str),
    /// The jobs that wait.
    Ready,
    /// The jobs that run.
    Running,
    /// The jobs that are over.
    Done,
    /// All jobs, newest first.
    Newest,
}

impl Walk {
    /// Whether it finds jobs in another order than that of a page.
    pub(super) const fn gathers(self) -> bool {
        match self {
            Self::Ready | Self::Running | Self::Done => true,
            Self::Ids | Self::Label | Self::Text(_) | Self::Newest => false,
        }
    }
}

/// Whether a filter says anything that only `jobs` knows, besides ids, texts and labels.
pub(super) fn asks_jobs(filter: &JobFilter) -> bool {
    let text = |text: &Option<String>| text.is_some();
    let JobFilter { owner, subject, external_id, created_by, create_time, .. } = filter;
    !filter.categories.is_empty()
        || !filter.triggers.is_empty()
        || [owner, subject, external_id, created_by].into_iter().any(text)
        || create_time.after.is_some()
        || create_time.before.is_some()
}

/// Whether a filter says anything that only `job_status` knows.
pub(super) fn asks_status(filter: &JobFilter) -> bool {
    !filter.states.is_empty()
        || !filter.types.is_empty()
        || !filter.queues.is_empty()
        || filter.worker_id.is_some()
        || filter.end_time.after.is_some()
        || filter.end_time.before.is_some()
}

/// The walk that an index of the filter's own allows.
fn own_walk(filter: &JobFilter) -> Option<Walk> {
    let named = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if !filter.job_ids.is_empty() {
        Some(Walk::Ids)
    } else if named(&filter.external_id) {
        Some(Walk::Text("j.external_id"))
    } else if named(&filter.subject) {
        Some(Walk::Text("j.subject"))
    } else if !filter.labels.is_empty() {
        Some(Walk::Label)
    } else if named(&filter.owner) {
        Some(Walk::Text("j.owner"))
    } else {
        None
    }
}

/// One walk, or one for each group of states that are wanted.
pub(super) fn walks(filter: &JobFilter, few: bool) -> Vec<Walk> {
    if let Some(walk) = own_walk(filter) {
        return vec![walk];
    }
    if !few {
        return vec![Walk::Newest];
    }
    let wanted = |states: &dyn Fn(&StateKind) -> bool| {
        filter.states.is_empty() || filter.states.iter().any(states)
    };
    let mut walks = Vec::new();
    if wanted(&|state| *state == StateKind::Pending) {
        walks.push(Walk::Ready);
    }
    if wanted(&|state| *state == StateKind::Running) {
        walks.push(Walk::Running);
    }
    if wanted(&|state| state.is_terminal()) {
        walks.push(Walk::Done);
    }
    walks
}

/// Whether only the counters can tell what to walk.
pub(super) fn depends(filter: &JobFilter) -> bool {
    let all = filter.states.is_empty() && filter.types.is_empty() && filter.queues.is_empty();
    !all && own_walk(filter).is_none()
}
