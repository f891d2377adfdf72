use std::time::Duration;

use uuid::Uuid;

use crate::domain::admission::{Candidate, Capacity, Horizons, Room, Rules, admit_within};
use crate::domain::limits::{
    DISPATCH_FRONT_MIN, DISPATCH_JOBS_MAX, DISPATCH_PAIRS_MAX, DISPATCH_UNREAD_MAX,
};
use crate::domain::{JobId, JobType, QueueName, Timestamp, WorkerName};

use super::super::line::Pair;
use super::{Depth, Depths};

fn queue() -> QueueName {
    QueueName::new("default").expect("a name")
}

fn pair(number: usize) -> Pair {
    (queue(), JobType::new(&format!("type_{number}")).expect("a name"))
}

fn pairs(count: usize) -> Vec<Pair> {
    (0..count).map(pair).collect()
}

fn limit(depths: &Depths, pairs: &[Pair], of: usize, room: usize) -> usize {
    depths.of(&pairs[of], room, &depths.portions(pairs, room)).limit
}

/// Lines without an end: one job after the other became ready, of each pair in turn.
struct Backlog {
    depths: Depths,
    pairs: Vec<Pair>,
    spacing: Duration,
    /// How many have started, by pair.
    started: Vec<usize>,
}

impl Backlog {
    fn new(count: usize, spacing: Duration) -> Self {
        let started = vec![0; count];
        Self { depths: Depths::default(), pairs: pairs(count), spacing, started }
    }

    fn candidate(&self, of: usize, place: usize) -> Candidate {
        let turn = u32::try_from(place * self.pairs.len() + of).expect("few");
        let ready = Timestamp::from_micros(0).plus(self.spacing * turn);
        let (queue, job_type) = self.pairs[of].clone();
        Candidate {
            job_id: JobId(Uuid::from_u128(turn.into())),
            queue,
            job_type,
            ready_key: ready,
            ready_time: ready,
            has_run: false,
            memory_bytes: 0,
            key: None,
            alone: false,
            avoid_worker: None,
        }
    }

    /// A round with so many places; answers how many jobs it started, and how many it looked at.
    fn round(&mut self, room: usize) -> (usize, usize) {
        let portions = self.depths.portions(&self.pairs, room);
        let (mut candidates, mut of, mut fronts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut horizons, mut rules) = (Horizons::default(), Rules::default());
        for (number, pair) in self.pairs.iter().enumerate() {
            let Depth { limit, is_front } = self.depths.of(pair, room, &portions);
            for place in self.started[number]..self.started[number] + limit {
                candidates.push(self.candidate(number, place));
                of.push(number);
            }
            if is_front {
                horizons.end_at(candidates.last().expect("one at least"), &rules);
            }
            fronts.push((limit, is_front));
        }
        let capacity = Capacity { queues: vec![queue()], types: Vec::new(), free: room };
        let worker_id = WorkerName::new("worker").expect("a name");
        let rooms = [Room { capacity, worker_id, memory_free: None }];
        let now = Timestamp::from_micros(i64::MAX);
        let admission = admit_within(&candidates, &horizons, &rooms, &mut rules, now);
        let mut came_up = vec![0; self.pairs.len()];
        for pick in &admission.picks {
            came_up[of[pick.candidate]] += 1;
        }
        for (number, (offered, is_front)) in fronts.into_iter().enumerate() {
            match (came_up[number] == offered, is_front) {
                (true, true) => {
                    self.depths.all_came_up(&self.pairs[number]);
                }
                (true, false) => {}
                (false, _) => {
                    self.depths.some_came_up(&self.pairs[number], came_up[number], &portions);
                }
            }
            self.started[number] += came_up[number];
        }
        (admission.picks.len(), candidates.len())
    }

    /// The same for several rounds, summed.
    fn rounds(&mut self, count: usize, room: usize) -> (usize, usize) {
        (0..count)
            .map(|_| self.round(room))
            .fold((0, 0), |(starts, looks), (started, looked_at)| {
                (starts + started, looks + looked_at)
            })
    }
}

#[test]
fn one_line_is_looked_at_for_all_that_can_be_taken() {
    let (depths, pairs) = (Depths::default(), pairs(1));
    for room in [1, 10, DISPATCH_JOBS_MAX] {
        let depth = depths.of(&pairs[0], room, &depths.portions(&pairs, room));
        assert_eq!(depth, Depth { limit: room, is_front: false });
    }
}

#[test]
fn of_many_lines_that_wait_alike_all_places_are_filled() {
    let mut backlog = Backlog::new(DISPATCH_PAIRS_MAX, Duration::from_millis(1));
    let (starts, looks) = backlog.rounds(50, 100);
    assert_eq!(starts, 5_000);
    assert!(looks <= 50 * DISPATCH_FRONT_MIN * DISPATCH_PAIRS_MAX, "{looks} looks");
}

#[test]
fn a_line_of_which_somewhat_more_come_up_is_looked_at_for_twice_as_many() {
    let (mut depths, pairs) = (Depths::default(), pairs(DISPATCH_PAIRS_MAX));
    let portions = depths.portions(&pairs, 100);
    let look = |depths: &Depths| depths.of(&pairs[0], 100, &depths.portions(&pairs, 100));
    assert_eq!(look(&depths), Depth { limit: DISPATCH_FRONT_MIN, is_front: true });
    assert!(depths.all_came_up(&pairs[0]));
    assert_eq!(look(&depths), Depth { limit: 2 * DISPATCH_FRONT_MIN, is_front: true });
    depths.some_came_up(&pairs[0], DISPATCH_FRONT_MIN + 1, &portions);
    assert_eq!(look(&depths).limit, 2 * DISPATCH_FRONT_MIN);
    assert!(depths.all_came_up(&pairs[0]));
    assert_eq!(look(&depths), Depth { limit: 100, is_front: false });
    assert!(!depths.all_came_up(&pairs[0]), "there is nothing deeper");
    depths.some_came_up(&pairs[0], 2 * DISPATCH_FRONT_MIN, &portions);
    assert_eq!(look(&depths).limit, 2 * DISPATCH_FRONT_MIN);
    depths.some_came_up(&pairs[0], DISPATCH_FRONT_MIN, &portions);
    assert_eq!(look(&depths).limit, DISPATCH_FRONT_MIN);
}

#[test]
fn a_backlog_of_long_is_taken_by_large_rounds_too() {
    for (count, spacing, room) in
        [(64, 1, 100), (64, 1, 20), (64, 1, 500), (16, 1, 100), (8, 5, 100), (64, 60, 100)]
    {
        // What few places taught is not to hold for many.
        for few in [0, 200] {
            let mut backlog = Backlog::new(count, Duration::from_secs(spacing));
            backlog.rounds(few, 1);
            let (starts, looks) = backlog.rounds(40, room);
            let what =
                format!("{starts} starts, {looks} looks: {count} lines, {spacing} s, {room}");
            assert!(starts * 2 > 40 * room, "{what}");
            assert!(looks < 40 * (DISPATCH_JOBS_MAX + count), "{what}");
        }
    }
}

#[test]
fn a_line_that_has_the_oldest_jobs_alone_is_looked_at_for_all_of_them() {
    let mut backlog = Backlog::new(DISPATCH_PAIRS_MAX, Duration::from_secs(1));
    backlog.started = vec![10_000; DISPATCH_PAIRS_MAX];
    backlog.started[7] = 0;
    backlog.rounds(3, 500);
    assert_eq!(backlog.round(500).0, 500);
}

#[test]
fn few_places_are_filled_by_one_round_each_from_a_line_that_has_the_oldest_jobs() {
    for room in 5..=20 {
        let mut backlog = Backlog::new(DISPATCH_PAIRS_MAX, Duration::from_secs(1));
        backlog.started = vec![10_000; DISPATCH_PAIRS_MAX];
        backlog.started[7] = 0;
        let mut rounds = 0;
        for _ in 0..40 {
            let mut left = room;
            while left > 0 {
                left -= backlog.round(left).0;
                rounds += 1;
            }
        }
        assert!(rounds <= 44, "{rounds} rounds for 40 times {room} places");
    }
}

#[test]
fn a_round_looks_at_no_more_than_it_may() {
    for spacing in [0, 1, 1_000, 60_000] {
        let mut backlog = Backlog::new(DISPATCH_PAIRS_MAX, Duration::from_millis(spacing));
        for _ in 0..60 {
            let (_, looks) = backlog.round(DISPATCH_JOBS_MAX);
            assert!(looks <= DISPATCH_JOBS_MAX + DISPATCH_PAIRS_MAX, "{looks}");
        }
    }
}

#[test]
fn where_the_front_does_not_tell_it_is_looked_past() {
    let (mut depths, pairs) = (Depths::default(), pairs(10));
    assert!(depths.all_held_alone(&pairs[0]));
    assert!(!depths.all_held_alone(&pairs[0]));
    let portions = depths.portions(&pairs, 10);
    let depth = depths.of(&pairs[0], 1, &portions);
    assert!(depth.limit > DISPATCH_JOBS_MAX / 2 && !depth.is_front, "{depth:?}");
    depths.none_held_alone(&pairs[0]);
    assert!(depths.unread(&pairs[0], 3));
    assert!(!depths.unread(&pairs[0], 2), "no more than before");
    assert!(depths.unread(&pairs[0], DISPATCH_UNREAD_MAX));
    assert_eq!(limit(&depths, &pairs, 0, 1), 1 + DISPATCH_UNREAD_MAX);
    assert!(!depths.unread(&pairs[0], 0));
    assert_eq!(limit(&depths, &pairs, 0, 1), 1);
}
