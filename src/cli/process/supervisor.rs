//! The life of a process: it is looked at, signalled, stopped, and when the command itself ended, the rest of its tree
//! is ended too.

use std::collections::HashSet;
use std::process::ExitStatus;
use std::time::Duration;

use std::os::unix::process::ExitStatusExt as _;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::Signal;
use super::event::{Ended, How, Over};
use super::meter::{Meter, Sample};
use super::queue::Queue;
use super::scan::{self, Seen};
use super::sink::Sink;
use super::spec::{Limits, Spec};
use super::tree::{self, Tree};
use crate::domain::limits::{
    PROCESS_KILL_WITHIN, PROCESS_LEFT_BEHIND_GRACE, PROCESS_OUTPUT_WITHIN, PROCESS_REST_WITHIN,
    PROCESS_SAMPLE_INTERVAL, PROCESS_SAMPLE_INTERVAL_LIMITED, PROCESS_SAMPLE_SHARE,
};
use crate::runtime::Clock;

/// How often a tree that is to end is looked at.
const STOP_PACE: Duration = Duration::from_millis(40);

/// Looks after one process until nothing of it is left.
pub(super) struct Supervisor {
    tree: Tree,
    meter: Meter,
    pace: Duration,
    grace: Duration,
    echo: bool,
    queue: Queue,
    sink: Sink,
    stops: watch::Receiver<Option<Instant>>,
    signals: mpsc::Receiver<Signal>,
    /// When those that are left are killed; set once the tree is to end.
    deadline: Option<Instant>,
    /// Who was told to end, by id and start.
    told: HashSet<(i32, u64)>,
    stopped: bool,
    over: Option<Over>,
    /// When usage was last told.
    usage_told: Option<Instant>,
}

impl Supervisor {
    pub(super) fn new(
        tree: Tree,
        spec: &Spec,
        queue: Queue,
        sink: Sink,
        stops: watch::Receiver<Option<Instant>>,
        signals: mpsc::Receiver<Signal>,
    ) -> Self {
        let unlimited = spec.limits == Limits::default();
        let pace =
            if unlimited { PROCESS_SAMPLE_INTERVAL } else { PROCESS_SAMPLE_INTERVAL_LIMITED };
        let meter = Meter::new(spec.limits, Clock::monotonic());
        Self {
            tree,
            meter,
            pace,
            grace: spec.grace,
            echo: spec.echo,
            queue,
            sink,
            stops,
            signals,
            deadline: None,
            told: HashSet::new(),
            stopped: false,
            over: None,
            usage_told: None,
        }
    }

    /// Until the command, its tree and its output are at their end.
    pub(super) async fn run(mut self, mut child: Child, readers: Vec<JoinHandle<()>>) {
        let status = self.watch(&mut child).await;
        self.tree.root_is_gone();
        let left = self.alive().len();
        let is_asked = self.deadline.is_some();
        let unkillable = self.clear().await;
        self.read_on(readers, is_asked).await;
        let mut found = self.sink.found();
        let (result, result_problem) = match found.result() {
            Ok(result) => (result, None),
            Err(problem) => (None, Some(problem)),
        };
        let ended = Ended {
            how: how(&status),
            over: self.over,
            stopped: self.stopped,
            result,
            result_problem,
            stderr_tail: found.tail(),
            progress: found.progress(),
            usage: self.meter.usage(),
            quota_use: found.quota_use(),
            left_behind: if is_asked { 0 } else { left },
            unkillable,
        };
        drop(found);
        self.queue.ended(ended);
    }

    /// Until the command itself ended.
    async fn watch(&mut self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let mut next = Clock::monotonic();
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = sleep_until(next) => next = self.look(),
                Ok(()) = self.stops.changed() => {
                    self.stop_asked();
                    next = Clock::monotonic();
                }
                Some(signal) = self.signals.recv() => {
                    self.alive().iter().for_each(|seen| tree::send(seen, signal));
                }
            }
        }
    }

    fn stop_asked(&mut self) {
        let asked = *self.stops.borrow_and_update();
        if let Some(deadline) = asked {
            self.stopped = true;
            self.end_by(deadline);
        }
    }

    fn end_by(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |old| old.min(deadline)));
    }

    /// Looks at the tree; answers when to look again.
    fn look(&mut self) -> Instant {
        let from = Clock::monotonic();
        let members = self.seen();
        let alive: Vec<Seen> = members.into_iter().filter(|seen| !seen.zombie).collect();
        let over = self.measure(&alive, from);
        if self.over.is_none() && over.is_some() && self.deadline.is_none() {
            self.over = over;
            self.end_by(from + self.grace);
        }
        self.press(&alive);
        let now = Clock::monotonic();
        let pace = if self.deadline.is_some() { STOP_PACE } else { self.pace };
        now + pace.max((now - from) * PROCESS_SAMPLE_SHARE)
    }

    fn measure(&mut self, alive: &[Seen], at: Instant) -> Option<Over> {
        if alive.is_empty() {
            return None;
        }
        let sample = Sample {
            at,
            cpu: alive.iter().map(|seen| seen.cpu).sum(),
            memory_bytes: memory(alive),
            processes: alive.len(),
        };
        let over = self.meter.take(sample);
        let due = self.usage_told.is_none_or(|told| at - told >= PROCESS_SAMPLE_INTERVAL);
        if let Some(usage) = self.meter.usage().filter(|_| due || over.is_some()) {
            self.usage_told = Some(at);
            self.queue.usage(usage);
        }
        over
    }

    /// Tells those to end who were not told, and kills them all when their time is over.
    fn press(&mut self, alive: &[Seen]) {
        let Some(deadline) = self.deadline else { return };
        if Clock::monotonic() >= deadline {
            for seen in alive {
                tree::send(seen, Signal::KILL);
            }
            return;
        }
        for seen in alive {
            if self.told.insert((seen.pid, seen.started)) {
                tree::send(seen, Signal::TERM);
                // One that is stopped would not hear it.
                tree::send(seen, Signal::CONT);
            }
        }
    }

    /// Ends what is left of the tree; answers how many could not be ended.
    async fn clear(&mut self) -> usize {
        let mut killing_since = None;
        loop {
            if self.stops.has_changed().unwrap_or(false) {
                self.stop_asked();
            }
            let alive = self.alive();
            if alive.is_empty() {
                return 0;
            }
            let now = Clock::monotonic();
            let deadline = *self.deadline.get_or_insert(now + PROCESS_LEFT_BEHIND_GRACE);
            if now >= deadline && now - *killing_since.get_or_insert(now) >= PROCESS_KILL_WITHIN {
                return alive.len();
            }
            self.press(&alive);
            tokio::time::sleep(STOP_PACE).await;
        }
    }

    /// Waits for the end of the output. Whoever reads ours may take their time, unless the command was stopped; else only
    /// a process that is none of ours can still hold it open.
    async fn read_on(&mut self, readers: Vec<JoinHandle<()>>, is_asked: bool) {
        let stops: Vec<_> = readers.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            for reader in readers {
                drop(reader.await);
            }
        };
        tokio::pin!(all);
        if self.echo && !is_asked {
            tokio::select! {
                () = &mut all => return,
                Ok(_) = self.stops.wait_for(Option::is_some) => self.stopped = true,
            }
        }
        let until = Clock::monotonic() + PROCESS_REST_WITHIN;
        while timeout(PROCESS_OUTPUT_WITHIN, &mut all).await.is_err() {
            // They may still wait for room in the queue.
            if !self.queue.is_full() || Clock::monotonic() >= until {
                return stops.iter().for_each(tokio::task::AbortHandle::abort);
            }
        }
    }

    fn alive(&mut self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| !seen.zombie).collect()
    }

    fn seen(&mut self) -> Vec<Seen> {
        let members = self.tree.look();
        let retired = self.tree.reap(&members);
        self.meter.retire(retired);
        members
    }
}

/// What the processes hold together; what they share counts once, where the system tells.
fn memory(alive: &[Seen]) -> u64 {
    let [alone] = alive else {
        return alive.iter().map(scan::part_of_memory).sum();
    };
    alone.memory_bytes
}

fn how(status: &std::io::Result<ExitStatus>) -> How {
    match status.as_ref().map(|status| (status.code(), status.signal())) {
        Ok((Some(code), _)) => How::Code(code),
        Ok((None, Some(signal))) => How::Signal(signal),
        // Somebody else waited for it: whatever it was, it was not seen to go well.
        Ok((None, None)) | Err(_) => How::Code(255),
    }
}
