//! What becomes of runs is told to breakers.

use futures_util::future::join_all;

use super::*;
use crate::domain::circuit::{CircuitPhase, CircuitSpec, CircuitState};
use crate::domain::definitions::ServerDefaults;
use crate::domain::event::EventName;
use crate::domain::job_type::gate::TriggerRefusal;
use crate::domain::status::JobError;
use crate::engine::session::Outcome;
use crate::engine::{Error, TriggerType};
use crate::store::{EventQuery, EventsFrom};

/// Longer than until a probe, by a clock that is slow because the wall clock stands still.
const PROBE: Duration = Duration::from_secs(900);
const THREE: &str = r#"{"type": "sync", "circuit": {"max_failures": 3, "probe_after": "10m"}}"#;

async fn circuit(store: &MemoryStore, of: &str) -> (i64, CircuitState) {
    let key = RuleKey::new(RuleKind::Circuit, of);
    let row = store.rules_by_key(&[key]).await.expect("a read").pop();
    row.map_or_else(Default::default, |row| (row.revision, row.read().expect("a state")))
}

async fn started(server: &Engine, of: &str) -> Job {
    match start(server, of).await.expect("an answer") {
        Started::Assigned(assignment) => assignment.job,
        Started::Skipped(job) => panic!("skipped: {:?}", job.status.state),
    }
}

fn failed() -> Outcome {
    let error = JobError::server("BOOM", "no".to_owned());
    Outcome::Failed { error, retry_delay: None, progress: None }
}

async fn end(server: &Engine, job: &Job, outcome: Outcome) -> Job {
    let of = (job.id, job.status.lease_epoch);
    let caller = Caller::anonymous();
    server.finish_used(&caller, of, BTreeMap::new(), outcome).await.expect("over")
}

fn trigger(of: &str) -> TriggerType {
    TriggerType {
        job_type: name(of),
        payload: None,
        labels: BTreeMap::new(),
        request: None,
        reason: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_in_an_hour_runs_are_recorded_as_skipped_until_the_probe() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put(&server, spec(THREE)).await;
    for _ in 0..2 {
        let job = started(&server, "sync").await;
        end(&server, &job, failed()).await;
    }
    // Neither what succeeds nor what is given back counts, nor what fails after the window.
    let fine = started(&server, "sync").await;
    end(&server, &fine, Outcome::Succeeded { result: None, progress: None }).await;
    assert!(!circuit(&store, "sync").await.1.is_open());
    tokio::time::sleep(HOUR * 2).await;
    let job = started(&server, "sync").await;
    end(&server, &job, failed()).await;
    assert!(!circuit(&store, "sync").await.1.is_open());
    let jobs = [started(&server, "sync").await, started(&server, "sync").await];
    for job in &jobs {
        end(&server, job, failed()).await;
    }
    let (_, state) = circuit(&store, "sync").await;
    let CircuitPhase::Open { next_probe_time, .. } = state.phase else { panic!("{state:?}") };
    let job = create(&server, "sync").await;
    assert_eq!(skipped(&job), Some(SkipReason::CircuitOpen));
    assert_eq!(job.status.skip_until, Some(next_probe_time));
    let Ok(Started::Skipped(job)) = start(&server, "sync").await else { panic!("started") };
    assert_eq!(skipped(&job), Some(SkipReason::CircuitOpen));
    let refused = server.trigger_type(&Caller::anonymous(), trigger("sync")).await;
    let Err(Error::CannotTrigger { refusal, .. }) = refused else { panic!("{refused:?}") };
    let TriggerRefusal::CircuitOpen { next_probe_time: told, wait } = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(told, next_probe_time);
    assert!(wait <= Duration::from_secs(600) && wait > Duration::from_secs(500), "{wait:?}");
    let info = server.job_type(&Caller::anonymous(), &name("sync")).await.expect("there");
    assert!(info.circuit.expect("a breaker").is_open());
    assert_eq!(info.default_circuit, None, "it is its own");
    tokio::time::sleep(PROBE).await;
    let job = create(&server, "sync").await;
    assert_eq!(job.status.kind(), StateKind::Pending, "it may be the probe");
}

/// Looks whether the round that started `job` made it the probe.
async fn is_probe(store: &MemoryStore, of: &str, job: &Job) {
    let (_, state) = circuit(store, of).await;
    let CircuitPhase::HalfOpen { probe, .. } = state.phase else { panic!("{state:?}") };
    assert_eq!(probe, job.id);
}

async fn opened(store: &Arc<MemoryStore>, server: &Engine) {
    put(server, spec(THREE)).await;
    for _ in 0..3 {
        let job = started(server, "sync").await;
        end(server, &job, failed()).await;
    }
    assert!(circuit(store, "sync").await.1.is_open());
    tokio::time::sleep(PROBE).await;
}

#[tokio::test(start_paused = true)]
async fn the_probe_closes_its_breaker_or_keeps_it_open() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    opened(&store, &server).await;
    let probe = started(&server, "sync").await;
    is_probe(&store, "sync", &probe).await;
    end(&server, &probe, failed()).await;
    let (_, state) = circuit(&store, "sync").await;
    assert!(matches!(state.phase, CircuitPhase::Open { .. }), "{state:?}");
    assert_eq!(skipped(&create(&server, "sync").await), Some(SkipReason::CircuitOpen));
    tokio::time::sleep(PROBE).await;
    let probe = started(&server, "sync").await;
    is_probe(&store, "sync", &probe).await;
    assert_eq!(skipped(&create(&server, "sync").await), Some(SkipReason::CircuitOpen));
    end(&server, &probe, Outcome::Succeeded { result: None, progress: None }).await;
    assert!(!circuit(&store, "sync").await.1.is_open());
    assert_eq!(create(&server, "sync").await.status.kind(), StateKind::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ended_unheard_does_not_keep_its_breaker_half_open() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    opened(&store, &server).await;
    let probe = started(&server, "sync").await;
    is_probe(&store, "sync", &probe).await;
    // Whoever wrote its end knew no breaker.
    let (_, state) = circuit(&store, "sync").await;
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    end(&server, &probe, failed()).await;
    put(&server, spec(THREE)).await;
    let (held, now) = circuit(&store, "sync").await;
    let state = CircuitState { revision: now.revision + 1, ..state };
    let key = RuleKey::new(RuleKind::Circuit, "sync");
    let change = vec![RuleWrite::put(key, held, &state).expect("a row")];
    server.write_rules(change.into()).await.expect("written");
    assert_eq!(server.settle_probes().await.expect("a step"), 0, "not yet its time");
    tokio::time::sleep(PROBE).await;
    assert_eq!(server.settle_probes().await.expect("a step"), 1);
    assert_eq!(server.settle_probes().await.expect("a step"), 0);
    assert_eq!(create(&server, "sync").await.status.kind(), StateKind::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_still_runs_is_waited_for() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    opened(&store, &server).await;
    let probe = started(&server, "sync").await;
    is_probe(&store, "sync", &probe).await;
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(server.settle_probes().await.expect("a step"), 0);
    assert_eq!(skipped(&create(&server, "sync").await), Some(SkipReason::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn the_defaults_give_observed_types_a_breaker_of_their_own() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let caller = Caller::anonymous();
    let default = CircuitSpec { max_failures: 1, ..CircuitSpec::default() };
    let change = |defaults: &mut ServerDefaults| {
        defaults.circuit = default.clone();
    };
    server.update_defaults(&caller, change).await.expect("changed");
    put(&server, spec(r#"{"type": "never", "circuit": {"max_failures": 0}}"#)).await;
    for of in ["seen", "never"] {
        let job = started(&server, of).await;
        end(&server, &job, failed()).await;
    }
    assert_eq!(skipped(&create(&server, "seen").await), Some(SkipReason::CircuitOpen));
    assert_eq!(create(&server, "never").await.status.kind(), StateKind::Pending);
    assert_eq!(create(&server, "other").await.status.kind(), StateKind::Pending);
    let info = server.job_type(&caller, &name("seen")).await.expect("it has jobs");
    assert_eq!(info.default_circuit, Some(default));
    assert!(info.circuit.expect("a breaker").is_open());
    assert_eq!(server.job_type(&caller, &name("never")).await.expect("there").circuit, None);
    // Another server hears of them.
    let other = self::server(&store);
    other.load_rules().await.expect("read");
    assert_eq!(skipped(&create(&other, "seen").await), Some(SkipReason::CircuitOpen));
    server
        .update_defaults(&caller, |held| *held = ServerDefaults::default())
        .await
        .expect("changed");
    assert_eq!(create(&server, "seen").await.status.kind(), StateKind::Pending);
}

#[tokio::test(start_paused = true)]
async fn racing_failures_are_counted_once_each() {
    let store = Arc::new(MemoryStore::new());
    let servers = [server(&store), server(&store), server(&store)];
    put(&servers[0], spec(r#"{"type": "sync", "circuit": {"max_failures": 100}}"#)).await;
    for server in &servers {
        server.load_rules().await.expect("read");
    }
    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(started(&servers[0], "sync").await);
    }
    // Each is told twice, at two servers.
    let ends = jobs
        .iter()
        .enumerate()
        .flat_map(|(at, job)| [at, at + 1].map(|at| end(&servers[at % 3], job, failed())));
    let ended = join_all(ends).await;
    assert!(ended.iter().all(|job| job.status.kind() == StateKind::Failed));
    let (revision, state) = circuit(&store, "sync").await;
    let CircuitPhase::Closed { failures } = &state.phase else { panic!("{state:?}") };
    assert_eq!(failures.len(), 30);
    assert!(revision <= 30, "a commit counts all that it ends");
}

async fn told_closed(store: &MemoryStore) -> Vec<String> {
    let query = EventQuery {
        names: vec![EventName::CircuitClosed],
        types: Vec::new(),
        from: EventsFrom::Oldest,
        limit: 100,
    };
    let page = store.events(&query).await.expect("a read").expect("events");
    page.events.into_iter().filter_map(|it| Some(it.event.job_type?.to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_taken_away_forgets_and_begins_anew() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put(&server, spec(THREE)).await;
    for _ in 0..3 {
        let job = started(&server, "sync").await;
        end(&server, &job, failed()).await;
    }
    assert_eq!(skipped(&create(&server, "sync").await), Some(SkipReason::CircuitOpen));
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    assert_eq!(told_closed(&store).await, ["sync"]);
    put(&server, spec(THREE)).await;
    let (_, state) = circuit(&store, "sync").await;
    assert_eq!(state.phase, CircuitPhase::Closed { failures: Vec::new() });
    assert_eq!(create(&server, "sync").await.status.kind(), StateKind::Pending);
    // Neither do failures from before count.
    let job = started(&server, "sync").await;
    end(&server, &job, failed()).await;
    put(&server, spec(r#"{"type": "sync", "circuit": {"max_failures": 0}}"#)).await;
    put(&server, spec(THREE)).await;
    for _ in 0..2 {
        let job = started(&server, "sync").await;
        end(&server, &job, failed()).await;
    }
    assert!(!circuit(&store, "sync").await.1.is_open());
    assert_eq!(told_closed(&store).await, ["sync"], "what was closed is not told of");
}

#[tokio::test(start_paused = true)]
async fn breakers_that_go_with_the_default_forget_too() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let caller = Caller::anonymous();
    let default = |max_failures| CircuitSpec { max_failures, ..CircuitSpec::default() };
    let set = async |max_failures| {
        let change = move |held: &mut ServerDefaults| held.circuit = default(max_failures);
        server.update_defaults(&caller, change).await.expect("changed");
    };
    set(1).await;
    put(&server, spec(r#"{"type": "own", "circuit": {"max_failures": 1}}"#)).await;
    for of in ["seen", "own"] {
        let job = started(&server, of).await;
        end(&server, &job, failed()).await;
    }
    set(0).await;
    assert_eq!(told_closed(&store).await, ["seen"]);
    set(1).await;
    assert_eq!(create(&server, "seen").await.status.kind(), StateKind::Pending);
    assert_eq!(skipped(&create(&server, "own").await), Some(SkipReason::CircuitOpen));
}
