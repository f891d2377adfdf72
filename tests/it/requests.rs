//! Request ids and unique keys: one request, one job.

use futures_util::future::join_all;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::UniquePolicy;
use tonic::Code;

use crate::harness::{Client, JobFacts as _, Server, Told as _, spec};

fn keyed(key: &str, policy: UniquePolicy) -> v1::JobSpec {
    let unique_key = key.to_owned();
    v1::JobSpec { unique_key, unique_policy: policy.into(), ..spec("sync") }
}

async fn jobs(client: &Client) -> usize {
    client.list(v1::ListJobsRequest::default()).await.expect("a page").jobs.len()
}

fn id_of(answer: &v1::CreateJobResponse) -> &str {
    answer.job.as_ref().map_or("", |job| job.id.as_str())
}

#[tokio::test]
async fn the_same_request_again_answers_the_same_job() {
    let server = Server::start().await;
    let client = server.client();
    let first = client.request("r1", spec("sync")).await.expect("created");
    let again = client.request("r1", spec("sync")).await.expect("known");
    assert!(!first.existing && again.existing);
    assert_eq!(id_of(&first), id_of(&again));
    assert_eq!(jobs(&client).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn twenty_racing_repeats_of_a_request_make_one_job() {
    let server = Server::start().await;
    let client = server.client();
    let racing = (0..20).map(|_| client.request("r1", spec("sync")));
    let answers: Vec<_> = join_all(racing).await.into_iter().map(|a| a.expect("a job")).collect();
    let made: Vec<_> = answers.iter().filter(|answer| !answer.existing).collect();
    assert_eq!(made.len(), 1, "one of them made it");
    assert!(answers.iter().all(|answer| id_of(answer) == id_of(made[0])));
    assert_eq!(jobs(&client).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_with_another_body_is_refused() {
    let server = Server::start().await;
    let client = server.client();
    let first = client.request("r1", spec("sync")).await.expect("created");
    let other = client.request("r1", spec("backup")).await.refusal();
    assert_eq!((other.code, other.reason.as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(other.fact("job_id"), id_of(&first));
    assert_eq!(other.fields, ["request_id"]);
    let racing = (0..20).map(|n| client.request("r2", spec(&format!("t{n}"))));
    let won = join_all(racing).await.into_iter().flatten().count();
    assert_eq!(won, 1, "different bodies under one id: one of them wins");
    server.stop().await;
}

#[tokio::test]
async fn deleting_its_job_does_not_free_a_request_id() {
    let mut server = Server::start().await;
    let first = server.client().request("r1", spec("sync")).await.expect("created");
    server.client().cancel(id_of(&first), None).await.expect("cancelled");
    server.client().delete(id_of(&first)).await.expect("deleted");
    for _ in 0..2 {
        let again = server.client().request("r1", spec("sync")).await.refusal();
        assert_eq!(again.reason, "REQUEST_ID_SPENT");
        assert_eq!(again.fact("job_id"), id_of(&first));
        server.restart().await;
    }
    assert_eq!(jobs(&server.client()).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_is_known_after_a_restart() {
    let mut server = Server::start().await;
    let first = server.client().request("r1", spec("sync")).await.expect("created");
    server.restart().await;
    let again = server.client().request("r1", spec("sync")).await.expect("known");
    assert!(again.existing);
    assert_eq!(id_of(&first), id_of(&again));
    server.stop().await;
}

#[tokio::test]
async fn a_batch_answers_each_request_by_itself() {
    let server = Server::start().await;
    let client = server.client();
    let request = |id: &str, job_type: &str| v1::CreateJobRequest {
        spec: Some(spec(job_type)),
        request_id: id.to_owned(),
        validate_only: false,
    };
    let requests =
        vec![request("a", "sync"), request("b", ""), request("a", "sync"), request("a", "other")];
    let batch = v1::BatchCreateJobsRequest { requests };
    let answer = client.jobs.clone().batch_create_jobs(batch).await;
    let results = answer.expect("an answer").into_inner().results;
    let told = |at: usize| match results[at].outcome.as_ref().expect("an outcome") {
        v1::batch_create_jobs_response::result::Outcome::Created(made) => {
            Ok((id_of(made).to_owned(), made.existing))
        }
        v1::batch_create_jobs_response::result::Outcome::Error(status) => {
            Err(crate::harness::Refusal::of_message(status).reason)
        }
    };
    let (first, again) = (told(0).expect("made"), told(2).expect("known"));
    assert_eq!(first.0, again.0);
    assert!(first.1 != again.1, "one of them made it");
    assert_eq!(told(1), Err("INVALID_FIELD".to_owned()));
    assert_eq!(told(3), Err("REQUEST_ID_REUSED".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn a_unique_key_has_one_live_job_whoever_races() {
    let server = Server::start().await;
    let client = server.client();
    let racing = (0..20).map(|_| client.request("", keyed("k", UniquePolicy::Reject)));
    let answers = join_all(racing).await;
    let made: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(made.len(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let refused = crate::harness::Refusal::of(refused);
        assert_eq!((refused.code, refused.reason.as_str()), (Code::AlreadyExists, "DUPLICATE_JOB"));
        assert_eq!(refused.fact("job_id"), id_of(made[0]));
    }
    let racing = (0..20).map(|_| client.request("", keyed("k", UniquePolicy::ReturnExisting)));
    for answer in join_all(racing).await {
        let answer = answer.expect("the holder");
        assert!(answer.existing);
        assert_eq!(id_of(&answer), id_of(made[0]));
    }
    assert_eq!(jobs(&client).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn who_was_answered_with_another_job_by_its_key_is_answered_so_again() {
    let server = Server::start().await;
    let client = server.client();
    let holder = client.create(keyed("k", UniquePolicy::Reject)).await.id;
    let keyed = || keyed("k", UniquePolicy::ReturnExisting);
    let first = client.request("r1", keyed()).await.expect("there is one");
    assert_eq!((id_of(&first), first.existing), (holder.as_str(), true));
    client.cancel(&holder, None).await.expect("cancelled");
    // Its answer was lost: nothing is made, although the key is free.
    let again = client.request("r1", keyed()).await.expect("known");
    assert_eq!((id_of(&again), again.existing), (holder.as_str(), true));
    let other = client.request("r1", spec("backup")).await.refusal();
    assert_eq!(other.reason, "REQUEST_ID_REUSED");
    assert_eq!(jobs(&client).await, 1);
    let next = client.request("r2", keyed()).await.expect("made");
    assert!(!next.existing && id_of(&next) != holder);
    server.stop().await;
}

#[tokio::test]
async fn a_unique_key_is_free_when_its_job_is_over_and_bars_its_retry_when_taken() {
    let server = Server::start().await;
    let client = server.client();
    let first = client.create(keyed("k", UniquePolicy::Reject)).await;
    client.cancel(&first.id, None).await.expect("cancelled");
    let second = client.create(keyed("k", UniquePolicy::Reject)).await;
    let refused = client.retry(&first.id, false).await.refusal();
    assert_eq!((refused.reason.as_str(), refused.fact("job_id")), ("DUPLICATE_JOB", &*second.id));
    assert_eq!(client.get(&first.id).await.state(), State::Cancelled);

    client.cancel(&second.id, None).await.expect("cancelled");
    assert_eq!(client.retry(&first.id, false).await.expect("retried").state(), State::Pending);
    let refused = client.request("", keyed("k", UniquePolicy::Reject)).await.refusal();
    assert_eq!(refused.fact("job_id"), first.id, "the key is taken again");
    server.stop().await;
}
