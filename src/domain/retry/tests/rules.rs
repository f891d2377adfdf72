//! What errors mean.

use super::*;
use crate::domain::job::{Priority, ResourceLimits};
use crate::domain::status::Effective;
use crate::domain::{QueueName, WorkerName};

fn rule(codes: &[&str]) -> RetryRule {
    RetryRule {
        codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        retry: true,
        delays: Vec::new(),
        change: Change::default(),
    }
}

fn effective(memory_bytes: u64) -> Effective {
    Effective {
        queue: QueueName::default(),
        priority: Priority::Normal,
        limits: ResourceLimits { memory_bytes, cpu_percent: 0.0 },
        avoid_worker: None,
    }
}

#[test]
fn patterns_fit_codes() {
    for (pattern, fitting, other) in [
        ("HTTP_4*", "HTTP_404", "HTTP_500"),
        ("HTTP_4??", "HTTP_404", "HTTP_4040"),
        ("*", "", "?"),
        ("*_LIMIT", "RATE_LIMIT", "RATE_LIMITED"),
        ("A*B*C", "AxxByyBzC", "AxxC"),
        ("", "", "X"),
        ("OOM", "OOM", "oom"),
    ] {
        assert!(RetryRule::find(&[rule(&[pattern])], fitting).is_some(), "{pattern} {fitting}");
        let found = RetryRule::find(&[rule(&[pattern])], other).is_some();
        assert_eq!(found, pattern == "*", "{pattern} {other}");
    }
}

#[test]
fn the_first_rule_that_fits_holds() {
    let rules = [rule(&["A", "B"]), RetryRule { retry: false, ..rule(&["*"]) }];
    assert!(RetryRule::find(&rules, "B").unwrap().retry);
    assert!(!RetryRule::find(&rules, "C").unwrap().retry);
    assert_eq!(RetryRule::find(&[], "C"), None);
}

#[test]
fn memory_grows_to_its_end_and_never_shrinks() {
    let change = |factor, most| Change {
        memory_factor: factor,
        memory_bytes_max: most,
        ..Change::default()
    };
    let after = |change: Change, held| change.apply(&effective(held), None).limits.memory_bytes;
    assert_eq!(after(change(1.5, 0), 1_000), 1_500);
    assert_eq!(after(change(1.5, 1_200), 1_000), 1_200);
    assert_eq!(after(change(1.5, 500), 1_000), 1_000);
    assert_eq!(after(change(10.0, 0), u64::MAX), u64::MAX);
    assert_eq!(after(change(1.5, 0), 0), 0);
    assert_eq!(after(Change::default(), 7), 7);
}

#[test]
fn a_change_is_what_is_in_force_from_then_on() {
    let change = Change {
        queue: Some(QueueName::new("slow").unwrap()),
        priority: Some(Priority::Low),
        avoid_worker: true,
        ..Change::default()
    };
    let worker = WorkerName::new("w1").unwrap();
    let next = change.apply(&effective(5), Some(&worker));
    assert_eq!((next.queue.as_str(), next.priority), ("slow", Priority::Low));
    assert_eq!((next.avoid_worker.as_ref(), next.limits.memory_bytes), (Some(&worker), 5));
    // Where it failed before that is no reason to keep away now.
    assert_eq!(Change::default().apply(&next, Some(&worker)).avoid_worker, None);
}

#[test]
fn delays_go_in_order_and_repeat_their_last() {
    let rule = RetryRule { delays: [60, 300].map(Duration::from_secs).to_vec(), ..rule(&["*"]) };
    let waits = [0, 1, 2, 3, u32::MAX].map(|attempt| rule.delay(attempt).unwrap().as_secs());
    assert_eq!(waits, [60, 60, 300, 300, 300]);
    assert_eq!(super::super::RetryRule { delays: Vec::new(), ..rule }.delay(1), None);
}

proptest! {
    #[test]
    fn a_pattern_fits_what_it_was_made_of(parts in prop::collection::vec("[A-C]{0,3}", 1..5), fill in "[A-C]{0,4}") {
        let pattern = parts.join("*");
        let code = parts.join(&fill);
        prop_assert!(RetryRule::find(&[rule(&[&pattern])], &code).is_some());
    }
}
