//! Processors, and what the system says of a process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which processors are used for what.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// Where the measured server runs, bare or not.
    pub server: usize,
    /// Where its load runs.
    pub client: usize,
}

impl Places {
    /// The first two processors this process may use; one for both if there is no other.
    pub fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot read the affinity")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let server = usable.next().context("no processor may be used")?;
        Ok(Self { server, client: usable.next().unwrap_or(server) })
    }
}

/// Keeps this thread, and what it starts from now on, on one processor.
pub fn pin(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).context("cannot set the affinity")
}

/// Becomes `command` on one processor; ends with whoever started it.
pub fn run_pinned(processor: usize, command: &[OsString]) -> Result<()> {
    pin(processor)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let (program, arguments) = command.split_first().context("no command")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Processor time a process has used so far.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    Ok(cpu_times(pid)?.0)
}

/// Processor time of a process and its children, those that ended included.
pub fn cpu_time_of_family(pid: u32) -> Result<Duration> {
    let (own, ended) = cpu_times(pid)?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().flat_map(str::parse::<u32>);
    // One that is gone by now is counted the next time.
    let children: Duration = children.filter_map(|child| cpu_time(child).ok()).sum();
    Ok(own + ended + children)
}

/// Its own, and that of its children that ended.
fn cpu_times(pid: u32) -> Result<(Duration, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; what follows is numbers.
    let numbers = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = numbers.split_whitespace().skip(11).take(4).map(str::parse::<u64>);
    let Ok([user, system, ended_user, ended_system]) =
        <[u64; 4]>::try_from(fields.flatten().collect::<Vec<_>>())
    else {
        bail!("/proc/{pid}/stat reads {stat:?}");
    };
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / per_second);
    Ok((time(user + system), time(ended_user + ended_system)))
}

/// Memory of a process that is its own and present, in bytes.
pub fn own_memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("no RssAnon in the status of a process")?.trim().parse()?;
    Ok(kib * 1024)
}
