//! When a loop runs again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::engine::Error;
use crate::runtime::Tasks;

/// How long it takes until the step runs for the time with this number; `fails` says of each whether it fails.
async fn seconds_until_run(
    wanted: u64,
    fails: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> u64 {
    let runs = Arc::new(AtomicU64::new(0));
    let (shutdown, done) = (Shutdown::new(), Arc::new(Notify::new()));
    let driver = Driver {
        name: "test",
        period: Duration::from_secs(3_600),
        nudge: Arc::new(Notify::new()),
        rest: None,
        board: LoopBoard::default(),
        clock: Clock::default(),
    };
    let told = Arc::clone(&done);
    let step: Step = Box::new(move || {
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        if run == wanted {
            told.notify_one();
        }
        let answer = if fails(run) { Err(Error::Overloaded) } else { Ok(0) };
        Box::pin(async move { answer })
    });
    let tasks = Tasks::new();
    let began = Clock::monotonic();
    tasks.spawn("loop", driver.run(step, shutdown.clone()));
    done.notified().await;
    shutdown.signal();
    Clock::monotonic().duration_since(began).as_secs()
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_soon_and_not_too_often() {
    assert_eq!(seconds_until_run(2, |run| run == 1).await, 1);
    // After 1, 2, 4, 8 and then 10 s.
    assert_eq!(seconds_until_run(6, |_| true).await, 25);
    // Once it works, a whole period, one tenth more or less.
    let rested = seconds_until_run(3, |run| run == 1).await;
    assert!((3_240..=3_962).contains(&rested), "{rested}");
}
