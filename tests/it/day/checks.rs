//! At the end of the day: what the server tells is what the model knows, line by line.

use std::collections::BTreeMap;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::get_stats_response::Stats;
use jobplane::proto::v1::get_summary_response::Summary;

use super::model::{Happened, Model, What};
use super::{QUEUES, SCHEDULED, TYPES, category_of, queue_of, type_name};
use crate::harness::{Client, JobFacts as _, Server};

type Counts = BTreeMap<State, i64>;

fn by_state(counts: &[v1::StateCount]) -> Counts {
    counts.iter().map(|count| (count.state(), count.count)).collect()
}

fn recount<'a>(jobs: impl Iterator<Item = &'a v1::Job>) -> Counts {
    let mut counts = Counts::new();
    for job in jobs {
        *counts.entry(job.state()).or_default() += 1;
    }
    counts
}

fn type_of(job: &v1::Job) -> &str {
    &job.spec.as_ref().expect("a spec").r#type
}

async fn every_job(client: &Client) -> Vec<v1::Job> {
    let (mut jobs, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            v1::ListJobsRequest { page_size: 200, page_token, ..v1::ListJobsRequest::default() };
        let page = client.list(request).await.expect("a page");
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return jobs;
        }
    }
}

fn count(model: &Model, what: What, of: impl Fn(&Happened) -> bool) -> i64 {
    let found = model.happened.iter().filter(|one| one.what == what && of(one)).count();
    i64::try_from(found).expect("a count")
}

/// Everything that was said of the day.
pub async fn check(server: &Server, model: &Model) {
    let client = server.client();
    let jobs = every_job(&client).await;
    check_jobs(&client, &jobs, model).await;
    check_stats(&client, &jobs, model).await;
    check_owners(&client, model).await;
    check_summary(server, &jobs, model).await;
}

/// How many jobs ever came to their end.
pub async fn finished(client: &Client) -> i64 {
    client.stats().await.totals.expect("totals").finished_total
}

/// What was over is gone, all else is there, and what was counted before stays counted. Meanwhile schedules fire and
/// workers are lost, so the counters are compared with a recount that came between two equal looks at them.
pub async fn check_after_purge(client: &Client, model: &Model, finished_before: i64) {
    let jobs = every_job(client).await;
    for (id, life) in model.living() {
        assert!(jobs.iter().any(|job| job.id == *id), "{id} was {:?} and is gone", life.state);
    }
    assert!(finished(client).await >= finished_before, "it never falls");
    crate::harness::eventually(crate::harness::SOON, "the counters equal a recount", || async {
        let counted = by_state(&client.stats().await.totals.expect("totals").counts);
        let jobs = every_job(client).await;
        let again = by_state(&client.stats().await.totals.expect("totals").counts);
        counted == again && counted == recount(jobs.iter())
    })
    .await;
}

async fn check_jobs(client: &Client, jobs: &[v1::Job], model: &Model) {
    let found: BTreeMap<_, _> = jobs.iter().map(|job| (&job.id, job.state())).collect();
    let wanted: BTreeMap<_, _> = model.living().map(|(id, life)| (id, life.state)).collect();
    assert_eq!(found, wanted);
    for (id, life) in model.living() {
        assert_eq!(client.attempts(id).await.len(), life.executions, "attempts of {id}");
    }
}

fn check_group(name: &str, of: &Stats, counts: &Counts, model: &Model, is: &dyn Fn(&str) -> bool) {
    assert_eq!(by_state(&of.counts), *counts, "{name}: a recount of the rows");
    let happened = |what| count(model, what, |one| is(&one.job_type));
    let ended = [What::Succeeded, What::Failed, What::Cancelled, What::Skipped].map(happened);
    assert_eq!(of.finished_total, ended.iter().sum::<i64>(), "{name}: whatever was deleted");
    let day = of.day.as_ref().expect("a day");
    let told = [day.succeeded, day.failed, day.cancelled, day.skipped];
    assert_eq!(told, ended, "{name}");
    assert_eq!(
        (day.created, day.started),
        (happened(What::Created), happened(What::Started)),
        "{name}"
    );
    let runs = day.run.as_ref().map_or(0, |run| run.count);
    assert_eq!(runs, happened(What::AttemptEnded), "{name}: attempts that ended");
    let waits = day.wait.as_ref().map_or(0, |wait| wait.count);
    assert_eq!(waits, happened(What::Started), "{name}: attempts that began");
}

async fn check_stats(client: &Client, jobs: &[v1::Job], model: &Model) {
    let stats = client.stats().await;
    let totals = stats.totals.expect("totals");
    check_group("all", &totals, &recount(jobs.iter()), model, &|_| true);
    let rows = totals.day.as_ref().and_then(|day| day.counters.get("rows")).copied();
    assert_eq!(rows, Some(model.rows), "what the workers counted");
    let mut types = 0;
    for of in &stats.by_type {
        let name = of.r#type.as_str();
        let counts = recount(jobs.iter().filter(|job| type_of(job) == name));
        check_group(name, of.stats.as_ref().expect("figures"), &counts, model, &|one| one == name);
        types += 1;
    }
    let made: std::collections::BTreeSet<_> =
        model.happened.iter().map(|one| &one.job_type).collect();
    assert_eq!(types, made.len(), "every type that ever had a job");
    for of in &stats.by_queue {
        let name = of.queue.as_str();
        assert!(QUEUES.contains(&name));
        let counts = recount(jobs.iter().filter(|job| queue_of(type_of(job)) == name));
        let is = |one: &str| queue_of(one) == name;
        check_group(name, of.stats.as_ref().expect("figures"), &counts, model, &is);
    }
}

async fn check_owners(client: &Client, model: &Model) {
    for owner in ["ann", "bob"] {
        let request = v1::GetStatsRequest { owner: owner.to_owned(), ..Default::default() };
        let stats = client.jobs.clone().get_stats(request).await.expect("stats").into_inner();
        let totals = stats.totals.expect("totals");
        let mut counts = Counts::new();
        for (_, life) in model.living().filter(|(_, life)| life.owner == owner) {
            *counts.entry(life.state).or_default() += 1;
        }
        assert_eq!(by_state(&totals.counts), counts, "{owner}");
        let happened = |what| count(model, what, |one| one.owner == owner);
        let day = totals.day.expect("figures are kept by owner");
        assert_eq!((day.created, day.started), (happened(What::Created), happened(What::Started)));
        let told = [day.succeeded, day.failed, day.cancelled];
        assert_eq!(told, [What::Succeeded, What::Failed, What::Cancelled].map(happened), "{owner}");
        assert_eq!(day.run.map_or(0, |run| run.count), happened(What::AttemptEnded), "{owner}");
    }
}

fn micros(time: &prost_types::Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos / 1_000)
}

fn length(span: &prost_types::Duration) -> i64 {
    span.seconds * 1_000_000 + i64::from(span.nanos / 1_000)
}

async fn check_summary(server: &Server, jobs: &[v1::Job], model: &Model) {
    let before = server.now().as_micros();
    let request = v1::GetSummaryRequest { recent_runs: 3, ..v1::GetSummaryRequest::default() };
    let answer = server.client().jobs.clone().get_summary(request).await;
    let summaries = answer.expect("a summary").into_inner().summaries;
    let after = server.now().as_micros();
    assert_eq!(summaries.len(), TYPES, "every declared type, those that never ran too");
    for (number, summary) in summaries.iter().enumerate() {
        let name = type_name(number);
        assert_eq!(summary.r#type, name, "by name");
        let mut of_type: Vec<_> = jobs.iter().filter(|job| type_of(job) == name).collect();
        of_type.sort_by(|one, other| other.id.cmp(&one.id));
        check_line(number, summary, &of_type, model, (before, after));
    }
    assert!(summaries[TYPES - 1].last_job.is_none(), "one of them never ran");
}

fn check_line(
    number: usize,
    summary: &Summary,
    jobs: &[&v1::Job],
    model: &Model,
    (before, after): (i64, i64),
) {
    let name = &summary.r#type;
    assert_eq!(summary.display_name, format!("Type number {number}"));
    assert_eq!(summary.category, category_of(name));
    assert_eq!(by_state(&summary.counts), recount(jobs.iter().copied()), "{name}");
    let recent: Vec<_> = summary.recent_jobs.iter().map(|job| &job.id).collect();
    assert_eq!(recent, jobs.iter().take(3).map(|job| &job.id).collect::<Vec<_>>(), "{name}");
    let last = summary.last_job.as_ref().map(|job| (&job.id, job.state()));
    assert_eq!(last, jobs.first().map(|job| (&job.id, job.state())), "{name}");
    let done: Vec<_> = jobs.iter().filter(|job| job.state() == State::Succeeded).take(20).collect();
    let last_success =
        done.iter().filter_map(|job| job.status().end_time.as_ref().map(micros)).max();
    assert_eq!(summary.last_success_time.as_ref().map(micros), last_success, "{name}");
    let mut runs: Vec<_> =
        done.iter().filter_map(|job| job.status().run_duration.as_ref().map(length)).collect();
    runs.sort_unstable();
    let typical = runs.get(runs.len() / 2).map(|upper| {
        if runs.len() % 2 == 1 { *upper } else { i64::midpoint(runs[runs.len() / 2 - 1], *upper) }
    });
    assert_eq!(summary.typical_run_duration.as_ref().map(length), typical, "{name}");
    let failed = |within: i64| {
        let since = |now: i64| (now - within).div_euclid(60_000_000);
        let of = |now| {
            count(model, What::Failed, |one| {
                one.job_type == *name && one.at.div_euclid(60_000_000) >= since(now)
            })
        };
        of(after)..=of(before)
    };
    assert!(failed(3_600_000_000).contains(&summary.failed_last_hour), "{name}");
    // It began less than a day ago.
    assert_eq!(summary.failed_last_day, count(model, What::Failed, |one| one.job_type == *name));
    let next = summary.next_fire_time.as_ref().map(micros);
    let hour = 3_600_000_000;
    let wanted = |now: i64| SCHEDULED.contains(&number).then(|| (now / hour + 1) * hour);
    assert!([wanted(before), wanted(after)].contains(&next), "{name}: {next:?}");
}
