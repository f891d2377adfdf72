//! Rules: guards by revision, all or nothing; the keys of scheduled runs.

use jobplane::domain::{JobSpec, Timestamp};
use jobplane::store::{
    Appended, Batch, ChangesSince, Claims, Committed, Fire, KeyKind, NewJob, Rule, RuleKey,
    RuleKind, RuleWrite, SessionWrite, Store, Written,
};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, commit, decide, delete, given, job_id, job_type, lines, load,
    session, session_id, spec, start,
};

fn key(kind: RuleKind, name: &str) -> RuleKey {
    RuleKey::new(kind, name)
}

fn put(kind: RuleKind, name: &str, expected: i64, what: &str) -> RuleWrite {
    RuleWrite::put(key(kind, name), expected, &what).expect("encodes")
}

async fn write(store: &dyn Store, rules: Vec<RuleWrite>) -> Vec<RuleKey> {
    commit(store, Batch { rules, ..batch(at(1)) }).await.missed_rules
}

async fn said(store: &dyn Store, kind: RuleKind, name: &str) -> Option<(i64, String)> {
    let found = store.rules_by_key(&[key(kind, name)]).await.expect("a read").pop()?;
    Some((found.revision, found.read().expect("a text")))
}

async fn a_rule_is_made_changed_and_deleted(store: &dyn Store) {
    use RuleKind::{Queue, Type};
    assert!(
        write(store, vec![put(Type, "sync", 0, "one"), put(Queue, "sync", 0, "q")])
            .await
            .is_empty()
    );
    assert_eq!(said(store, Type, "sync").await, Some((1, "one".to_owned())));
    assert!(write(store, vec![put(Type, "sync", 1, "two")]).await.is_empty());
    assert_eq!(said(store, Type, "sync").await, Some((2, "two".to_owned())));
    assert!(write(store, vec![RuleWrite::delete(key(Type, "sync"), 2)]).await.is_empty());
    assert_eq!(said(store, Type, "sync").await, None);
    assert_eq!(said(store, Queue, "sync").await, Some((1, "q".to_owned())));
}

async fn rules_are_listed_by_kind_and_name(store: &dyn Store) {
    use RuleKind::{Queue, Quota, Type};
    let rules = [(Type, "b"), (Queue, "z"), (Type, "a"), (Quota, "m")];
    write(store, rules.map(|(kind, name)| put(kind, name, 0, name)).to_vec()).await;
    let keys = |rules: Vec<Rule>| rules.into_iter().map(|rule| rule.key).collect::<Vec<_>>();
    let listed = store.rules(&[Queue, Type]).await.expect("a read");
    assert_eq!(keys(listed), [key(Type, "a"), key(Type, "b"), key(Queue, "z")]);
    assert_eq!(store.rules(&[]).await.expect("a read"), Vec::new());
    let wanted = [key(Quota, "m"), key(Type, "b"), key(Type, "c"), key(Type, "b")];
    let found = store.rules_by_key(&wanted).await.expect("a read");
    assert_eq!(keys(found), [key(Type, "b"), key(Quota, "m")]);
}

async fn one_missed_rule_takes_the_whole_batch_with_it(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0)), born(3, spec(), at(0))])
        .await;
    let running = command(store, 1, start(1), at(1)).await;
    let over = command(store, 3, cancel(), at(1)).await;
    write(store, vec![put(RuleKind::Type, "sync", 0, "one")]).await;
    let before = store.position().await.expect("a position");
    let waiting = load(store, 2).await.expect("the job");
    let batch = Batch {
        creates: vec![NewJob { session: Some(session(7, "", at(2))), ..born(4, spec(), at(2)) }],
        writes: vec![decide(&waiting, cancel(), at(2)).expect("allowed")],
        deletes: vec![delete(&over)],
        logs: vec![lines(1, running.status.lease_epoch, 1, 2)],
        sessions: vec![SessionWrite::Open(session(8, "", at(2)))],
        rules: vec![put(RuleKind::Queue, "q", 0, "new"), put(RuleKind::Type, "sync", 7, "no")],
        ..batch(at(2))
    };
    let want = Committed {
        creates: vec![Written::Missed],
        writes: vec![Written::Missed],
        deletes: vec![false],
        logs: vec![Appended::Missed],
        sessions: vec![false],
        events: Vec::new(),
        missed_rules: vec![key(RuleKind::Type, "sync")],
        position: None,
        told: false,
    };
    assert_eq!(commit(store, batch.clone()).await, want);
    assert!(!store.has_batch(batch.id).await.expect("a read"));
    let since = store.changes_since(&before, 100).await.expect("an answer");
    let ChangesSince::Found { ids, removed, rules, .. } = since else { panic!("{since:?}") };
    assert_eq!((ids, removed, rules), (vec![], vec![], vec![]));
    assert_eq!((load(store, 4).await, load(store, 2).await), (None, Some(waiting)));
    assert!(load(store, 3).await.is_some());
    assert_eq!(said(store, RuleKind::Queue, "q").await, None);
    for id in [7, 8] {
        assert_eq!(store.session(session_id(id)).await.expect("a read"), None);
    }
    // The next batch is not in the way of what was rolled back.
    given(store, vec![born(4, spec(), at(3))]).await;
}

async fn rules_miss_with_the_write_they_hang_on(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    let (one, two) =
        (load(store, 1).await.expect("the job"), load(store, 2).await.expect("the job"));
    command(store, 1, start(1), at(1)).await;
    let writes = |job| vec![decide(job, cancel(), at(2)).expect("allowed")];
    let rules = vec![put(RuleKind::Circuit, "sync", 0, "open")];
    let hanging = Batch {
        writes: [writes(&one), writes(&two)].concat(),
        rules: rules.clone(),
        rules_hang_on: [one.id].into(),
        ..batch(at(2))
    };
    let committed = commit(store, hanging).await;
    assert_eq!(committed.writes, [Written::Missed; 2]);
    assert_eq!(committed.missed_rules, [key(RuleKind::Circuit, "sync")]);
    assert_eq!(said(store, RuleKind::Circuit, "sync").await, None);
    assert_eq!(load(store, 2).await, Some(two.clone()));
    // What misses beside it does not matter.
    let beside = Batch {
        writes: [writes(&one), writes(&two)].concat(),
        rules,
        rules_hang_on: [two.id].into(),
        ..batch(at(2))
    };
    let committed = commit(store, beside).await;
    assert_eq!(committed.writes, [Written::Missed, Written::Done]);
    assert_eq!(committed.missed_rules, []);
    assert_eq!(said(store, RuleKind::Circuit, "sync").await, Some((1, "open".to_owned())));
}

async fn a_rule_that_must_not_exist_misses_if_it_does(store: &dyn Store) {
    let first = put(RuleKind::Schedule, "sync", 0, "one");
    assert!(write(store, vec![first.clone()]).await.is_empty());
    assert_eq!(write(store, vec![first]).await, [key(RuleKind::Schedule, "sync")]);
    let gone = RuleWrite::delete(key(RuleKind::Schedule, "other"), 1);
    assert_eq!(write(store, vec![gone]).await, [key(RuleKind::Schedule, "other")]);
}

async fn the_change_log_names_changed_rules_once(store: &dyn Store) {
    let from = store.position().await.expect("a position");
    write(store, vec![put(RuleKind::Type, "b", 0, "1"), put(RuleKind::Queue, "a", 0, "1")]).await;
    write(store, vec![put(RuleKind::Type, "b", 1, "2")]).await;
    write(store, vec![RuleWrite::delete(key(RuleKind::Queue, "a"), 1)]).await;
    let found = store.changes_since(&from, 100).await.expect("an answer");
    let ChangesSince::Found { ids, mut rules, .. } = found else { panic!("{found:?}") };
    rules.sort();
    assert_eq!((ids, rules), (vec![], vec![key(RuleKind::Type, "b"), key(RuleKind::Queue, "a")]));
    let many = store.changes_since(&from, 3).await.expect("an answer");
    assert_eq!(many, ChangesSince::TooMany);
}

async fn a_round_writes_rules_too(store: &dyn Store) {
    // A first commit: until then a shared store may still have to find out where it is.
    given(store, vec![born(9, spec(), at(0))]).await;
    let round = store.begin_round(&Claims::default()).await.expect("a round");
    let rules = vec![put(RuleKind::Rate, "sync", 0, "full")];
    round.commit(Batch { rules, ..batch(at(1)) }).await.expect("a commit");
    let round = store.begin_round(&Claims::default()).await.expect("a round");
    let rules = vec![put(RuleKind::Rate, "sync", 0, "full")];
    let missed = round.commit(Batch { rules, ..batch(at(2)) }).await.expect("a commit");
    assert_eq!(missed.missed_rules, [key(RuleKind::Rate, "sync")]);
    assert_eq!(said(store, RuleKind::Rate, "sync").await, Some((1, "full".to_owned())));
}

fn fired(number: u64, nominal: Timestamp, of: &str) -> NewJob {
    let spec = JobSpec { job_type: job_type(of), ..spec() };
    NewJob { fire: Some(Fire::at(nominal)), ..born(number, spec, at(5)) }
}

async fn a_nominal_time_has_one_run(store: &dyn Store) {
    given(store, vec![fired(1, at(60), "sync"), fired(2, at(60), "backup")]).await;
    let creates =
        vec![fired(3, at(60), "sync"), fired(4, at(120), "sync"), fired(5, at(120), "sync")];
    let committed = commit(store, Batch { creates, ..batch(at(6)) }).await;
    let taken = |holder| Written::KeyTaken { kind: KeyKind::Fire, holder: job_id(holder) };
    assert_eq!(committed.creates, [taken(1), Written::Done, taken(4)]);
    // Also when it is over; no longer when it is gone.
    let over = command(store, 1, cancel(), at(7)).await;
    let again =
        commit(store, Batch { creates: vec![fired(6, at(60), "sync")], ..batch(at(8)) }).await;
    assert_eq!(again.creates, [taken(1)]);
    commit(store, Batch { deletes: vec![delete(&over)], ..batch(at(9)) }).await;
    given(store, vec![fired(7, at(60), "sync")]).await;
}

on_each_store!(
    a_rule_is_made_changed_and_deleted,
    rules_are_listed_by_kind_and_name,
    one_missed_rule_takes_the_whole_batch_with_it,
    rules_miss_with_the_write_they_hang_on,
    a_rule_that_must_not_exist_misses_if_it_does,
    the_change_log_names_changed_rules_once,
    a_round_writes_rules_too,
    a_nominal_time_has_one_run,
);
