//! Other systems: what `sysinfo` tells. Process groups are not known, so that a tree is found by parents, sessions and
//! the mark in the environment.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::Seen;

/// Orphans go to the first process of the system; they are found by their session and their mark.
#[cfg_attr(target_os = "linux", expect(dead_code, reason = "tested on Linux, used elsewhere"))]
pub(in super::super) fn adopt_orphans() {}

/// All processes that can be seen.
///
/// # Errors
///
/// The system does not tell.
pub(in super::super) fn processes() -> io::Result<Vec<Seen>> {
    let mut system = System::new().map_err(io::Error::other)?;
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let processes = system.processes().values();
    Ok(processes
        .map(|process| Seen {
            pid: id(process.pid()),
            parent: process.parent().map_or(0, id),
            group: 0,
            session: process.session_id().map_or(0, id),
            started: process.start_time(),
            zombie: matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead),
            cpu: Duration::from_millis(process.accumulated_cpu_time()),
            memory_bytes: process.memory(),
        })
        .collect())
}

fn id(pid: Pid) -> i32 {
    i32::try_from(pid.as_u32()).unwrap_or(0)
}

/// Not told: shared memory counts for each process.
#[cfg_attr(target_os = "linux", expect(dead_code, reason = "tested on Linux, used elsewhere"))]
pub(in super::super) fn proportional_bytes(_: i32) -> Option<u64> {
    None
}

/// Whether the environment with which a process was started has the variable with this value.
pub(in super::super) fn carries(pid: i32, name: &str, value: &str) -> bool {
    let Ok(pid) = u32::try_from(pid) else { return false };
    let pid = Pid::from_u32(pid);
    let Ok(mut system) = System::new() else { return false };
    let what = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    let wanted = OsString::from(format!("{name}={value}"));
    system.process(pid).is_some_and(|process| process.environ().contains(&wanted))
}
