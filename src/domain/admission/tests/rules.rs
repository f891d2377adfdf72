//! Rounds under rules.

use std::collections::BTreeMap;

use super::fairness::{candidate, worker};
use super::*;
use crate::domain::circuit::{CircuitReport, CircuitSpec, CircuitState};
use crate::domain::quota::{OnExhausted, Period, Quota, QuotaSpec, QuotaState};
use crate::domain::rate::StartRate;
use crate::domain::status::SkipReason;
use crate::domain::validate::Violations;
use crate::domain::{JobId, QuotaName, WorkerName};

fn jobs(count: u128) -> Vec<Candidate> {
    (0..count)
        .map(|number| {
            let ready = NOW.minus(Duration::from_secs(100 - u64::try_from(number).unwrap()));
            candidate(number, "q", ready, Priority::Normal)
        })
        .collect()
}

fn kind(rules: &mut Rules) -> &mut TypeRules {
    rules.types.entry(job_type("t")).or_default()
}

fn line(rules: &mut Rules) -> &mut QueueRules {
    rules.queues.entry(queue("q")).or_default()
}

fn round(jobs: &[Candidate], free: usize, rules: &mut Rules) -> Admission {
    admit(jobs, &[worker("w", &["q"], free)], rules, NOW)
}

fn codes(admission: &Admission) -> Vec<&'static str> {
    admission.holds.iter().map(|(_, hold)| hold.code()).collect()
}

#[test]
fn whoever_is_left_over_waits_for_a_worker() {
    let rooms = [worker("w", &["q"], 3), worker("v", &["r"], 1)];
    let admission = admit(&jobs(5), &rooms, &mut Rules::default(), NOW);
    assert_eq!(admission.picks.len(), 3);
    assert_eq!(codes(&admission), ["WORKERS_BUSY", "WORKERS_BUSY"]);
}

#[test]
fn nothing_is_asked_of_those_for_whom_nobody_is_left() {
    let admission = round(&jobs(5), 3, &mut Rules::default());
    assert_eq!((admission.picks.len(), codes(&admission)), (3, vec![]));
}

#[test]
fn a_paused_queue_starts_nothing_and_says_why() {
    let mut rules = Rules::default();
    line(&mut rules).settings.paused = true;
    line(&mut rules).settings.pause_reason = "night".to_owned();
    let admission = round(&jobs(1), 1, &mut rules);
    assert_eq!(admission.holds[0].1.to_string(), "queue q is paused: night");
}

#[test]
fn each_cap_counts_what_runs_and_what_starts() {
    type Cap = fn(&mut Rules);
    let caps: [(Cap, &str); 3] = [
        (|rules| (rules.server_max, rules.server_running) = (3, 1), "SERVER_FULL"),
        (
            |rules| {
                line(rules).settings.max_running = 3;
                line(rules).running = 1;
            },
            "QUEUE_FULL",
        ),
        (
            |rules| {
                kind(rules).max_concurrent = 3;
                kind(rules).running = 1;
            },
            "TYPE_FULL",
        ),
    ];
    for (cap, code) in caps {
        let mut rules = Rules::default();
        cap(&mut rules);
        let admission = round(&jobs(3), 9, &mut rules);
        assert_eq!((admission.picks.len(), codes(&admission)), (2, vec![code]));
    }
}

#[test]
fn a_label_value_has_a_cap_of_its_own() {
    let mut rules = Rules::default();
    kind(&mut rules).key_max = 1;
    rules.keys.insert((job_type("t"), "ann".to_owned()), 1);
    let mut jobs = jobs(4);
    for (job, key) in jobs.iter_mut().zip([Some("ann"), Some("bob"), Some("bob"), None]) {
        job.key = key.map(str::to_owned);
    }
    let admission = round(&jobs, 9, &mut rules);
    let picked: Vec<_> = admission.picks.iter().map(|pick| pick.candidate).collect();
    assert_eq!(picked, [1, 3]);
    assert_eq!(codes(&admission), ["CONCURRENCY_KEY_FULL"; 2]);
}

#[test]
fn a_run_that_starts_alone_waits_for_the_others() {
    let mut rules = Rules::default();
    kind(&mut rules);
    let mut jobs = jobs(2);
    jobs[1].alone = true;
    let admission = round(&jobs, 9, &mut rules);
    assert_eq!((admission.picks.len(), codes(&admission)), (1, vec!["OVERLAP"]));
    kind(&mut rules).running = 0;
    assert_eq!(round(&jobs[1..], 9, &mut rules).picks.len(), 1);
}

#[test]
fn start_rates_give_tokens_to_what_starts_and_to_nothing_else() {
    let rate = StartRate { count: 2, period: Duration::from_secs(60), burst: 0 };
    let mut rules = Rules::default();
    line(&mut rules).settings.start_rate = Some(rate);
    let admission = round(&jobs(3), 9, &mut rules);
    assert_eq!((admission.picks.len(), codes(&admission)), (2, vec!["QUEUE_RATE"]));
    let until = admission.holds[0].1.until().unwrap();
    assert!(until.since(NOW) > Duration::from_secs(29), "{until:?}");
    let mut rules = Rules::default();
    kind(&mut rules).start_rate = Some(rate);
    // Nobody has room, so nothing is taken.
    round(&jobs(3), 0, &mut rules);
    assert_eq!(round(&jobs(3), 9, &mut rules).picks.len(), 2);
    assert_eq!(codes(&round(&jobs(1), 9, &mut rules)), ["TYPE_RATE"]);
}

#[test]
fn memory_of_a_worker_is_given_out_once() {
    let mut jobs = jobs(4);
    for (job, bytes) in jobs.iter_mut().zip([60, 50, 40, 0]) {
        job.memory_bytes = bytes;
    }
    let mut room = worker("w", &["q"], 9);
    room.memory_free = Some(100);
    let admission = admit(&jobs, &[room], &mut Rules::default(), NOW);
    let picked: Vec<_> = admission.picks.iter().map(|pick| pick.candidate).collect();
    assert_eq!(picked, [0, 2, 3]);
    assert_eq!(admission.holds, [(1, Hold::NoMemory { needed: 50, most_free: 40 })]);
}

#[test]
fn a_job_keeps_away_from_where_it_failed_for_a_while() {
    let mut jobs = jobs(1);
    jobs[0].avoid_worker = Some(WorkerName::new("bad").unwrap());
    let (bad, good) = (worker("bad", &["q"], 9), worker("good", &["q"], 1));
    let both = [bad.clone(), good];
    let admission = admit(&jobs, &both, &mut Rules::default(), NOW);
    assert_eq!(admission.picks[0].room, 1);
    let bad = [bad];
    let admission = admit(&jobs, &bad, &mut Rules::default(), NOW);
    let until = jobs[0].avoids_until();
    assert_eq!(
        (codes(&admission), admission.holds[0].1.until()),
        (vec!["AVOIDS_WORKER"], Some(until))
    );
    assert_eq!(admit(&jobs, &bad, &mut Rules::default(), until).picks.len(), 1);
}

#[test]
fn a_disabled_type_skips_fresh_jobs_and_holds_the_others() {
    let mut rules = Rules::default();
    kind(&mut rules).disabled = true;
    let mut jobs = jobs(2);
    jobs[1].has_run = true;
    let admission = round(&jobs, 9, &mut rules);
    assert_eq!(admission.skips, [(0, SkipReason::TypeDisabled)]);
    assert_eq!(codes(&admission), ["TYPE_DISABLED"]);
    // Before it comes up it is not skipped.
    line(&mut rules).settings.paused = true;
    assert_eq!(codes(&round(&jobs, 9, &mut rules)), ["QUEUE_PAUSED", "QUEUE_PAUSED"]);
}

#[test]
fn an_open_breaker_skips_and_then_lets_one_through() {
    let circuit = CircuitSpec { max_failures: 1, ..CircuitSpec::default() };
    let failed = JobId(uuid::Uuid::max());
    let open = |at| {
        let closed = CircuitState::default();
        closed.after(&circuit, failed, CircuitReport::Failed, at).unwrap().0
    };
    let mut rules = Rules::default();
    kind(&mut rules).circuit = circuit.clone();
    kind(&mut rules).circuit_state = open(NOW);
    let admission = round(&jobs(2), 9, &mut rules);
    assert_eq!(admission.skips.len(), 2);
    assert!(admission.skips.iter().all(|(_, reason)| *reason == SkipReason::CircuitOpen));
    kind(&mut rules).circuit_state = open(NOW.minus(Duration::from_secs(300)));
    let admission = round(&jobs(2), 9, &mut rules);
    assert!(admission.picks[0].probe);
    assert_eq!(admission.skips, [(1, SkipReason::CircuitOpen)]);
    assert_eq!(kind(&mut rules).circuit_state.phase_name(), "HALF_OPEN");
}

fn with_quota(limit: u64, cost: u64, on_exhausted: OnExhausted) -> Rules {
    let spec = QuotaSpec { limit, period: Period::Day, time_zone: String::new(), on_exhausted };
    let quota: Quota = spec.compile("", &mut Violations::default()).unwrap();
    let name = QuotaName::new("youtube").unwrap();
    let mut rules = Rules::default();
    kind(&mut rules).quota_costs = BTreeMap::from([(name.clone(), cost)]);
    rules.quotas.insert(name, (quota, QuotaState::default()));
    rules
}

#[test]
fn what_a_quota_has_is_drawn_once() {
    let mut rules = with_quota(100, 40, OnExhausted::Wait);
    let admission = round(&jobs(3), 9, &mut rules);
    assert_eq!((admission.picks.len(), codes(&admission)), (2, vec!["QUOTA_EXHAUSTED"]));
    assert!(admission.picks.iter().all(|pick| pick.draws.values().all(|draw| draw.units == 40)));
    assert_eq!(rules.quotas.values().next().unwrap().1.used, 80);
    assert!(admission.holds[0].1.until().unwrap() > NOW);
    let mut rules = with_quota(100, 40, OnExhausted::Skip);
    assert_eq!(round(&jobs(3), 9, &mut rules).skips, [(2, SkipReason::QuotaExhausted)]);
    // What could never be drawn does not wait for ever.
    let mut rules = with_quota(30, 40, OnExhausted::Wait);
    assert_eq!(round(&jobs(1), 9, &mut rules).skips, [(0, SkipReason::QuotaExhausted)]);
}

prop_compose! {
    fn any_candidate()(
        number in 0_u128..1_000, at in 0_usize..3, ready in 0_u64..100, memory_bytes in 0_u64..50,
        key in 0_usize..3, has_run: bool, alone: bool,
    ) -> Candidate {
        let ready = NOW.minus(Duration::from_secs(ready));
        Candidate {
            memory_bytes,
            key: [None, Some("x"), Some("y")][key].map(str::to_owned),
            has_run,
            alone,
            ..candidate(number, ["q", "r", "s"][at], ready, Priority::Normal)
        }
    }
}

proptest! {
    #[test]
    fn no_rule_is_passed_and_nobody_is_forgotten(
        jobs in prop::collection::vec(any_candidate(), 0..40),
        free in prop::collection::vec((0_usize..6, 0_u64..120), 0..4),
        (server, line_max, kind_max, key_max) in (0_u32..8, 0_u32..4, 0_u32..8, 0_u32..3),
        (rate, weight, limit) in (1_u32..9, 0_u32..4, 1_u64..12),
    ) {
        let mut rules = with_quota(limit, 1, OnExhausted::Wait);
        rules.server_max = server;
        line(&mut rules).settings.max_running = line_max;
        line(&mut rules).settings.weight = weight;
        kind(&mut rules).max_concurrent = kind_max;
        kind(&mut rules).key_max = key_max;
        kind(&mut rules).start_rate =
            Some(StartRate { count: rate, period: Duration::from_secs(60), burst: 0 });
        let rooms: Vec<_> = free
            .iter()
            .map(|(free, memory)| Room { memory_free: Some(*memory), ..worker("w", &["q", "r"], *free) })
            .collect();
        let before = rules.clone();
        let admission = admit(&jobs, &rooms, &mut rules, NOW);
        let mut seen: Vec<_> = admission.picks.iter().map(|pick| pick.candidate).collect();
        let picked: Vec<_> = seen.iter().map(|at| &jobs[*at]).collect();
        let count = |of: &dyn Fn(&Candidate) -> bool| {
            u32::try_from(picked.iter().filter(|job| of(job)).count()).unwrap()
        };
        let within = |count: u32, max: u32| max == 0 || count <= max;
        prop_assert!(within(count(&|_| true), server));
        prop_assert!(within(count(&|job| job.queue == queue("q")), line_max));
        prop_assert!(within(count(&|_| true), kind_max));
        for key in ["x", "y"] {
            prop_assert!(within(count(&|job| job.key.as_deref() == Some(key)), key_max));
        }
        prop_assert!(count(&|_| true) <= rate && u64::from(count(&|_| true)) <= limit);
        prop_assert!(picked.iter().skip(1).all(|job| !job.alone));
        for (at, (free, memory)) in free.iter().enumerate() {
            let on: Vec<_> = admission.picks.iter().filter(|pick| pick.room == at).collect();
            prop_assert!(on.len() <= *free);
            let used: u64 = on.iter().map(|pick| jobs[pick.candidate].memory_bytes).sum();
            prop_assert!(used <= *memory);
        }
        seen.extend(admission.skips.iter().map(|(at, _)| *at));
        seen.extend(admission.holds.iter().map(|(at, _)| *at));
        seen.sort_unstable();
        let places: usize = free.iter().map(|(free, _)| free).sum();
        if admission.picks.len() < places || places == 0 {
            prop_assert_eq!(seen, (0..jobs.len()).collect::<Vec<_>>());
        } else {
            seen.dedup();
            prop_assert_eq!(seen.len(), admission.len());
        }
        // Nothing changes but by what starts.
        if admission.picks.is_empty() {
            prop_assert_eq!(rules, before);
        }
    }
}
