//! How the clock follows a wall clock that somebody sets.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

const START: i64 = 1_780_000_000_000_000;
const SECOND: i64 = 1_000_000;

/// A wall clock that somebody has set by so many microseconds, and the clock that goes by it.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let set_by = Arc::new(AtomicI64::new(0));
    let (began, offset) = (Clock::monotonic(), Arc::clone(&set_by));
    let wall = move || {
        let passed = Clock::monotonic().duration_since(began);
        let moment = Timestamp::from_micros(START).plus(passed).as_micros();
        Timestamp::from_micros(moment + offset.load(Ordering::Relaxed))
    };
    (Clock::by(Arc::new(wall)), set_by)
}

/// Lets this much time pass, a second at a time; the clock must go on at a sane pace all the while.
async fn pass(clock: &Clock, seconds: i64) {
    for _ in 0..seconds {
        let before = clock.now().as_micros();
        tokio::time::advance(Duration::from_secs(1)).await;
        let pace = clock.now().as_micros() - before;
        assert!((SECOND * 9 / 10..=SECOND * 11 / 10).contains(&pace), "{pace} µs in a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_nobody_sets_is_followed_exactly() {
    let (clock, _) = clock();
    assert_eq!(clock.now().as_micros(), START);
    pass(&clock, 200).await;
    assert_eq!(clock.now().as_micros(), START + 200 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_is_made_good_slowly() {
    for step in [-20 * SECOND, 20 * SECOND] {
        let (clock, set_by) = clock();
        set_by.store(step, Ordering::Relaxed);
        pass(&clock, 300).await;
        assert_eq!(clock.now().as_micros(), START + 300 * SECOND + step);
    }
}

#[tokio::test(start_paused = true)]
async fn time_goes_on_however_far_the_wall_clock_is_set() {
    for step in [-START, 1_000 * 24 * 3600 * SECOND] {
        let (clock, set_by) = clock();
        set_by.store(step, Ordering::Relaxed);
        pass(&clock, 200).await;
        let moment = clock.now().as_micros();
        // The first reading after the start takes a minute to come.
        assert!((moment - START - 200 * SECOND).abs() <= 14 * SECOND, "{moment}");
        set_by.store(0, Ordering::Relaxed);
        pass(&clock, 400).await;
        assert_eq!(clock.now().as_micros(), START + 600 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_silence_counts_as_the_time_it_took() {
    let (clock, set_by) = clock();
    set_by.store(3600 * SECOND, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(1_000)).await;
    assert_eq!(clock.now().as_micros(), START + 1_000 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_store_is_followed_whatever_the_wall_clock_says() {
    let (clock, set_by) = clock();
    let store = |seconds: i64| Timestamp::from_micros(START + seconds * SECOND);
    clock.set(store(600));
    assert_eq!(clock.now(), store(600), "a step, at the start");
    set_by.store(3600 * SECOND, Ordering::Relaxed);
    pass(&clock, 200).await;
    assert_eq!(clock.now(), store(800));
    // It drifts by half a second: made good within five.
    clock.follow(Timestamp::from_micros(store(800).as_micros() + SECOND / 2));
    assert_eq!(clock.now(), store(800), "not at once");
    pass(&clock, 10).await;
    assert_eq!(clock.now().as_micros(), store(810).as_micros() + SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn a_leap_of_the_clock_of_a_store_is_followed_fast_and_never_back() {
    let (clock, _) = clock();
    let store = |seconds: i64| Timestamp::from_micros(START + seconds * SECOND);
    clock.set(store(0));
    clock.follow(store(60));
    assert_eq!(clock.now(), store(60));
    clock.follow(store(40));
    assert_eq!(clock.now(), store(60));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(clock.now(), store(70), "half as fast as time");
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(clock.now(), store(80));
}
