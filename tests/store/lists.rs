//! Lists, counts, summaries.

use std::collections::BTreeMap;

use bytes::Bytes;
use jobplane::domain::filter::TimeRange;
use jobplane::domain::{JobFilter, JobId, JobSpec, StateKind, Trigger};
use jobplane::store::{Batch, ListQuery, Store};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, commit, fail, given, job_id, job_type, load, progress, queue,
    retry, spec, start, succeed, worker,
};

fn page(filter: JobFilter) -> ListQuery {
    ListQuery { filter, before: None, limit: 100, full: false }
}

async fn ids(store: &dyn Store, query: &ListQuery) -> Vec<JobId> {
    let jobs = store.list(query).await.expect("a list");
    let ids: Vec<JobId> = jobs.into_iter().map(|job| job.id).collect();
    assert_eq!(store.list_ids(query).await.expect("the same page"), ids);
    ids
}

/// Twelve jobs that differ in everything a filter can name.
async fn population(store: &dyn Store) {
    let jobs = (1..=12).map(|number| {
        let text = |name: &str, of: u64| {
            if number % of == 0 { format!("{name}{}", number % 3) } else { String::new() }
        };
        let label = |key: &str, of: u64| (key.to_owned(), format!("v{}", number % of));
        let mut new = born(
            number,
            JobSpec {
                job_type: job_type(["sync", "backup"][usize::from(number % 2 == 0)]),
                queue: queue(
                    ["default", "bulk", "slow"][usize::try_from(number % 3).expect("small")],
                ),
                labels: [label("a", 2), label("b", 3)].into(),
                owner: text("owner", 2),
                subject: text("subject", 3),
                external_id: text("external", 4),
                payload: Some(Bytes::from_static(b"payload")),
                ..spec()
            },
            at(number),
        );
        if number % 4 == 0 {
            new.job.status.trigger = Trigger::Worker;
            "a worker".clone_into(&mut new.job.status.created_by);
            new.job.status.category = jobplane::domain::Category::new("heavy").ok();
        }
        new
    });
    given(store, jobs.collect()).await;
    for number in 3..=9 {
        command(store, number, start(1), at(20)).await;
    }
    command(store, 5, succeed(1), at(30)).await;
    command(store, 6, fail(1, true), at(31)).await;
    command(store, 7, succeed(1), at(32)).await;
    command(store, 8, fail(1, true), at(33)).await;
    command(store, 10, cancel(), at(34)).await;
    commit(store, Batch { progress: vec![progress(3, 1, 4)], ..batch(at(40)) }).await;
}

/// Filters that walk every path.
fn filters() -> Vec<JobFilter> {
    let none = JobFilter::default;
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let range = |after: Option<u64>, before: Option<u64>| TimeRange {
        after: after.map(at),
        before: before.map(at),
    };
    let some = |text: &str| Some(text.to_owned());
    let states = |states: &[StateKind]| JobFilter { states: states.to_vec(), ..none() };
    vec![
        none(),
        JobFilter { job_ids: vec![job_id(3), job_id(9), job_id(77), job_id(3)], ..none() },
        JobFilter { job_ids: vec![job_id(3)], types: vec![job_type("backup")], ..none() },
        states(&[StateKind::Pending]),
        states(&[StateKind::Running]),
        states(&[StateKind::Pending, StateKind::Running]),
        states(&[StateKind::Failed]),
        states(&[StateKind::Failed, StateKind::Cancelled, StateKind::Skipped]),
        states(&[StateKind::Succeeded]),
        states(&[StateKind::Pending, StateKind::Failed]),
        JobFilter { types: vec![job_type("backup")], ..states(&[StateKind::Failed]) },
        JobFilter { queues: vec![queue("slow"), queue("bulk")], ..none() },
        JobFilter { types: vec![job_type("sync"), job_type("none")], ..none() },
        JobFilter {
            categories: jobplane::domain::Category::new("heavy").into_iter().collect(),
            ..none()
        },
        JobFilter { labels: [label("a", "v1")].into(), ..none() },
        JobFilter { labels: [label("a", "v1"), label("b", "v2")].into(), ..none() },
        JobFilter { owner: some("owner1"), ..none() },
        JobFilter { owner: some(""), ..none() },
        JobFilter { subject: some("subject0"), owner: some("owner0"), ..none() },
        JobFilter { external_id: some("external2"), ..none() },
        JobFilter { triggers: vec![Trigger::Worker, Trigger::Manual], ..none() },
        JobFilter { worker_id: Some(worker()), ..none() },
        JobFilter { created_by: some("a worker"), ..none() },
        JobFilter { create_time: range(Some(3), Some(7)), ..none() },
        JobFilter { end_time: range(Some(31), None), ..none() },
        JobFilter { end_time: range(None, Some(32)), labels: [label("a", "v0")].into(), ..none() },
    ]
}

async fn filters_find_what_they_name_newest_first(store: &dyn Store) {
    population(store).await;
    let mut all = BTreeMap::new();
    for number in 1..=12 {
        all.insert(job_id(number), load(store, number).await.expect("the job"));
    }
    for filter in filters() {
        let matching = all.values().rev().filter(|job| filter.matches(job));
        let want: Vec<JobId> = matching.map(|job| job.id).collect();
        assert_eq!(ids(store, &page(filter.clone())).await, want, "{filter:?}");
        let count = store.count(&filter, 100).await.expect("a count");
        assert_eq!(count, want.len() as u64, "{filter:?}");
        let before = Some(job_id(7));
        let rest: Vec<JobId> = want.iter().copied().filter(|id| *id < job_id(7)).take(2).collect();
        let query = ListQuery { before, limit: 2, ..page(filter.clone()) };
        assert_eq!(ids(store, &query).await, rest, "{filter:?} after a page");
    }
    assert_eq!(store.count(&JobFilter::default(), 5).await.expect("a count"), 5);
}

async fn brief_lists_leave_payload_and_result_out(store: &dyn Store) {
    population(store).await;
    let brief = store.list(&page(JobFilter::default())).await.expect("a list");
    assert!(brief.iter().all(|job| job.spec.payload.is_none() && job.status.result.is_none()));
    let full = ListQuery { full: true, ..page(JobFilter::default()) };
    for job in store.list(&full).await.expect("a list") {
        assert_eq!(Some(job.clone()), store.load(&[job.id]).await.expect("a read").pop());
        assert!(job.spec.payload.is_some());
    }
    let running = brief.iter().find(|job| job.id == job_id(3)).expect("the running one");
    assert_eq!(running.status.progress.sequence, 4, "lists show flushed progress");
}

async fn recent_runs_are_the_newest_ended_ones(store: &dyn Store) {
    population(store).await;
    let recent = async |name, state, limit| -> Vec<JobId> {
        let found = store.recent(&job_type(name), state, limit).await.expect("a read");
        assert!(found.iter().all(|job| job.spec.payload.is_none() && job.status.result.is_none()));
        found.into_iter().map(|job| job.id).collect()
    };
    assert_eq!(recent("sync", None, 9).await, [7, 5].map(job_id));
    assert_eq!(recent("backup", None, 2).await, [10, 8].map(job_id));
    assert_eq!(recent("backup", Some(StateKind::Failed), 9).await, [8, 6].map(job_id));
    assert_eq!(recent("backup", Some(StateKind::Running), 9).await, vec![]);
    assert_eq!(recent("none", None, 9).await, vec![]);
    command(store, 7, retry(), at(50)).await;
    assert_eq!(recent("sync", None, 9).await, [5].map(job_id));
}

async fn the_newest_of_a_type_are_found_in_every_state(store: &dyn Store) {
    population(store).await;
    let types = ["sync", "backup", "none"].map(job_type);
    for of in types {
        let filter = JobFilter { types: vec![of.clone()], ..JobFilter::default() };
        let listed = store.list(&page(filter)).await.expect("a list");
        for limit in [1, 3, 99] {
            let newest = store.newest(&of, limit).await.expect("a read");
            let want: Vec<_> = listed.iter().take(limit).cloned().collect();
            assert_eq!(newest, want, "{limit} of {of}");
        }
    }
}

async fn a_job_that_ends_and_is_opened_is_among_the_newest_all_the_time(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let moves = async {
        for round in 1..60 {
            command(store, 1, cancel(), at(round)).await;
            command(store, 1, retry(), at(round)).await;
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let looks = async {
        while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            let found = store.newest(&job_type("sync"), 1).await.expect("a read");
            assert_eq!(found.len(), 1, "it was between two reads");
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(moves, looks);
}

async fn oldest_pending_is_the_longest_waiting_due_job_of_each_line(store: &dyn Store) {
    let job = |number, spec: JobSpec, seconds| {
        born(number, JobSpec { schedule_time: Some(at(seconds)), ..spec }, at(0))
    };
    let urgent = JobSpec { priority: jobplane::domain::Priority::Urgent, ..spec() };
    let bulk = JobSpec { queue: queue("bulk"), ..spec() };
    given(
        store,
        vec![job(1, spec(), 5), job(2, urgent, 8), job(3, bulk.clone(), 3), job(4, bulk, 90)],
    )
    .await;
    let mut oldest = store.oldest_pending(at(10)).await.expect("a read");
    oldest.sort();
    let sync = job_type("sync");
    let want = vec![(queue("bulk"), sync.clone(), at(3)), (queue("default"), sync, at(5))];
    assert_eq!(oldest, want);
    assert_eq!(store.oldest_pending(at(1)).await.expect("a read"), vec![]);
}

async fn store_answers_and_says_what_it_is(store: &dyn Store) {
    store.ping().await.expect("an answer");
    let info = store.info().await.expect("an answer");
    assert!(!info.version.is_empty());
    assert!(info.pool_idle <= info.pool_size);
    store.close().await;
}

on_each_store!(
    filters_find_what_they_name_newest_first,
    brief_lists_leave_payload_and_result_out,
    recent_runs_are_the_newest_ended_ones,
    the_newest_of_a_type_are_found_in_every_state,
    a_job_that_ends_and_is_opened_is_among_the_newest_all_the_time,
    oldest_pending_is_the_longest_waiting_due_job_of_each_line,
    store_answers_and_says_what_it_is,
);
