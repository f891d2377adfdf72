//! How many files the process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::domain::limits::FILES_KEPT;

/// The number of connections there is room for, `wanted` at most. What the system lets a process
/// raise by itself is raised: shells start with 1,024 files.
pub(super) fn room_for(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused by a sandbox, it stays as it is.
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let files =
        limit.current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let room = files.saturating_sub(FILES_KEPT).max(1);
    if room < wanted {
        tracing::warn!(
            connections.max = room,
            connections.wanted = wanted,
            files,
            "the process may not open enough files for as many connections as are allowed"
        );
    }
    wanted.min(room)
}
