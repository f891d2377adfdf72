//! How many jobs may wait.

use futures_util::future::join_all;

use super::*;
use crate::domain::job::UniquePolicy;
use crate::engine::Error;

fn in_queue(queue: &str) -> CreateJob {
    let mut draft = Draft::new(JobSpec::new(name("sync"), QueueName::default()));
    draft.queue = Some(QueueName::new(queue).expect("a name"));
    CreateJob { draft, request: None, validate_only: false }
}

async fn bound(server: &Engine, queue: &str, max_pending: u32) {
    let queue = QueueName::new(queue).expect("a name");
    let change = |settings: &mut crate::domain::queue::QueueSettings, _: &mut Violations| {
        settings.max_pending = max_pending;
    };
    server.update_queue(&Caller::anonymous(), &queue, change).await.expect("changed");
}

fn is_full<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::TooManyPending { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_exactly_as_many_as_may_wait() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    bound(&server, "bulk", 5).await;
    let caller = Caller::anonymous();
    let creates = (0..20).map(|_| server.create(&caller, in_queue("bulk")));
    let answers = join_all(creates).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    assert_eq!(answers.iter().filter(|answer| is_full(answer)).count(), 15);
    let check = CreateJob { validate_only: true, ..in_queue("bulk") };
    assert!(is_full(&server.create(&caller, check).await));
    server.create(&caller, in_queue("other")).await.expect("another queue");
    // Who starts at once does not wait.
    start(&server, "sync").await.expect("started");
    let first = answers[0].as_ref().expect("the first").job.id;
    server.cancel(&caller, first, String::new(), None).await.expect("cancelled");
    server.create(&caller, in_queue("bulk")).await.expect("there is room again");
    assert!(is_full(&server.create(&caller, in_queue("bulk")).await));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_job_that_is_there_takes_no_room() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    bound(&server, "bulk", 1).await;
    let caller = Caller::anonymous();
    let keyed = |policy| {
        let mut create = in_queue("bulk");
        create.draft.rest.unique_key = "one".to_owned();
        create.draft.rest.unique_policy = policy;
        create
    };
    let request = Some(("r".to_owned(), [1; 32]));
    let first = CreateJob { request, ..keyed(UniquePolicy::Reject) };
    let job = server.create(&caller, first.clone()).await.expect("room for one").job;
    let again = server.create(&caller, first).await.expect("the same request");
    assert!(again.existing && again.job.id == job.id);
    let same = server.create(&caller, keyed(UniquePolicy::ReturnExisting)).await.expect("there");
    assert!(same.existing && same.job.id == job.id);
    let taken = server.create(&caller, keyed(UniquePolicy::Reject)).await;
    assert!(matches!(taken, Err(Error::DuplicateJob { holder, .. }) if holder == job.id));
    assert!(is_full(&server.create(&caller, in_queue("bulk")).await));
}

#[tokio::test(start_paused = true)]
async fn the_smaller_bound_of_all_holds_and_loses_no_scheduled_run() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let caller = Caller::anonymous();
    let change = |defaults: &mut crate::domain::definitions::ServerDefaults| {
        defaults.max_pending = 3;
    };
    server.update_defaults(&caller, change).await.expect("changed");
    let many = (0..5).map(|at| server.create(&caller, in_queue(&format!("q{at}"))));
    let answers = join_all(many).await;
    assert_eq!(answers.iter().filter(|answer| is_full(answer)).count(), 2);
    let hourly = r#"{"type": "hourly", "schedule": {"interval": "1h", "overlap_policy": "ALLOW"}}"#;
    put(&server, spec(hourly)).await;
    tokio::time::sleep(HOUR).await;
    server.run_schedules().await.expect("a step");
    let runs = jobs_of(&store, "hourly").await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].status.kind(), StateKind::Pending, "a scheduled run is never lost");
}
