//! Filters of lists, each field alone and in pairs, against a look at every job; and pages while others write.

use std::collections::{BTreeMap, BTreeSet};

use jobplane::proto::v1;
use jobplane::proto::v1::job_type_service_client::JobTypeServiceClient;
use jobplane::proto::v1::{JobFilter, JobState, JobTrigger};
use jobplane::runtime::Tasks;
use prost::Message as _;

use crate::harness::{Client, JobFacts as _, Server, Setup, channel, spec};

crate::on_each_store! {
    list_filters_by_each_field_alone_and_in_pairs
    pages_cover_all_once_under_writes
}

type Time = Option<prost_types::Timestamp>;

/// Whether a filter matches a job, read anew from what the API says of it.
fn matches(filter: &JobFilter, job: &v1::Job) -> bool {
    let spec = job.spec.as_ref().expect("a spec");
    let status = job.status();
    let effective = status.effective.clone().unwrap_or_default();
    let any =
        |wanted: &[String], found: &str| wanted.is_empty() || wanted.iter().any(|one| one == found);
    let one = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let at = |time: Time| time.map(|time| (time.seconds, time.nanos));
    let within = |after: Time, before: Time, time: Time| {
        let (after, before) = (at(after), at(before));
        let unbounded = after.is_none() && before.is_none();
        unbounded
            || at(time).is_some_and(|time| {
                after.is_none_or(|after| time >= after) && before.is_none_or(|end| time < end)
            })
    };
    any(&filter.job_ids, &job.id)
        && (filter.states.is_empty() || filter.states.contains(&status.state))
        && any(&filter.types, &spec.r#type)
        && any(&filter.categories, &status.category)
        && any(&filter.queues, &effective.queue)
        && filter.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
        && one(&filter.owner, &spec.owner)
        && one(&filter.subject, &spec.subject)
        && one(&filter.external_id, &spec.external_id)
        && (filter.triggers.is_empty() || filter.triggers.contains(&status.trigger))
        && one(&filter.worker_id, &status.worker_id)
        && one(&filter.created_by, &status.created_by)
        && within(filter.create_time_after, filter.create_time_before, status.create_time)
        && within(filter.end_time_after, filter.end_time_before, status.end_time)
}

/// All pages of a list, `page_size` at a time, as they came.
async fn pages(client: &Client, filter: &JobFilter, page_size: i32) -> Vec<v1::Job> {
    let (mut jobs, mut page_token) = (Vec::new(), String::new());
    loop {
        let filter = Some(filter.clone());
        let request = v1::ListJobsRequest { filter, page_size, page_token, ..Default::default() };
        let page = client.list(request).await.expect("a page");
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return jobs;
        }
    }
}

/// Declares a type of a category.
async fn declare(server: &Server, job_type: &str, category: &str) {
    let mut types = JobTypeServiceClient::new(channel(server.address()).await);
    let job_type = v1::JobType {
        r#type: job_type.to_owned(),
        category: category.to_owned(),
        ..v1::JobType::default()
    };
    let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
    types.put_job_type(request).await.expect("declared");
}

/// Jobs that differ in all that a filter can name, in every state.
async fn population(server: &Server) -> Vec<v1::Job> {
    let client = server.client();
    for number in 0..3 {
        declare(server, &format!("t{number}"), ["c0", "c1", "c1"][number]).await;
    }
    for number in 0..36_usize {
        let text = |name: &str, of: usize| {
            if number % of == 0 { String::new() } else { format!("{name}{}", number % of) }
        };
        let label = |key: &str, of: usize| (key.to_owned(), format!("v{}", number % of));
        let of = v1::JobSpec {
            queue: format!("q{}", number % 2),
            labels: [label("k", 3), label("l", 5)].into(),
            owner: text("o", 3),
            subject: text("s", 4),
            external_id: text("x", 18),
            retry_policy: Some(v1::RetryPolicy { max_attempts: 1, ..Default::default() }),
            ..spec(&format!("t{}", number % 3))
        };
        if number % 6 == 0 {
            client.create(of).await;
            continue;
        }
        let request = v1::StartJobRequest {
            worker_id: format!("w{}", number % 2),
            spec: Some(of),
            // What runs is to run to the end of the test, however slow the machine is.
            lease_ttl: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            ..v1::StartJobRequest::default()
        };
        let started = client.workers.clone().start_job(request).await.expect("started");
        let Some(v1::start_job_response::Outcome::Assignment(held)) = started.into_inner().outcome
        else {
            panic!("it is skipped")
        };
        let job = v1::Job::decode(held.job.expect("a job")).expect("a job");
        match number % 6 {
            1 => {}
            2 | 3 => client.complete(&job.id, held.lease_epoch).await.map(drop).expect("done"),
            4 => client.fail(&job.id, held.lease_epoch, "E").await.map(drop).expect("failed"),
            _ => client.cancel(&job.id, Some(0.0)).await.map(drop).expect("cancelled"),
        }
    }
    pages(&client, &JobFilter::default(), 100).await
}

/// A filter by each field alone, with a value that some jobs have and others do not.
fn filters(jobs: &[v1::Job]) -> Vec<(&'static str, JobFilter)> {
    let none = JobFilter::default;
    let text = |text: &str| text.to_owned();
    let middle = jobs[jobs.len() / 2].status().create_time;
    let mut ends: Vec<_> = jobs.iter().filter_map(|job| job.status().end_time).collect();
    ends.sort_by_key(|time| (time.seconds, time.nanos));
    let end = Some(ends[ends.len() / 2]);
    let ids = jobs.iter().step_by(2).map(|job| job.id.clone()).collect();
    let states = vec![JobState::Succeeded.into(), JobState::Running.into()];
    let labels = BTreeMap::from([(text("k"), text("v1"))]);
    let two = BTreeMap::from([(text("k"), text("v1")), (text("l"), text("v2"))]);
    vec![
        ("job_ids", JobFilter { job_ids: ids, ..none() }),
        ("states", JobFilter { states, ..none() }),
        ("one state", JobFilter { states: vec![JobState::Failed.into()], ..none() }),
        ("types", JobFilter { types: vec![text("t1"), text("t2")], ..none() }),
        ("categories", JobFilter { categories: vec![text("c1")], ..none() }),
        ("queues", JobFilter { queues: vec![text("q1")], ..none() }),
        ("labels", JobFilter { labels, ..none() }),
        ("two labels", JobFilter { labels: two, ..none() }),
        ("owner", JobFilter { owner: text("o1"), ..none() }),
        ("subject", JobFilter { subject: text("s2"), ..none() }),
        ("external_id", JobFilter { external_id: text("x7"), ..none() }),
        ("triggers", JobFilter { triggers: vec![JobTrigger::Worker.into()], ..none() }),
        ("worker_id", JobFilter { worker_id: text("w1"), ..none() }),
        ("created_by", JobFilter { created_by: jobs[0].status().created_by.clone(), ..none() }),
        ("create_time_after", JobFilter { create_time_after: middle, ..none() }),
        ("create_time_before", JobFilter { create_time_before: middle, ..none() }),
        ("end_time_after", JobFilter { end_time_after: end, ..none() }),
        ("end_time_before", JobFilter { end_time_before: end, ..none() }),
    ]
}

/// Both at once.
fn both(one: &JobFilter, other: &JobFilter) -> JobFilter {
    let mut both = one.clone();
    both.merge(other.encode_to_vec().as_slice()).expect("a filter");
    both
}

async fn list_filters_by_each_field_alone_and_in_pairs(setup: Setup) {
    let server = setup.start().await;
    let jobs = population(&server).await;
    assert_eq!(jobs.len(), 36);
    let client = server.client();
    let single = filters(&jobs);
    let check = async |name: &str, filter: JobFilter| {
        let wanted: Vec<_> =
            jobs.iter().filter(|job| matches(&filter, job)).map(|job| job.id.clone()).collect();
        let request = v1::ListJobsRequest {
            filter: Some(filter.clone()),
            page_size: 100,
            ..Default::default()
        };
        let page = client.list(request).await.expect("a page");
        let found: Vec<_> = page.jobs.into_iter().map(|job| job.id).collect();
        assert_eq!(found, wanted, "{name}: {filter:?}");
        assert_eq!(page.total_size, i64::try_from(wanted.len()).expect("a count"), "{name}");
        let paged = pages(&client, &filter, 4).await;
        let paged: Vec<_> = paged.into_iter().map(|job| job.id).collect();
        assert_eq!(paged, wanted, "{name} in pages");
        wanted.len()
    };
    for (at, (name, filter)) in single.iter().enumerate() {
        let found = check(name, filter.clone()).await;
        let all = *name == "created_by";
        assert!(found > 0 && (all || found < jobs.len()), "{name} finds {found}");
        for (other_name, other) in &single[at + 1..] {
            check(&format!("{name} and {other_name}"), both(filter, other)).await;
        }
    }
    server.stop().await;
}

async fn pages_cover_all_once_under_writes(setup: Setup) {
    const STAYING: usize = 60;
    let server = setup.start().await;
    let client = server.client();
    let labelled = |n: usize| v1::JobSpec {
        owner: format!("o{}", n % 2),
        labels: [("k".to_owned(), "v".to_owned())].into(),
        ..spec("sync")
    };
    let mut staying = Vec::new();
    for number in 0..STAYING {
        staying.push(client.create(labelled(number)).await.id);
        // Among them those that go or change while somebody turns the pages.
        client.create(labelled(number)).await;
    }
    let all = pages(&client, &JobFilter::default(), 1_000).await;
    let changing: Vec<_> =
        all.into_iter().map(|job| job.id).filter(|id| !staying.contains(id)).collect();
    let tasks = Tasks::new();
    let writing = client.clone();
    let writer = tasks.spawn("writer", async move {
        for (number, id) in changing.into_iter().enumerate() {
            writing.create(labelled(number)).await;
            writing.cancel(&id, Some(0.0)).await.expect("cancelled");
            match number % 3 {
                0 => writing.delete(&id).await.expect("deleted"),
                1 => drop(writing.retry(&id, true).await.expect("again")),
                _ => {}
            }
        }
    });
    let none = JobFilter::default;
    let filters = [
        none(),
        JobFilter { labels: [("k".to_owned(), "v".to_owned())].into(), ..none() },
        JobFilter { types: vec!["sync".to_owned()], ..none() },
        JobFilter { states: vec![JobState::Pending.into()], ..none() },
        JobFilter { owner: "o1".to_owned(), ..none() },
    ];
    let mut rounds = 0;
    while rounds < 1 || !writer.is_finished() {
        for filter in &filters {
            let found = pages(&client, filter, 7).await;
            assert!(
                found.is_sorted_by(|newer, older| newer.id > older.id),
                "newest first, none twice"
            );
            let found: BTreeSet<_> = found.into_iter().map(|job| job.id).collect();
            let of_filter = |at: usize| filter.owner.is_empty() || at % 2 == 1;
            let wanted = staying.iter().enumerate().filter(|(at, _)| of_filter(*at));
            for (_, id) in wanted {
                assert!(found.contains(id), "{filter:?} leaves out a job that nobody touched");
            }
        }
        rounds += 1;
    }
    writer.await.expect("the writer ends");
    server.stop().await;
}
