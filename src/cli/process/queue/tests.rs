//! What waits, and who waits for it.

use std::time::Duration;

use super::*;
use crate::cli::process::Stream;
use crate::domain::{LogLevel, Timestamp};

fn line(text: String) -> Line {
    Line { stream: Stream::Stdout, time: Timestamp::from_micros(0), level: LogLevel::Info, text }
}

fn fill(queue: &Queue) -> u64 {
    let mut lines = 0;
    while !queue.waiting.lock().is_over() {
        queue.line(line("x".repeat(1000)));
        lines += 1;
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_waits_until_lines_are_taken() {
    let queue = Queue::default();
    let mut events = queue.events();
    queue.room().await;
    fill(&queue);
    let waits = tokio::time::timeout(PROCESS_ROOM_WITHIN / 2, queue.room());
    assert!(waits.await.is_err(), "there is no room");
    let (mut room, began) = (std::pin::pin!(queue.room()), crate::runtime::Clock::monotonic());
    assert!(futures_util::poll!(&mut room).is_pending());
    assert!(matches!(events.next().await, Some(Event::Line(_))));
    room.await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_long_for_one_who_takes_nothing() {
    let queue = Queue::default();
    let mut events = queue.events();
    let mut lines = fill(&queue);
    let began = crate::runtime::Clock::monotonic();
    queue.room().await;
    assert_eq!(began.elapsed(), PROCESS_ROOM_WITHIN);
    // From here on there is no waiting, and the oldest give way.
    for _ in 0..2 * PROCESS_LINES_BYTES_MAX / 1000 {
        queue.line(line("y".repeat(1000)));
        queue.room().await;
        lines += 1;
    }
    assert_eq!(began.elapsed(), PROCESS_ROOM_WITHIN);
    let Some(Event::Dropped(dropped)) = events.next().await else { panic!("none dropped") };
    queue.ended(Ended {
        how: crate::cli::process::How::Code(0),
        over: None,
        stopped: false,
        result: None,
        result_problem: None,
        stderr_tail: Vec::new(),
        progress: None,
        usage: None,
        quota_use: std::collections::BTreeMap::new(),
        left_behind: 0,
        unkillable: 0,
    });
    let mut left = 0;
    while let Some(Event::Line(_)) = events.next().await {
        left += 1;
    }
    assert_eq!(dropped + left, lines, "each line is there or counted");
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn without_a_listener_nobody_waits() {
    let queue = Queue::default();
    drop(queue.events());
    fill(&queue);
    let began = crate::runtime::Clock::monotonic();
    queue.room().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn of_progress_the_newest_is_told_and_before_lines() {
    let queue = Queue::default();
    let mut events = queue.events();
    queue.line(line("a".to_owned()));
    for completed in 1..=3 {
        queue.progress(Reading { completed: Some(completed), ..Reading::default() });
    }
    let Some(Event::Progress(reading)) = events.next().await else { panic!("no progress") };
    assert_eq!(reading.completed, Some(3));
    assert!(matches!(events.next().await, Some(Event::Line(_))));
}
