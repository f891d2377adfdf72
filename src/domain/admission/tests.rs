//! Who gets what.

mod fairness;
mod rules;

use proptest::prelude::*;

use self::fairness::{candidate, worker};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn job_type(name: &str) -> JobType {
    JobType::new(name).unwrap()
}

fn waiting(ready: i64) -> Candidate {
    let ready_key = Timestamp::from_micros(ready);
    Candidate { ready_key, ..candidate(0, "q", NOW, Priority::Normal) }
}

/// Which job goes to which worker, by their places, where there are no rules.
fn pick(jobs: &[Candidate], capacities: &[Capacity]) -> Vec<(usize, usize)> {
    let rooms = capacities.iter().cloned().enumerate();
    let rooms = rooms.map(|(at, capacity)| Room { capacity, ..worker(&format!("w{at}"), &[], 0) });
    let rooms: Vec<_> = rooms.collect();
    let picks = admit(jobs, &rooms, &mut Rules::default(), NOW).picks;
    picks.into_iter().map(|pick| (pick.candidate, pick.room)).collect()
}

fn room(free: usize) -> Capacity {
    Capacity { queues: vec![queue("q")], types: Vec::new(), free }
}

#[test]
fn urgency_counts_as_time_waited() {
    let key = |priority| ready_key(NOW, priority);
    assert_eq!(key(Priority::Urgent), NOW.minus(Duration::from_secs(3_600)));
    assert_eq!(key(Priority::High), NOW.minus(Duration::from_secs(600)));
    assert_eq!(key(Priority::Normal), NOW);
    assert_eq!(key(Priority::Low), NOW.plus(Duration::from_secs(600)));
}

#[test]
fn what_waited_long_enough_goes_before_what_is_urgent() {
    let patient = ready_key(NOW.minus(Duration::from_secs(3_601)), Priority::Normal);
    assert!(patient < ready_key(NOW, Priority::Urgent));
}

#[test]
fn a_key_at_the_ends_of_time_does_not_wrap() {
    let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    assert_eq!(ready_key(first, Priority::Urgent), first);
    assert_eq!(ready_key(last, Priority::Low), last);
}

#[test]
fn the_front_of_the_line_goes_first() {
    let jobs = [waiting(3), waiting(1), waiting(2)];
    assert_eq!(pick(&jobs, &[room(2)]), [(1, 0), (2, 0)]);
}

#[test]
fn of_two_equals_the_first_goes_first() {
    assert_eq!(pick(&[waiting(1), waiting(1)], &[room(1)]), [(0, 0)]);
}

#[test]
fn a_worker_gets_only_what_it_takes() {
    let other_type = Candidate { job_type: job_type("other"), ..waiting(1) };
    let other_queue = Candidate { queue: queue("other"), ..waiting(2) };
    let jobs = [other_type, other_queue, waiting(3)];
    let choosy = Capacity { types: vec![job_type("t")], ..room(9) };
    assert_eq!(pick(&jobs, std::slice::from_ref(&choosy)), [(2, 0)]);
    let any = Capacity { queues: vec![queue("q"), queue("other")], ..room(9) };
    assert_eq!(pick(&jobs, &[choosy, any]), [(0, 1), (1, 1), (2, 0)]);
    assert!(pick(&jobs, &[Capacity { queues: Vec::new(), ..room(9) }]).is_empty());
}

#[test]
fn the_roomiest_worker_gets_the_next_one() {
    let jobs = [waiting(1), waiting(2), waiting(3), waiting(4)];
    assert_eq!(pick(&jobs, &[room(1), room(3)]), [(0, 1), (1, 1), (2, 0), (3, 1)]);
}

#[test]
fn nobody_with_room_gets_nothing() {
    assert!(pick(&[waiting(1)], &[room(0)]).is_empty());
    assert!(pick(&[waiting(1)], &[]).is_empty());
    assert!(pick(&[], &[room(1)]).is_empty());
}

prop_compose! {
    fn any_waiting()(queue_at in 0..2, type_at in 0..2, ready in 0_i64..20) -> Candidate {
        Candidate {
            queue: queue(["q", "r"][usize::try_from(queue_at).unwrap()]),
            job_type: job_type(["t", "u"][usize::try_from(type_at).unwrap()]),
            ..waiting(ready)
        }
    }
}

fn any_capacity() -> impl Strategy<Value = Capacity> {
    let queues = prop_oneof![
        Just(vec![queue("q")]),
        Just(vec![queue("r")]),
        Just(vec![queue("q"), queue("r")])
    ];
    let types = prop_oneof![Just(Vec::new()), Just(vec![job_type("t")])];
    (queues, types, 0_usize..5).prop_map(|(queues, types, free)| Capacity { queues, types, free })
}

proptest! {
    #[test]
    fn no_job_goes_twice_and_no_worker_gets_more_than_it_asked_for(
        jobs in prop::collection::vec(any_waiting(), 0..30),
        capacities in prop::collection::vec(any_capacity(), 0..5),
    ) {
        let picked = pick(&jobs, &capacities);
        let mut gone = vec![false; jobs.len()];
        let mut used = vec![0; capacities.len()];
        for (job, worker) in &picked {
            prop_assert!(!gone[*job]);
            gone[*job] = true;
            used[*worker] += 1;
            prop_assert!(capacities[*worker].accepts(&jobs[*job].queue, &jobs[*job].job_type));
        }
        for (used, capacity) in used.iter().zip(&capacities) {
            prop_assert!(*used <= capacity.free);
        }
        let keys: Vec<_> = picked.iter().map(|(job, _)| jobs[*job].ready_key).collect();
        prop_assert!(keys.is_sorted());
        let mut free: Vec<_> = capacities.iter().map(|capacity| capacity.free).collect();
        for (job, worker) in &picked {
            let job = &jobs[*job];
            let takers = (0..free.len())
                .filter(|at| capacities[*at].accepts(&job.queue, &job.job_type));
            let roomiest = takers.max_by_key(|at| (free[*at], usize::MAX - at));
            prop_assert_eq!(Some(*worker), roomiest);
            free[*worker] -= 1;
        }
        // Who stays behind finds no room left with anybody who would take it.
        for (job, _) in jobs.iter().zip(&gone).filter(|(_, gone)| !**gone) {
            for (used, capacity) in used.iter().zip(&capacities) {
                let takes = capacity.accepts(&job.queue, &job.job_type);
                prop_assert!(!takes || *used == capacity.free);
            }
        }
    }
}

#[test]
fn one_job_is_told_as_one() {
    let job_type = job_type("sync");
    let full = |running| Hold::TypeFull { job_type: job_type.clone(), running, max: 1 }.to_string();
    assert_eq!(full(1), "1 job of type sync runs, at most 1 may run");
    assert_eq!(full(2), "2 jobs of type sync run, at most 1 may run");
    let other = Hold::Overlap { running: 1 }.to_string();
    assert_eq!(other, "it starts alone, and 1 other job of its type runs");
}
