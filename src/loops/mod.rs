//! What happens as time passes, each in a loop of its own.
//!
//! Owns: when each step runs ([`driver`]), and the list of all loops ([`start`]).
//! Does not own: the steps; they are the engine's (`engine::upkeep`).
//! Invariants: a step is idempotent, takes no input and handles one bounded batch, so it may run
//! early, late, twice, or on several replicas at once.

pub mod driver;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::Periods;
use crate::domain::limits::SLOW_PERIOD;
use crate::engine::{Engine, RETENTION_LOOP, Result};
use crate::runtime::{Clock, LoopBoard, Shutdown, Tasks};

use driver::{Driver, Rest, Step};

/// Starts every loop.
pub fn start(
    engine: &Engine,
    periods: &Periods,
    board: &LoopBoard,
    tasks: &Tasks,
    shutdown: &Shutdown,
) {
    let drive_at = |name, period, step: Step, nudge: Option<Arc<Notify>>, rest: Option<Rest>| {
        board.announce(name, period);
        let driver = Driver {
            name,
            period,
            nudge: nudge.unwrap_or_default(),
            rest,
            board: board.clone(),
            clock: engine.clock().clone(),
        };
        tasks.spawn_vital(name, shutdown, driver.run(step, shutdown.clone()));
    };
    let drive = |name, period, step, nudge| drive_at(name, period, step, nudge, None);
    let ended = Some(Arc::clone(&engine.nudges().session_ended));
    drive(
        "progress_flusher",
        periods.flush,
        step(engine, |e| async move { e.flush_progress().await }),
        None,
    );
    drive(
        "session_keeper",
        periods.sessions,
        step(engine, |e| async move { e.keep_sessions() }),
        None,
    );
    drive(
        "orphan_keeper",
        periods.leases,
        step(engine, |e| async move { e.settle_orphans().await }),
        ended,
    );
    drive("lease_watchdog", periods.leases, lease_watchdog(engine, periods.lease_grace), None);
    drive(
        "deadline_watchdog",
        periods.deadlines,
        step(engine, |e| async move { e.meet_deadlines().await }),
        None,
    );
    drive("line_poll", periods.poll, step(engine, |e| async move { e.poll_line().await }), None);
    let wanted = Some(engine.feed().wanted());
    drive(
        "view_keeper",
        periods.poll,
        step(engine, |e| async move { e.keep_views().await }),
        wanted,
    );
    let until = engine.clone();
    drive_at(
        "scheduler",
        periods.schedules,
        step(engine, |e| async move { e.run_schedules().await }),
        Some(engine.schedules_changed()),
        Some(Box::new(move |most| until.until_schedule(most))),
    );
    watchdogs(engine, periods, &drive);
    drive(
        "breaker_keeper",
        periods.poll,
        step(engine, |e| async move { Ok(e.settle_probes().await? + e.forget_breakers().await?) }),
        None,
    );
    drive("log_trimmer", periods.logs, step(engine, |e| async move { e.trim_logs().await }), None);
    drive(
        "queue_watchdog",
        periods.queues,
        step(engine, |e| async move { e.watch_queue_ages().await }),
        None,
    );
    drive("stats_roller", periods.prune, step(engine, |e| async move { e.roll_up().await }), None);
    drive("pruner", periods.prune, step(engine, |e| async move { e.prune().await }), None);
    let retain = step(engine, |e| async move { e.retain().await });
    drive(RETENTION_LOOP, periods.retention, retain, None);
    if !engine.is_shared() {
        return;
    }
    let (changes, progress) = engine.heard();
    drive(
        "change_listener",
        periods.poll,
        step(engine, |e| async move { e.hear_changes().await }),
        Some(changes),
    );
    drive(
        "progress_listener",
        periods.poll,
        step(engine, |e| async move { e.hear_progress().await }),
        Some(progress),
    );
    drive(
        "clock_follower",
        periods.clock,
        step(engine, |e| async move { e.follow_clock().await }),
        None,
    );
    drive("stats_folder", periods.fold, step(engine, |e| async move { e.fold().await }), None);
}

/// The loops that look after running jobs and those who have them.
fn watchdogs(
    engine: &Engine,
    periods: &Periods,
    drive: &impl Fn(&'static str, Duration, Step, Option<Arc<Notify>>),
) {
    drive(
        "limit_watchdog",
        periods.deadlines,
        step(engine, |e| async move { e.enforce_limits().await }),
        Some(engine.limits_exceeded()),
    );
    drive(
        "stuck_sweeper",
        engine.sweep_period(),
        step(engine, |e| async move { e.sweep_stuck().await }),
        None,
    );
    drive(
        "drain_keeper",
        periods.leases,
        step(engine, |e| async move { e.settle_drains().await }),
        None,
    );
    drive(
        "slow_watchdog",
        SLOW_PERIOD,
        step(engine, |e| async move { e.watch_slow().await }),
        None,
    );
}

fn step<F, Fut>(engine: &Engine, run: F) -> Step
where
    F: Fn(Engine) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<u64>> + Send + 'static,
{
    let engine = engine.clone();
    Box::new(move || Box::pin(run(engine.clone())))
}

/// No lease is judged during the grace after the server came up, or after the last trouble with the
/// store: its workers had nobody to talk to, or what they said was not written.
fn lease_watchdog(engine: &Engine, grace: Duration) -> Step {
    step(engine, move |engine| async move {
        let health = engine.health();
        let trouble = |_: &_| health.trouble();
        engine.ping().await.inspect_err(trouble)?;
        health.works();
        if Clock::monotonic() < health.ok_since() + grace {
            return Ok(0);
        }
        let ended = engine.expire_sessions().await.inspect_err(trouble)?;
        if ended > 0 {
            engine.nudges().session_ended.notify_one();
        }
        Ok(ended)
    })
}
