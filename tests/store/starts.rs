//! What a round of starts keeps from others, and what it counts.

use std::collections::BTreeMap;
use std::time::Duration;

use jobplane::domain::admission::Candidate;
use jobplane::domain::machine::{Applied, Now, apply};
use jobplane::domain::{Job, JobSpec, StateKind};
use jobplane::store::{
    Batch, Claims, JobWrite, KeyCap, Probe, Round, RuleKey, RuleKind, RuleWrite, Standing, Store,
    Written,
};

use crate::on_each_store;
use crate::world::{
    at, batch, born, command, commit, decide, given, job_id, job_type, probe, queue, release, spec,
    start, succeed,
};

/// Everything that may be claimed about the jobs of this world.
fn claims() -> Claims {
    Claims {
        keys: [RuleKey::starts_of(&job_type("sync")), RuleKey::starts_from(&queue("default"))]
            .into(),
        running: true,
        queues: [queue("default"), queue("other")].into(),
        types: [job_type("sync")].into(),
        values: [(job_type("sync"), "a".to_owned())].into(),
        ..Claims::default()
    }
}

fn labelled(value: &str) -> JobSpec {
    JobSpec { labels: [("tenant".to_owned(), value.to_owned())].into(), ..spec() }
}

/// The start of a job that counts under the value of its label.
fn keyed(job: &Job) -> JobWrite {
    crate::world::keyed(decide(job, start(1), at(1)).expect("it may start"), "tenant")
}

async fn stand(store: &dyn Store) -> Standing {
    let round = store.begin_round(&claims()).await.expect("a round");
    let standing = round.standing().clone();
    round.abandon().await;
    assert_eq!(standing, store.standing(&claims()).await.expect("a read"));
    standing
}

async fn rounds_count_what_runs(store: &dyn Store) {
    let elsewhere = JobSpec { queue: queue("other"), ..spec() };
    let another = JobSpec { job_type: job_type("backup"), ..spec() };
    let specs = [labelled("a"), labelled("b"), elsewhere, another, spec()];
    given(store, (1..).zip(specs).map(|(number, spec)| born(number, spec, at(0))).collect()).await;
    assert_eq!(stand(store).await, Standing::default());
    let jobs: Vec<_> = [1, 2].map(job_id).into();
    let writes = store.load(&jobs).await.expect("a read").iter().map(keyed).collect();
    let done = commit(store, Batch { writes, ..batch(at(1)) }).await;
    assert_eq!(done.writes, [Written::Done; 2]);
    command(store, 3, start(1), at(1)).await;
    command(store, 4, start(1), at(1)).await;
    let standing = stand(store).await;
    assert_eq!((standing.running, standing.types), (4, [(job_type("sync"), 3)].into()));
    assert_eq!(standing.queues, [(queue("default"), 3), (queue("other"), 1)].into());
    assert_eq!(standing.values, [((job_type("sync"), "a".to_owned()), 1)].into());
    // It stays under the value it started under, whatever else becomes of it while it runs.
    command(
        store,
        1,
        jobplane::domain::machine::Command::Adopt {
            lease_epoch: 1,
            session: crate::world::session_id(7),
        },
        at(2),
    )
    .await;
    assert_eq!(stand(store).await.values.len(), 1);
    command(store, 1, succeed(1), at(3)).await;
    command(store, 2, release(1), at(3)).await;
    let standing = stand(store).await;
    assert_eq!((standing.running, standing.values), (2, BTreeMap::new()));
}

async fn a_look_passes_by_jobs_whose_value_is_full(store: &dyn Store) {
    let specs = [labelled("a"), labelled("a"), labelled("b"), spec(), labelled("c")];
    given(store, (1..).zip(specs).map(|(number, spec)| born(number, spec, at(0))).collect()).await;
    let writes = store.load(&[job_id(1)]).await.expect("a read").iter().map(keyed).collect();
    commit(store, Batch { writes, ..batch(at(1)) }).await;
    let found = async |max, limit| {
        let cap = Some(KeyCap { label: "tenant".to_owned(), max });
        let probe = Probe { cap, ..probe(limit) };
        let mut round = store.begin_round(&claims()).await.expect("a round");
        round.look(&[probe], at(2)).await.expect("candidates");
        let ids: Vec<_> = round.candidates().iter().map(|job| job.id).collect();
        let running = round.standing().values.get(&(job_type("sync"), "a".to_owned())).copied();
        round.abandon().await;
        (ids, running)
    };
    assert_eq!(found(1, 2).await, ([3, 4].map(job_id).into(), Some(1)));
    assert_eq!(found(1, 9).await.0, [3, 4, 5].map(job_id));
    assert_eq!(found(2, 9).await, ([2, 3, 4, 5].map(job_id).into(), Some(1)));
}

/// Any text may be the key of a label, however it would be read elsewhere.
async fn a_look_finds_values_whatever_the_label_is_called(store: &dyn Store) {
    let keys = ["a.b", "a\"b", "a\\b", "$.a", "[0]", "0", "ä b", "\u{1}", "a'b", "#", "\"", ""];
    for (number, key) in (1..).step_by(2).zip(keys) {
        let of_type = JobSpec { job_type: job_type(&format!("sync{number}")), ..spec() };
        let with = |value: &str| JobSpec {
            labels: [(key.to_owned(), value.to_owned()), ("b".to_owned(), "full".to_owned())]
                .into(),
            ..of_type.clone()
        };
        let jobs = [born(number, with("full"), at(0)), born(number + 1, with("free"), at(0))];
        given(store, jobs.into()).await;
        let first = store.load(&[job_id(number)]).await.expect("a read").remove(0);
        let started = decide(&first, start(1), at(1)).expect("it may start");
        let Ok(Applied::Changed(transition)) =
            apply(&first.spec, &first.status, start(1), Now::at(at(1)))
        else {
            panic!("it may start")
        };
        let status = transition.keyed(Some("full".to_owned())).status;
        let write = JobWrite { job: Job { status, ..started.job.clone() }, ..started };
        commit(store, Batch { writes: vec![write], ..batch(at(1)) }).await;
        given(store, vec![born(number + 100, with("full"), at(0))]).await;
        let cap = Some(KeyCap { label: key.to_owned(), max: 1 });
        let job_type = of_type.job_type.clone();
        let mut round = store.begin_round(&Claims::default()).await.expect("a round");
        let probe = Probe { cap, job_type, ..probe(9) };
        round.look(&[probe], at(2)).await.expect("candidates");
        let ids: Vec<_> = round.candidates().iter().map(|job| job.id).collect();
        round.abandon().await;
        assert_eq!(ids, [job_id(number + 1)], "by the label {key:?}");
    }
}

/// Starts the first candidate.
async fn start_one(mut round: Box<dyn Round>) {
    round.look(&[probe(1)], at(2)).await.expect("candidates");
    let job = round.candidates().first().cloned().expect("one waits");
    assert!(Candidate::new(&job, None).is_some_and(|candidate| !candidate.has_run));
    let writes = vec![decide(&job, start(1), at(2)).expect("it may start")];
    let done = round.commit(Batch { writes, ..batch(at(2)) }).await.expect("a commit");
    assert_eq!(done.writes, [Written::Done]);
}

async fn rounds_that_claim_the_same_take_turns(store: &dyn Store) {
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    let first = store.begin_round(&claims()).await.expect("a round");
    // One key of several is enough.
    let of = Claims {
        keys: [RuleKey::starts_of(&job_type("sync")), RuleKey::all_starts()].into(),
        types: [job_type("sync")].into(),
        ..Claims::default()
    };
    let mut second = store.begin_round(&of);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
    assert!(early.is_err(), "it got in between");
    start_one(first).await;
    let second = second.await.expect("a round");
    let running = second.standing().types.get(&job_type("sync")).copied();
    assert_eq!(running, Some(1), "what was started before it is counted");
    start_one(second).await;
    let running = store.load(&[1, 2, 3].map(job_id)).await.expect("a read");
    let running = running.iter().filter(|job| job.status.kind() == StateKind::Running).count();
    assert_eq!(running, 2);
}

async fn a_claimed_rule_waits_for_the_round(store: &dyn Store) {
    let key = RuleKey::new(RuleKind::QuotaUse, "api");
    let put = |revision, said: &str| RuleWrite::put(key.clone(), revision, &said).expect("a rule");
    commit(store, Batch { rules: vec![put(0, "one")], ..batch(at(0)) }).await;
    let of = Claims { keys: [key.clone()].into(), ..Claims::default() };
    let round = store.begin_round(&of).await.expect("a round");
    assert_eq!(round.standing().rule(&key).map(|rule| rule.revision), Some(1));
    let mut other = store.commit(Batch { rules: vec![put(1, "other")], ..batch(at(1)) });
    let early = tokio::time::timeout(Duration::from_millis(50), &mut other).await;
    assert!(early.is_err(), "it got in between");
    let done = round.commit(Batch { rules: vec![put(1, "round")], ..batch(at(1)) }).await;
    assert!(done.expect("a commit").missed_rules.is_empty(), "nobody came in between");
    assert_eq!(other.await.expect("an answer").missed_rules, std::slice::from_ref(&key));
    let of = Claims { rules: [key.clone()].into(), ..Claims::default() };
    let standing = store.standing(&of).await.expect("a read");
    let said: String = standing.rule(&key).expect("it is there").read().expect("a text");
    assert_eq!(said, "round");
}

on_each_store!(
    rounds_count_what_runs,
    a_look_finds_values_whatever_the_label_is_called,
    a_look_passes_by_jobs_whose_value_is_full,
    rounds_that_claim_the_same_take_turns,
    a_claimed_rule_waits_for_the_round,
);
