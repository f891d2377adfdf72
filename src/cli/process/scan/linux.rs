//! Linux: `/proc`.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::Seen;

/// A line of `/proc/PID/stat` is shorter.
const STAT_BYTES: usize = 1024;

/// Orphans of our descendants become our children instead of init's, so that none of them is lost.
pub(in super::super) fn adopt_orphans() {
    // Linux has known it since 3.4; without it, orphans are still found by their group and their mark.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).ok();
}

/// All processes that can be seen.
///
/// # Errors
///
/// There is no `/proc`.
pub(in super::super) fn processes() -> io::Result<Vec<Seen>> {
    let units = Units::of_this_machine();
    let mut buffer = [0; STAT_BYTES];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // One that ends while we look is no error.
        let Ok(entry) = entry else { continue };
        if !entry.file_name().as_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let Ok(mut file) = fs::File::open(entry.path().join("stat")) else { continue };
        let Ok(read) = file.read(&mut buffer) else { continue };
        found.extend(seen(&buffer[..read], &units));
    }
    Ok(found)
}

/// In what `/proc` counts.
pub(super) struct Units {
    pub ticks_per_second: u64,
    pub page_bytes: u64,
}

impl Units {
    fn of_this_machine() -> Self {
        Self {
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
            page_bytes: rustix::param::page_size() as u64,
        }
    }
}

/// Reads a line of `/proc/PID/stat`: see proc_pid_stat(5).
pub(super) fn seen(stat: &[u8], units: &Units) -> Option<Seen> {
    // The name of the program, in brackets, may hold any bytes, brackets too.
    let (begin, end) =
        (stat.iter().position(|byte| *byte == b'(')?, stat.iter().rposition(|byte| *byte == b')')?);
    let pid = std::str::from_utf8(&stat[..begin]).ok()?.trim().parse().ok()?;
    // The state is field 3.
    let fields = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at).and_then(|text| text.parse::<u64>().ok());
    let id = |at: usize| field(at).and_then(|text| text.parse::<i32>().ok());
    let ticks = [14, 15, 16, 17].into_iter().map(number).sum::<Option<u64>>()?;
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(units.ticks_per_second);
    Some(Seen {
        pid,
        parent: id(4)?,
        group: id(5)?,
        session: id(6)?,
        started: number(22)?,
        zombie: matches!(field(3)?, "Z" | "X"),
        cpu: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
        memory_bytes: number(24)?.saturating_mul(units.page_bytes),
    })
}

/// The memory of a process with its part of what it shares with others.
pub(in super::super) fn proportional_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Whether the environment with which a process was started has the variable with this value.
pub(in super::super) fn carries(pid: i32, name: &str, value: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| std::str::from_utf8(variable).ok()?.split_once('='))
        .any(|variable| variable == (name, value))
}

/// Whether the process that was seen is still there.
pub(in super::super) fn is_still(that: &Seen) -> bool {
    let stat = fs::read(format!("/proc/{}/stat", that.pid));
    let now = stat.ok().and_then(|stat| seen(&stat, &Units::of_this_machine()));
    now.is_some_and(|now| now.started == that.started)
}
