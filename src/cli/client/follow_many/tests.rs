//! Against a fake server whose streams break as the test says.

use std::collections::VecDeque;

use super::*;
use crate::cli::exit::Exit;
use crate::cli::tests::fake::{Fake, ManyStream};
use crate::proto::v1::watch_jobs_response::{Bookmark, Removed, SnapshotEnd, Upsert};

type Sent = Result<WatchJobsResponse, Status>;

#[expect(clippy::unnecessary_wraps, reason = "a stream may break in between")]
fn event(event: Wire) -> Sent {
    Ok(WatchJobsResponse { event: Some(event) })
}

fn upsert(ids: &[&str]) -> Result<WatchJobsResponse, Status> {
    let job = |id: &&str| Job { id: (*id).to_owned(), ..Job::default() }.encode_to_vec().into();
    event(Wire::Upsert(Upsert { jobs: ids.iter().map(job).collect() }))
}

fn end(token: &str) -> Result<WatchJobsResponse, Status> {
    event(Wire::SnapshotEnd(SnapshotEnd { resume_token: token.to_owned() }))
}

fn bookmark(token: &str) -> Result<WatchJobsResponse, Status> {
    event(Wire::Bookmark(Bookmark { resume_token: token.to_owned() }))
}

fn gone(id: &str) -> Result<WatchJobsResponse, Status> {
    let job_id = id.to_owned();
    event(Wire::Removed(Removed { job_id, reason: Reason::Deleted.into(), ..Removed::default() }))
}

fn broken() -> Result<WatchJobsResponse, Status> {
    Err(Status::unavailable("going away"))
}

/// What was seen until so many events, in a word each; heartbeats and the like excluded.
async fn seen(follow: &mut FollowMany, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(match follow.next().await.unwrap().seen {
            Seen::Upsert(jobs) => {
                let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
                format!("+{}", ids.join("+"))
            }
            Seen::Removed { job_id, deleted, .. } => format!("-{job_id} {deleted}"),
            Seen::Complete => "complete".to_owned(),
            Seen::Bookmark => "bookmark".to_owned(),
            Seen::Reset => "reset".to_owned(),
            Seen::Heartbeat => "heartbeat".to_owned(),
            Seen::Lost { .. } => "lost".to_owned(),
        });
    }
    words
}

async fn follow<const N: usize>(
    streams: [ManyStream; N],
    request: WatchJobsRequest,
) -> (Fake, FollowMany) {
    let fake = Fake::start(VecDeque::new()).await;
    fake.many(streams);
    let client = Client::connect(&fake.address, None).await.unwrap();
    let follow = FollowMany::new(&client, request);
    (fake, follow)
}

#[tokio::test]
async fn a_broken_stream_goes_on_from_its_newest_token() {
    let first = vec![upsert(&["a", "b"]), end("1"), bookmark("2"), gone("b"), broken()];
    let second = vec![upsert(&["c"]), bookmark("3"), broken()];
    let request = WatchJobsRequest { skip_snapshot: true, ..WatchJobsRequest::default() };
    let (fake, mut follow) = follow([first, second], request).await;
    let words = seen(&mut follow, 8).await;
    assert_eq!(
        words,
        ["+a+b", "complete", "bookmark", "-b true", "lost", "+c", "bookmark", "lost"]
    );
    // The third stream says nothing: it is waited for, and giving up does no harm.
    let patience = Duration::from_millis(600);
    assert!(tokio::time::timeout(patience, follow.next()).await.is_err());
    let asked: Vec<_> = fake
        .many_asked()
        .into_iter()
        .map(|request| (request.resume_token, request.skip_snapshot))
        .collect();
    let expected = [("", true), ("2", false), ("3", false)];
    assert_eq!(asked, expected.map(|(token, skip)| (token.to_owned(), skip)));
}

#[tokio::test]
async fn without_a_token_it_starts_over_and_says_so() {
    let streams = [vec![upsert(&["a"]), broken()], vec![upsert(&["b"]), end("1")]];
    let (_fake, mut follow) = follow(streams, WatchJobsRequest::default()).await;
    assert_eq!(seen(&mut follow, 5).await, ["+a", "lost", "reset", "+b", "complete"]);
}

#[tokio::test]
async fn a_token_that_another_server_cannot_read_is_given_up() {
    let streams = [
        vec![upsert(&["a"]), end("1"), broken()],
        vec![Err(Status::invalid_argument("not a token of mine"))],
        vec![upsert(&["b"]), end("9")],
    ];
    let (fake, mut follow) = follow(streams, WatchJobsRequest::default()).await;
    let words = seen(&mut follow, 7).await;
    assert_eq!(words, ["+a", "complete", "lost", "lost", "reset", "+b", "complete"]);
    assert_eq!(fake.many_asked()[2].resume_token, "");
}

#[tokio::test]
async fn a_wrong_filter_ends_the_watch() {
    let streams = [vec![Err(Status::invalid_argument("filter.owner: too long"))]];
    let (_fake, mut follow) = follow(streams, WatchJobsRequest::default()).await;
    assert_eq!(follow.next().await.unwrap_err().exit(), Exit::Usage);
}

#[tokio::test]
async fn the_time_to_watch_runs_out() {
    let fake = Fake::start(VecDeque::new()).await;
    let limit = Some(Duration::from_millis(50));
    let client = Client::connect(&fake.address, limit).await.unwrap();
    let mut follow = FollowMany::new(&client, WatchJobsRequest::default());
    assert_eq!(follow.next().await.unwrap_err().exit(), Exit::TimedOut);
}
