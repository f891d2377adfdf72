//! The jobs that run here, and what becomes of them: one loop hears the server, the commands, the machine and the
//! signals.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Args;
use super::command::Template;
use super::gate::{Gate, Machine};
use super::teller::Teller;
use crate::cli::exit::{Exit, Failure};
use crate::cli::process::{Ended, Process};
use crate::cli::relay::{self, ResultFile, Told, Verdict};
use crate::cli::worker::{self, Event, Events, Handle, Lease, Settings};
use crate::cli::{format, names};
use crate::domain::limits::SLOTS_MAX;
use crate::proto::v1::{Job, LogLevel};
use crate::runtime::{Clock, Tasks};

/// How often the machine is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a command gets between SIGTERM and SIGKILL when its time is over: the worker wants to leave, or the job is lost.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// The last outcomes get this long to be answered, whatever was left of the grace.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// One job that runs here.
struct Run {
    process: Process,
    job_type: String,
    began: Instant,
    asked: Option<Asked>,
    told: Told,
    result: ResultFile,
}

/// Why a command was told to stop. Of several reasons the last here counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    /// The worker leaves: the job is given back.
    Release,
    /// Somebody wants it stopped.
    Cancel,
    /// It is not ours any more.
    Forget,
}

/// The way out.
struct Drain {
    /// Jobs may run until then.
    until: Instant,
    /// The jobs were told to stop.
    stopped: bool,
}

/// The jobs that run here.
pub(super) struct Crew<'a> {
    slots: u32,
    grace: Duration,
    template: Template,
    handle: Handle,
    events: Events,
    tasks: Tasks,
    clock: Clock,
    runs: BTreeMap<Lease, Run>,
    ended: mpsc::Sender<(Lease, Option<Box<Ended>>)>,
    endings: mpsc::Receiver<(Lease, Option<Box<Ended>>)>,
    machine: Option<Machine>,
    gate: Gate,
    drain: Option<Drain>,
    lost: bool,
    teller: Teller<'a>,
    /// Holds the result files while it works.
    _folder: TempDir,
}

impl<'a> Crew<'a> {
    /// Attaches to the server, and waits for it if it is not there.
    pub(super) fn hire(
        args: Args,
        settings: Settings,
        teller: Teller<'a>,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::Output)?;
        let template = Template {
            command: args.command,
            progress: args.progress,
            address: settings.address.clone(),
            folder: folder.path().to_owned(),
        };
        let gate = Gate::new(args.max_host_cpu);
        let machine = match Machine::new() {
            Ok(machine) => Some(machine),
            Err(error) if args.max_host_cpu.is_some() => {
                let problem = format!("the load of this machine cannot be read: {error}");
                return Err(Failure::usage("--max-host-cpu", problem));
            }
            // It is only not told how busy it is.
            Err(_) => None,
        };
        let memory_bytes = machine.as_ref().map_or(0, Machine::memory_bytes);
        let settings = Settings { memory_bytes, ..settings };
        let tasks = Tasks::new();
        let clock = teller.context.clock.clone();
        let (handle, events) = worker::start(settings, &tasks, &clock);
        let (ended, endings) = mpsc::channel(SLOTS_MAX as usize);
        let crew = Self {
            slots: args.slots,
            grace: args.grace,
            template,
            handle,
            events,
            tasks,
            clock,
            runs: BTreeMap::new(),
            ended,
            endings,
            machine,
            gate,
            drain: None,
            lost: false,
            teller,
            _folder: folder,
        };
        crew.demand();
        Ok(crew)
    }

    /// Works until it is told to stop, and leaves in good order.
    pub(super) async fn work(mut self) -> Result<Exit, Failure> {
        let worked = self.until_drained().await;
        // Whatever ended the work: no command outlives it, and no job is kept.
        self.stop_all(STOP_GRACE);
        while !self.runs.is_empty() {
            let Some((lease, ended)) = self.endings.recv().await else { break };
            // Who does not read any more need not be told.
            self.finish(&lease, ended).ok();
        }
        let left = self.drain.as_ref().map(|drain| drain.until);
        let left =
            left.map_or(Duration::ZERO, |at| at.saturating_duration_since(Clock::monotonic()));
        let within = left.max(ANSWERS_WITHIN);
        let closing = self.handle.clone();
        let mut closing = std::pin::pin!(closing.close(within));
        let closed = loop {
            tokio::select! {
                closed = &mut closing => break closed,
                Some(event) = self.events.next() => {
                    self.hear(event).ok();
                }
            }
        };
        worked?;
        if closed.open_jobs > 0 {
            return Err(Failure::TimedOut {
                doing: format!(
                    "the server did not answer the outcome of {} jobs",
                    closed.open_jobs
                ),
                after: within,
                next: "they are handed out again when their lease runs out".to_owned(),
            });
        }
        self.teller.note("left", "left")?;
        Ok(Exit::Ok)
    }

    async fn until_drained(&mut self) -> Result<(), Failure> {
        let signals = |kind| signal(kind).map_err(Failure::Output);
        let mut terminate = signals(SignalKind::terminate())?;
        let mut interrupt = signals(SignalKind::interrupt())?;
        let mut look = Clock::monotonic() + LOOK_EVERY;
        loop {
            if self.drain.is_some() && self.runs.is_empty() {
                return Ok(());
            }
            let due = self.drain.as_ref().filter(|drain| !drain.stopped).map(|drain| drain.until);
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => self.hear(event)?,
                    None => return Ok(()),
                },
                Some((lease, ended)) = self.endings.recv() => self.finish(&lease, ended)?,
                () = told(&mut terminate, &mut interrupt) => self.told_to_stop()?,
                () = sleep_until(due.unwrap_or(look)), if due.is_some() => {
                    self.teller.note("overdue", "the grace is over: stops what still runs and gives it back")?;
                    self.stop_all(STOP_GRACE);
                }
                () = sleep_until(look) => {
                    look = Clock::monotonic() + LOOK_EVERY;
                    self.look()?;
                }
            }
        }
    }

    /// Something came from the session.
    fn hear(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Connected => {
                self.lost = false;
                let address = &self.template.address;
                self.teller.note("attached", &format!("attached to {address}"))
            }
            Event::Lost(cause) => {
                if std::mem::replace(&mut self.lost, true) {
                    return Ok(());
                }
                let (address, said) = (&self.template.address, cause.said);
                let text = format!("no connection to {address} ({said}): jobs go on, trying again");
                self.teller.note("lost", &text)
            }
            Event::Refused(failure) => Err(failure),
            Event::Assigned { lease, job } => self.start(lease, &job),
            Event::Cancel { lease, cause, reason, grace } => {
                let Some(run) = self.runs.get_mut(&lease) else { return Ok(()) };
                run.process.stop(relay::stop_within(grace));
                run.told.cause = Some(cause);
                run.asked = run.asked.max(Some(Asked::Cancel));
                let cause = names::short(cause);
                let why =
                    if reason.is_empty() { cause.to_owned() } else { format!("{cause}: {reason}") };
                self.teller.job("cancel", &lease, &why)
            }
            Event::Revoked { lease, reason } => {
                let Some(run) = self.runs.get_mut(&lease) else { return Ok(()) };
                run.process.stop(STOP_GRACE);
                run.asked = Some(Asked::Forget);
                self.teller.job("revoked", &lease, &reason)
            }
            Event::Settled { answer: Ok(()), .. } => Ok(()),
            Event::Settled { lease, answer: Err(refusal) } => {
                self.teller.job("refused", &lease, &format!("its outcome: {}", refusal.said()))
            }
            Event::Rejected { lease, what, refusal } => {
                self.teller.job("refused", &lease, &format!("its {what}: {}", refusal.said()))
            }
            Event::Drain { grace, reason } => self.leave(grace, &reason),
        }
    }

    /// Runs the command for a job.
    fn start(&mut self, lease: Lease, job: &Job) -> Result<(), Failure> {
        if self.drain.is_some() {
            self.handle.release(&lease, Duration::ZERO, "the worker leaves");
            return Ok(());
        }
        let spec = self.template.spec(job, lease.epoch);
        let job_type = job.spec.as_ref().map(|spec| spec.r#type.clone()).unwrap_or_default();
        let result = ResultFile::before(&self.template.result_file(&lease.job_id, lease.epoch));
        let began = Clock::monotonic();
        let (process, events) = match Process::spawn(&spec, &self.tasks, &self.clock) {
            Ok(spawned) => spawned,
            Err(error) => {
                let error = relay::not_started(&error);
                let why = format!("{}: {}", error.code, error.message);
                self.handle.fail(&lease, error, None);
                return self.teller.ended(&lease, &job_type, "failed", &why, Duration::ZERO);
            }
        };
        let attempt = job.status.as_ref().map_or(0, |status| status.attempt);
        let pid = process.pid();
        let (handle, ended, of) = (self.handle.clone(), self.ended.clone(), lease.clone());
        self.tasks.spawn("job", async move {
            let end = relay::relay(events, &of, &handle).await;
            // The receiver lives as long as the tasks.
            ended.send((of, end)).await.ok();
        });
        let told = self.teller.started(&lease, &job_type, attempt, pid);
        self.runs.insert(
            lease,
            Run { process, job_type, began, asked: None, told: Told::default(), result },
        );
        told
    }

    /// A command ended: reports what became of its job.
    fn finish(&mut self, lease: &Lease, ended: Option<Box<Ended>>) -> Result<(), Failure> {
        let Some(run) = self.runs.remove(lease) else { return Ok(()) };
        let verdict =
            ended.as_ref().map(|ended| relay::verdict(ended, run.told, Some(&run.result)));
        // It need not be there.
        std::fs::remove_file(run.result.path()).ok();
        let stopped = ended.is_some_and(|ended| ended.stopped);
        let (how, why) = match (run.asked.filter(|_| stopped), verdict) {
            (Some(Asked::Forget), _) => ("lost", String::new()),
            (Some(Asked::Release), _) | (_, None) => {
                self.handle.release(lease, Duration::ZERO, "the worker leaves");
                ("released", String::new())
            }
            (_, Some(Verdict::Cancelled)) => {
                self.handle.cancelled(lease);
                ("cancelled", String::new())
            }
            (_, Some(Verdict::Succeeded { result, problem })) => {
                if let Some(problem) = &problem {
                    let text = format!("the last line of JSON is not the result: {problem}");
                    self.handle.logs(lease, [relay::note(LogLevel::Warning, text)]);
                }
                self.handle.succeed(lease, result);
                ("succeeded", problem.unwrap_or_default())
            }
            (_, Some(Verdict::Failed(error))) => {
                let why = error.message.lines().next().unwrap_or_default();
                let why = format!("{}: {why}", error.code);
                self.handle.fail(lease, *error, None);
                ("failed", why)
            }
        };
        let took = Clock::monotonic() - run.began;
        self.teller.ended(lease, &run.job_type, how, &why, took)
    }

    /// A signal came: the first one asks to leave, the next one to do so at once.
    fn told_to_stop(&mut self) -> Result<(), Failure> {
        if self.drain.is_none() {
            return self.leave(self.grace, "");
        }
        self.stop_all(Duration::ZERO);
        self.teller.note("stopping", "stops at once")
    }

    /// Takes nothing more and lets jobs end within `grace`.
    fn leave(&mut self, grace: Duration, reason: &str) -> Result<(), Failure> {
        let until = Clock::monotonic() + grace;
        let until = self.drain.as_ref().map_or(until, |drain| drain.until.min(until));
        let stopped = self.drain.as_ref().is_some_and(|drain| drain.stopped);
        self.drain = Some(Drain { until, stopped });
        self.demand();
        let (jobs, within) = (self.runs.len(), format::span(grace));
        let noun = if jobs == 1 { "job" } else { "jobs" };
        let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let text =
            format!("leaving{why}: takes no further job; {jobs} {noun} may end within {within}");
        self.teller.note("draining", &text)
    }

    /// Stops everything that runs, to be given back.
    fn stop_all(&mut self, grace: Duration) {
        for run in self.runs.values_mut() {
            run.process.stop(grace);
            run.asked = run.asked.max(Some(Asked::Release));
        }
        if let Some(drain) = &mut self.drain {
            drain.stopped = true;
        }
    }

    /// Looks how busy the machine is.
    fn look(&mut self) -> Result<(), Failure> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let usage = machine.look();
        self.handle.host(usage);
        let moved = usage.cpu_percent.is_some_and(|percent| self.gate.sample(percent));
        if !moved {
            return Ok(());
        }
        self.demand();
        let load = format::percent(self.gate.load());
        if self.gate.is_open() {
            self.teller.note("open", &format!("the machine is at {load}: takes jobs"))
        } else {
            self.teller.note("busy", &format!("the machine is at {load}: takes nothing further"))
        }
    }

    /// Says how many jobs it may hold.
    fn demand(&self) {
        let takes = self.drain.is_none() && self.gate.is_open();
        self.handle.capacity(if takes { self.slots } else { 0 });
    }
}

/// Waits for either signal.
async fn told(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
