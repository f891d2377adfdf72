//! What workers really use of quotas.

use futures_util::future::join_all;

use super::*;
use crate::domain::ids::QuotaName;
use crate::domain::quota::{OnExhausted, Period, QuotaSpec};
use crate::engine::pipeline::RulesChanged;
use crate::engine::session::Outcome;
use crate::engine::{Error, JobReport};

fn quota(text: &str) -> QuotaName {
    QuotaName::new(text).expect("a name")
}

fn daily(limit: u64) -> QuotaSpec {
    QuotaSpec {
        limit,
        period: Period::Day,
        time_zone: String::new(),
        on_exhausted: OnExhausted::Wait,
    }
}

async fn put_quota(server: &Engine, named: &str, limit: u64) {
    let spec = daily(limit);
    server.put_quota(&Caller::anonymous(), quota(named), spec).await.expect("set up");
}

async fn used(server: &Engine, named: &str) -> (u64, u64) {
    let all = server.quotas(&Caller::anonymous()).await.expect("a read");
    let one = all.into_iter().find(|one| one.name.as_str() == named).expect("there");
    (one.used, one.remaining)
}

async fn started(server: &Engine) -> Job {
    match start(server, "sync").await.expect("an answer") {
        Started::Assigned(assignment) => assignment.job,
        Started::Skipped(job) => panic!("skipped: {:?}", job.status.state),
    }
}

fn report(job: &Job, said: &[(&str, u64)]) -> JobReport {
    JobReport {
        job_id: job.id,
        lease_epoch: job.status.lease_epoch,
        seq: 0,
        progress: None,
        logs: Vec::new(),
        usage: None,
        used: said.iter().map(|(name, units)| (quota(name), *units)).collect(),
        lease_ttl: None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_word_counts_once_and_in_its_own_period() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put_quota(&server, "api", 100).await;
    let caller = Caller::anonymous();
    let job = started(&server).await;
    for units in [10, 30, 30] {
        server.report(&caller, report(&job, &[("api", units)])).await.expect("taken");
    }
    assert_eq!(used(&server, "api").await, (30, 70));
    server.report(&caller, report(&job, &[("api", 20)])).await.expect("taken");
    assert_eq!(used(&server, "api").await, (20, 80));
    let of = (job.id, job.status.lease_epoch);
    let done = || Outcome::Succeeded { result: None, progress: None };
    for _ in 0..2 {
        let said = [(quota("api"), 120)].into();
        server.finish_used(&caller, of, said, done()).await.expect("the same again is known");
    }
    assert_eq!(used(&server, "api").await, (120, 0));
    // An hour of sleep is less than one by the server's clock.
    tokio::time::sleep(HOUR * 36).await;
    assert_eq!(used(&server, "api").await, (0, 100), "a new period");
}

#[tokio::test(start_paused = true)]
async fn use_of_a_quota_that_nobody_knows_is_refused_and_the_job_goes_on() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put_quota(&server, "api", 100).await;
    let caller = Caller::anonymous();
    let job = started(&server).await;
    let refused = server.report(&caller, report(&job, &[("api", 5), ("nobody", 5)])).await;
    assert!(matches!(&refused, Err(Error::QuotaNotFound(name)) if name.as_str() == "nobody"));
    assert_eq!(used(&server, "api").await, (0, 100), "all or nothing");
    let of = (job.id, job.status.lease_epoch);
    let done = || Outcome::Succeeded { result: None, progress: None };
    let said = [(quota("nobody"), 1), (quota("api"), 7)].into();
    let over = server.finish_used(&caller, of, said, done()).await.expect("an end is taken");
    assert_eq!(over.status.kind(), StateKind::Succeeded);
    assert_eq!(used(&server, "api").await, (7, 93), "what is known is settled");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_goes_while_a_job_runs_refuses_it_nothing() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    for named in ["api", "other"] {
        put_quota(&server, named, 100).await;
    }
    put(&server, spec(r#"{"type": "sync", "quota_costs": {"api": 10, "other": 10}}"#)).await;
    let caller = Caller::anonymous();
    let job = started(&server).await;
    let refused = server.delete_quota(&caller, &quota("other")).await;
    let Err(Error::QuotaInUse { job_type, count: 1, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(job_type.as_str(), "sync");
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    server.delete_quota(&caller, &quota("other")).await.expect("nobody needs it");
    let said = report(&job, &[("api", 20), ("other", 20)]);
    server.report(&caller, said).await.expect("taken");
    assert_eq!(used(&server, "api").await, (20, 80));
    let said = [(quota("api"), 30), (quota("other"), 30)].into();
    let of = (job.id, job.status.lease_epoch);
    let done = Outcome::Succeeded { result: None, progress: None };
    let over = server.finish_used(&caller, of, said, done).await.expect("over");
    assert_eq!(over.status.kind(), StateKind::Succeeded);
    assert_eq!(used(&server, "api").await, (30, 70));
}

#[tokio::test(start_paused = true)]
async fn racing_reports_are_counted_exactly() {
    let store = Arc::new(MemoryStore::new());
    let servers = [server(&store), server(&store), server(&store)];
    put_quota(&servers[0], "api", 10_000).await;
    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(started(&servers[0]).await);
    }
    let caller = Caller::anonymous();
    let reports = jobs.iter().enumerate().flat_map(|(at, job)| {
        [at, at + 1, at + 2].map(|at| servers[at % 3].report(&caller, report(job, &[("api", 7)])))
    });
    assert!(join_all(reports).await.iter().all(Result::is_ok));
    assert_eq!(used(&servers[0], "api").await, (210, 9_790));
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_unique_key_is_taken_spends_nothing() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put_quota(&server, "api", 100).await;
    put(&server, spec(r#"{"type": "sync", "quota_costs": {"api": 10}, "max_concurrent": 2}"#))
        .await;
    let first = start_named(&server, "sync", "a").await.expect("an answer");
    assert!(matches!(first, Started::Assigned(_)));
    let again = start_named(&server, "sync", "a").await;
    assert!(matches!(again, Err(Error::DuplicateJob { .. })), "{again:?}");
    assert_eq!(used(&server, "api").await, (10, 90));
    // In one round, where there is room for one: who is not made leaves it to the next one.
    let named = ["b", "b", "b"].map(|key| start_named(&server, "sync", key));
    let answers = join_all(named).await;
    let started = answers.iter().filter(|one| matches!(one, Ok(Started::Assigned(_)))).count();
    let taken = answers.iter().filter(|one| matches!(one, Err(Error::DuplicateJob { .. })));
    assert_eq!((started, taken.count()), (1, 2), "{answers:?}");
    assert_eq!(used(&server, "api").await, (20, 80));
    assert_eq!(jobs_of(&store, "sync").await.len(), 2, "nothing was skipped");
}

#[tokio::test(start_paused = true)]
async fn whether_a_quota_is_in_use_goes_by_what_is_declared_not_by_what_was_heard() {
    let store = Arc::new(MemoryStore::new());
    let (one, other) = (server(&store), server(&store));
    put_quota(&one, "api", 100).await;
    let drawing = || spec(r#"{"type": "sync", "quota_costs": {"api": 10}}"#);
    assert!(put(&other, drawing()).await, "a quota that it has not heard of");
    let refused = one.delete_quota(&Caller::anonymous(), &quota("api")).await;
    assert!(matches!(refused, Err(Error::QuotaInUse { count: 1, .. })), "{refused:?}");
    one.load_rules().await.expect("read");
    put(&other, spec(r#"{"type": "sync"}"#)).await;
    one.delete_quota(&Caller::anonymous(), &quota("api")).await.expect("nobody draws from it");
    let asked = PutType {
        spec: drawing(),
        payload: None,
        revision: 0,
        validate_only: false,
        reason: String::new(),
    };
    let refused = other.put_type(&Caller::anonymous(), asked).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quota_does_not_go_in_the_moment_in_which_a_type_begins_to_draw_from_it() {
    for round in 0..20_u32 {
        let store = Arc::new(MemoryStore::new());
        let (one, other) = (server(&store), server(&store));
        put_quota(&one, "api", 100).await;
        let (caller, api) = (Caller::anonymous(), quota("api"));
        let later = async |delay: u32| {
            for _ in 0..delay {
                tokio::task::yield_now().await;
            }
        };
        let drawing = spec(r#"{"type": "sync", "quota_costs": {"api": 10}}"#);
        let put = PutType {
            spec: drawing,
            payload: None,
            revision: 0,
            validate_only: false,
            reason: String::new(),
        };
        let declare = async {
            later(round).await;
            other.put_type(&caller, put).await
        };
        let delete = async {
            later(10).await;
            one.delete_quota(&caller, &api).await
        };
        let (declared, deleted) = futures_util::future::join(declare, delete).await;
        match (&declared, &deleted) {
            (Ok(_), Err(Error::QuotaInUse { .. })) | (Err(Error::Invalid(_)), Ok(())) => {}
            both => panic!("{both:?} with {round}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_not_set_below_what_a_start_of_a_type_draws() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let caller = Caller::anonymous();
    put_quota(&server, "api", 10).await;
    put(&server, spec(r#"{"type": "big", "quota_costs": {"api": 4}}"#)).await;
    put(&server, spec(r#"{"type": "sync", "quota_costs": {"api": 2}}"#)).await;
    let refused = server.put_quota(&caller, quota("api"), daily(3)).await;
    let Err(Error::QuotaBelowCost { job_type, cost: 4, limit: 3, .. }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(job_type.as_str(), "big");
    assert_eq!(used(&server, "api").await, (0, 10), "it stays as it was");
    server.put_quota(&caller, quota("api"), daily(4)).await.expect("enough for one");
    // A server that has not heard of the types goes by what is stored.
    let other = self::server(&store);
    let refused = other.put_quota(&caller, quota("api"), daily(3)).await;
    assert!(matches!(refused, Err(Error::QuotaBelowCost { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_type_whose_costs_do_not_change_is_not_refused_for_them() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put_quota(&server, "api", 10).await;
    put(&server, spec(r#"{"type": "sync", "quota_costs": {"api": 4}}"#)).await;
    // Two servers at once can come to this: one lowers the limit, the other raises the cost.
    let key = RuleKey::new(RuleKind::Quota, "api");
    let row = server.fresh_rules(vec![key.clone()]).await.expect("read").remove(0);
    let change = vec![RuleWrite::put(key, row.revision, &daily(2)).expect("a row")];
    let written = server.write_rules(change.into()).await.expect("an answer");
    assert!(matches!(written, RulesChanged::Done { .. }), "{written:?}");
    let disabled = r#"{"type": "sync", "disabled": true, "quota_costs": {"api": 4}}"#;
    put(&server, spec(disabled)).await;
    let wish = PutType {
        spec: spec(r#"{"type": "sync", "quota_costs": {"api": 3}}"#),
        payload: None,
        revision: 0,
        validate_only: false,
        reason: String::new(),
    };
    let refused = server.put_type(&Caller::anonymous(), wish).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}
