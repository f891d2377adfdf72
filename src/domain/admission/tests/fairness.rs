//! Shares and ageing, over a long time.

use uuid::Uuid;

use super::*;
use crate::domain::limits::DISPATCH_BLUR;
use crate::domain::{JobId, WorkerName};

pub(super) fn candidate(
    number: u128,
    queue: &str,
    ready_time: Timestamp,
    priority: Priority,
) -> Candidate {
    Candidate {
        job_id: JobId(Uuid::from_u128(number)),
        queue: super::queue(queue),
        job_type: job_type("t"),
        ready_key: ready_key(ready_time, priority),
        ready_time,
        has_run: false,
        memory_bytes: 0,
        key: None,
        alone: false,
        avoid_worker: None,
    }
}

pub(super) fn worker(name: &str, queues: &[&str], free: usize) -> Room {
    let queues = queues.iter().map(|name| queue(name)).collect();
    Room {
        capacity: Capacity { queues, types: Vec::new(), free },
        worker_id: WorkerName::new(name).unwrap(),
        memory_free: None,
    }
}

fn weighted(weights: &[(&str, u32)]) -> Rules {
    let mut rules = Rules::default();
    for (name, weight) in weights {
        rules.queues.entry(queue(name)).or_default().settings.weight = *weight;
    }
    rules
}

/// How often each queue is served while all of them always have ten jobs waiting.
fn served(rules: &mut Rules, queues: &[&str], starts: usize, free: usize) -> Vec<usize> {
    let waiting: Vec<_> = (0..10 * queues.len())
        .map(|at| {
            let number = u128::try_from(at).unwrap();
            candidate(number, queues[at % queues.len()], NOW, Priority::Normal)
        })
        .collect();
    let mut served = vec![0; queues.len()];
    while served.iter().sum::<usize>() < starts {
        for pick in admit(&waiting, &[worker("w", queues, free)], rules, NOW).picks {
            served[pick.candidate % queues.len()] += 1;
        }
    }
    served
}

#[test]
fn weights_of_3_to_1_give_3_to_1() {
    for free in [1, 3, 7] {
        let mut rules = weighted(&[("a", 3), ("b", 1)]);
        let served = served(&mut rules, &["a", "b"], 10_000, free);
        let total = served[0] + served[1];
        assert!((total * 27 / 40..=total * 33 / 40).contains(&served[0]), "{free}: {served:?}");
    }
}

#[test]
fn a_queue_without_a_weight_counts_as_one_beside_those_with() {
    let mut rules = weighted(&[("a", 2)]);
    let served = served(&mut rules, &["a", "b", "c"], 4_000, 1);
    assert_eq!([served[0], served[1] + served[2]], [2_000, 2_000]);
}

#[test]
fn a_queue_that_paused_saves_nothing_up() {
    let mut rules = weighted(&[("a", 1), ("b", 1)]);
    served(&mut rules, &["a"], 1_000, 1);
    let both = served(&mut rules, &["a", "b"], 100, 1);
    assert_eq!(both, [50, 50]);
    // What was served while there was room for everybody is not held against anybody.
    let few = [candidate(1, "a", NOW, Priority::Normal), candidate(2, "a", NOW, Priority::Normal)];
    for _ in 0..100 {
        assert_eq!(admit(&few, &[worker("w", &["a", "b"], 9)], &mut rules, NOW).picks.len(), 2);
    }
    assert_eq!(served(&mut rules, &["a", "b"], 100, 1), [50, 50]);
}

#[test]
fn a_queue_that_nobody_serves_does_not_hold_up_the_others() {
    let mut rules = weighted(&[("a", 1), ("b", 9)]);
    let waiting = [candidate(1, "b", NOW, Priority::Urgent), candidate(2, "a", NOW, Priority::Low)];
    let admission = admit(&waiting, &[worker("w", &["a"], 2)], &mut rules, NOW);
    assert_eq!(admission.picks[0].candidate, 1);
    assert_eq!(admission.holds[0].1.code(), "NO_WORKER");
}

/// A LOW job among URGENT ones, which come `come` in the time of ten starts; one worker, a start each
/// ten seconds. When does it start?
fn low_starts_after(come: u64, waiting_at_first: u64) -> Duration {
    let tick = Duration::from_secs(10);
    let urgent = |number: u64, ready| candidate(u128::from(number), "q", ready, Priority::Urgent);
    let mut waiting = vec![candidate(u128::MAX, "q", NOW, Priority::Low)];
    waiting.extend((0..waiting_at_first).map(|number| urgent(number, NOW)));
    let (mut now, mut made, mut due) = (NOW, waiting_at_first, 0);
    loop {
        now = now.plus(tick);
        due += come;
        while due >= 10 {
            due -= 10;
            made += 1;
            waiting.push(urgent(made, now));
        }
        let admission = admit(&waiting, &[worker("w", &["q"], 1)], &mut Rules::default(), now);
        for pick in admission.picks {
            if waiting.remove(pick.candidate).job_id.0.as_u128() == u128::MAX {
                return now.since(NOW);
            }
        }
    }
}

#[test]
fn under_endless_urgent_load_a_low_job_starts_within_90_minutes() {
    let most = Duration::from_secs(90 * 60);
    // As many come as go, with a backlog that never ends; and a quarter more than can be done.
    for (come, at_first) in [(10, 1), (10, 60), (12, 0), (12, 20)] {
        let waited = low_starts_after(come, at_first);
        assert!(waited <= most, "{come} {at_first}: {waited:?}");
        // It is a LOW job: it does wait until the boosts are used up.
        assert!(waited >= Duration::from_secs(70 * 60), "{come} {at_first}: {waited:?}");
    }
}

proptest! {
    /// Of each type only the front is seen: whoever starts is not a moment younger than one who was not seen.
    #[test]
    fn nobody_goes_before_those_who_were_not_looked_at(
        waits in prop::collection::vec((0_usize..4, 0_u64..600), 1..60),
        (front, free, weight) in (1_usize..4, 1_usize..30, 0_u32..2),
    ) {
        let mut rules = weighted(&[("b", weight)]);
        let job = |(number, (kind, ago)): (u128, (usize, u64))| Candidate {
            job_type: job_type(["t0", "t1", "t2", "t3"][kind]),
            ..candidate(number, ["a", "a", "b", "c"][kind], NOW.minus(Duration::from_secs(ago)), Priority::Normal)
        };
        let mut waiting: Vec<_> = (0..).zip(waits).map(job).collect();
        waiting.sort_by_key(|job| (job.job_type.clone(), job.ready_key));
        let (mut seen, mut unseen, mut horizons) = (vec![], vec![], Horizons::default());
        for line in waiting.chunk_by(|one, other| one.job_type == other.job_type) {
            let (shown, rest) = line.split_at(front.min(line.len()));
            seen.extend_from_slice(shown);
            unseen.extend_from_slice(rest);
            if !rest.is_empty() {
                horizons.end_at(shown.last().unwrap(), &rules);
            }
        }
        let rooms = [worker("w", &["a", "b", "c"], free)];
        let admission = admit_within(&seen, &horizons, &rooms, &mut rules, NOW);
        prop_assert!(!admission.picks.is_empty(), "somebody stands at the very front");
        for pick in &admission.picks {
            let started = &seen[pick.candidate];
            let in_front = unseen.iter().filter(|job| rules.flow(&job.queue) == rules.flow(&started.queue));
            let first = in_front.map(|job| job.ready_key.plus(DISPATCH_BLUR)).min();
            prop_assert!(first.is_none_or(|first| started.ready_key <= first));
        }
    }
}
