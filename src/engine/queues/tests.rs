use crate::domain::stats::StatKey;

use super::*;

fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a name")
}

fn job_type(name: &str) -> JobType {
    JobType::new(name).expect("a name")
}

fn count(of: &str, state: StateKind, stored: i64) -> Count {
    let key = StatKey { job_type: job_type("t"), queue: queue(of) };
    Count { key, state, stored, finished_total: 0 }
}

#[test]
fn queues_add_up_their_types_and_stand_by_name() {
    let counts = [
        count("slow", StateKind::Pending, 2),
        count("fast", StateKind::Pending, 1),
        count("slow", StateKind::Pending, 3),
        count("slow", StateKind::Running, 4),
    ];
    let second = |at: i64| Timestamp::from_micros(at * 1_000_000);
    let oldest =
        [(queue("slow"), job_type("a"), second(70)), (queue("slow"), job_type("b"), second(40))];
    let queues = by_name(&counts, &oldest, &Rulebook::default(), second(100));
    let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["fast", "slow"]);
    assert_eq!(queues[0].oldest_pending_age, None);
    assert_eq!(queues[1].oldest_pending_age, Some(Duration::from_secs(60)));
    assert_eq!(queues[1].counts[&StateKind::Pending], 5);
    assert_eq!(queues[1].counts[&StateKind::Running], 4);
}
