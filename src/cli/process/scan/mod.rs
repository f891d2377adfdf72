//! The processes of this machine, as the system tells.
//!
//! Owns: one look at all of them ([`processes`]), what one of them shares and carries, and the reaping of orphans.
//! Does not own: which of them belong together ([`super::tree`]).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::domain::limits::PROCESS_SHARE_BYTES_MAX;

#[cfg(target_os = "linux")]
pub(super) use linux::{adopt_orphans, carries, is_still, processes, proportional_bytes};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{adopt_orphans, carries, processes, proportional_bytes};

/// A process as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Its id.
    pub pid: i32,
    /// The id of its parent.
    pub parent: i32,
    /// Its process group; 0 if not known.
    pub group: i32,
    /// Its session; 0 if not known.
    pub session: i32,
    /// When it started, in units of the system: with the id it names the process for good.
    pub started: u64,
    /// It ended and waits for its parent to take notice.
    pub zombie: bool,
    /// Processor time that it used, with that of its children that ended.
    pub cpu: Duration,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// Takes notice of the end of an orphan that became our child, so that its id is free.
pub(super) fn reap(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // Not ours, or already gone: nothing to do.
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG).ok();
    }
}

/// The memory of one of several processes: its part of what they share, unless asking takes too long.
pub(super) fn part_of_memory(seen: &Seen) -> u64 {
    let part = (seen.memory_bytes <= PROCESS_SHARE_BYTES_MAX)
        .then(|| proportional_bytes(seen.pid))
        .flatten();
    part.unwrap_or(seen.memory_bytes)
}
