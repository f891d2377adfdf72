//! What is known of where jobs wait.

use std::time::Duration;

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::*;
use crate::domain::JobId;
use crate::domain::circuit::{CircuitDecision, CircuitPhase, CircuitSpec, CircuitState};

fn pair(queue: &str) -> Pair {
    (QueueName::new(queue).expect("a name"), JobType::new("sync").expect("a name"))
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn line(due: &[(&str, i64)]) -> Line {
    let line = Line::default();
    for (queue, at) in due {
        let (queue, job_type) = pair(queue);
        line.ready(&queue, &job_type, moment(*at), moment(0));
    }
    line
}

#[test]
fn what_is_due_is_no_longer_ahead_even_if_nobody_takes_it() {
    let line = line(&[("now", 0), ("soon", 10), ("later", 20)]);
    assert_eq!(line.next_due(), Some(moment(10)));
    line.ripen(moment(10));
    assert_eq!(line.next_due(), Some(moment(20)));
    assert_eq!(line.take(9, |_| false), []);
    assert_eq!(line.take(9, |_| true), [pair("now"), pair("soon")]);
    assert_eq!(line.take(9, |_| true), []);
    line.ripen(moment(30));
    assert_eq!((line.next_due(), line.take(9, |_| true)), (None, vec![pair("later")]));
}

#[test]
fn every_pair_gets_its_turn() {
    let line = line(&[("a", 0), ("b", 0), ("c", 0)]);
    assert_eq!(line.take(2, |_| true), [pair("a"), pair("b")]);
    line.more(pair("a"));
    assert_eq!(line.take(2, |_| true), [pair("c"), pair("a")]);
}

#[test]
fn every_queue_has_a_part_however_many_types_wait_in_one() {
    let line = Line::default();
    let mark = |queue: &str, kind: usize| {
        let job_type = JobType::new(&format!("t{kind}")).expect("a name");
        line.ready(&pair(queue).0, &job_type, moment(0), moment(0));
    };
    (0..9).for_each(|kind| mark("a", kind));
    (0..9).for_each(|kind| mark("b", kind));
    mark("c", 0);
    let told = |pairs: Vec<Pair>| -> String {
        let words = pairs.iter().map(|(queue, job_type)| format!("{queue}/{job_type}"));
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told(line.take(6, |_| true)), "a/t0 b/t0 c/t0 a/t1 b/t1 a/t2");
    // From where it ended, each queue by itself.
    assert_eq!(told(line.take(4, |_| true)), "b/t2 a/t3 b/t3 a/t4");
    mark("a", 0);
    assert_eq!(told(line.take(20, |_| true)), "b/t4 a/t5 b/t5 a/t6 b/t6 a/t7 b/t7 a/t8 b/t8 a/t0");
    assert_eq!(line.take(9, |_| true), []);
    assert_eq!(line.state.lock().pairs, 19);
}

fn kind() -> JobType {
    JobType::new("sync").expect("a name")
}

fn full(queue: &str) -> Hold {
    let queue = QueueName::new(queue).expect("a name");
    Hold::QueueFull { queue, running: 1, max: 1 }
}

#[test]
fn a_full_queue_keeps_its_marks_and_is_passed_by_until_a_job_of_it_ends() {
    let line = line(&[("a", 0), ("b", 0)]);
    line.listen();
    assert_eq!(line.take(9, |_| true), [pair("a"), pair("b")]);
    line.more(pair("a"));
    line.hold(&pair("a"), &full("a"), moment(0));
    assert_eq!(line.take(9, |_| true), []);
    line.freed(&pair("b").0, &kind());
    assert_eq!(line.take(9, |_| true), []);
    line.freed(&pair("a").0, &kind());
    assert_eq!(line.take(9, |_| true), [pair("a")]);
}

#[test]
fn what_ended_while_a_round_read_is_not_closed_by_it() {
    let line = line(&[("a", 0)]);
    line.listen();
    line.freed(&pair("a").0, &kind());
    line.hold(&pair("a"), &full("a"), moment(0));
    assert_eq!(line.take(9, |_| true), [pair("a")]);
    line.freed(&pair("a").0, &kind());
    assert_eq!(line.state.lock().closed.park(pair("a")), Some(pair("a")));
}

#[test]
fn a_full_server_passes_everything_by_until_any_job_ends() {
    let line = line(&[("a", 0), ("b", 0)]);
    line.listen();
    line.hold(&pair("a"), &Hold::ServerFull { running: 1, max: 1 }, moment(0));
    assert_eq!(line.take(9, |_| true), []);
    line.freed(&pair("c").0, &kind());
    assert_eq!(line.take(9, |_| true), [pair("a"), pair("b")]);
}

#[test]
fn a_spent_rate_opens_by_the_clock_and_not_by_an_end() {
    let line = line(&[("a", 0)]);
    line.listen();
    let queue = pair("a").0;
    let spent = Hold::QueueRate { queue: queue.clone(), until: moment(5) };
    line.hold(&pair("a"), &spent, moment(0));
    line.freed(&queue, &kind());
    line.freed_elsewhere();
    assert_eq!((line.take(9, |_| true), line.next_due()), (vec![], Some(moment(5))));
    line.ripen(moment(5));
    assert_eq!((line.take(9, |_| true), line.next_due()), (vec![pair("a")], None));
}

#[test]
fn a_parked_pair_comes_back_with_the_end_of_a_job_of_its_type_or_with_a_new_look() {
    let line = line(&[("a", 0)]);
    let again: [&dyn Fn(); 3] =
        [&|| line.freed(&pair("b").0, &kind()), &|| line.freed_elsewhere(), &|| line.reopen()];
    for again in again {
        assert_eq!(line.take(9, |_| true), [pair("a")]);
        line.listen();
        line.park(pair("a"));
        assert_eq!(line.take(9, |_| true), []);
        again();
    }
    assert_eq!(line.take(9, |_| true), [pair("a")]);
}

#[test]
fn what_ended_while_a_round_read_wakes_the_next_one() {
    let woken = |line: &Line| line.hinted().now_or_never().is_some();
    let finds: [&dyn Fn(&Line); 2] =
        [&|line| line.hold(&pair("a"), &full("a"), moment(0)), &|line| line.park(pair("a"))];
    for find in finds {
        let line = line(&[("a", 0)]);
        assert_eq!((woken(&line), line.take(9, |_| true)), (true, vec![pair("a")]));
        line.listen();
        line.freed(&pair("a").0, &kind());
        assert!(!woken(&line), "nothing was closed yet");
        find(&line);
        assert!(woken(&line));
        line.listen();
        find(&line);
        assert!(!woken(&line), "it is found once");
    }
}

#[test]
fn a_probe_that_outlives_its_time_is_waited_for_without_a_look_at_each_moment() {
    let spec = CircuitSpec {
        max_failures: 1,
        probe_after: Some(Duration::from_secs(1)),
        ..CircuitSpec::default()
    };
    let phase = CircuitPhase::Open { since: moment(0), next_probe_time: moment(0) };
    let open = CircuitState { revision: 1, phase };
    let probing = open.begin_probe(&spec, JobId(Uuid::nil()), moment(0)).expect("a probe");
    let line = line(&[("a", 0)]);
    let (mut rounds, mut now) = (0, moment(0));
    while now < moment(10) {
        line.ripen(now);
        if line.take(9, |_| true).is_empty() {
            // As the dispatcher does: it waits until then, for a moment at least.
            now = now.plus(Duration::from_millis(1)).max(line.next_due().unwrap_or(moment(10)));
            continue;
        }
        rounds += 1;
        line.listen();
        let CircuitDecision::Refuse { next_probe_time } = probing.decide(&spec, now) else {
            panic!("it tries with one")
        };
        line.hold(&pair("a"), &Hold::CircuitOpen { next_probe_time }, now);
        line.park(pair("a"));
    }
    assert_eq!(rounds, 2, "at first, and when its time is over");
    line.freed(&pair("a").0, &kind());
    assert_eq!(line.take(9, |_| true), [pair("a")]);
}
