//! What `/readyz` says while the store does not do its work.

use std::time::Duration;

use jobplane::proto::v1;
use tonic::Code;

use crate::harness::{Fault, SOON, Server, Told as _, Weather, eventually, spec};

/// Trouble is told for 5 s after it was met.
const RECOVERS_WITHIN: Duration = Duration::from_secs(15);

async fn is_ready(server: &Server) -> bool {
    server.http_get("/readyz").await.starts_with("HTTP/1.1 200")
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_not_ready_until_it_does_again() {
    let server = Server::start().await;
    assert!(is_ready(&server).await);
    server.faults.set(Weather::ReadOnly);
    let request = v1::CreateJobRequest { spec: Some(spec("sync")), ..Default::default() };
    assert_eq!(server.client().try_create(request).await.refusal().code, Code::Unavailable);
    let page = server.http_get("/readyz").await;
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("store_failing"), "{page}");
    assert_eq!(server.logged("the store fails"), 1);
    server.faults.set(Weather::Fair);
    server.client().create(spec("sync")).await;
    eventually(RECOVERS_WITHIN, "it is ready again", || is_ready(&server)).await;
    server.stop().await;
}

#[tokio::test]
async fn commits_that_did_not_happen_are_in_the_log_once_in_a_while() {
    let server = Server::start().await;
    for _ in 0..3 {
        server.faults.plan(Fault::RequestLost, |batch| !batch.creates.is_empty());
    }
    server.client().create(spec("sync")).await;
    eventually(SOON, "all have failed", || async { server.faults.happened() }).await;
    assert_eq!(server.logged("the store fails"), 1);
    assert!(server.http_get("/readyz").await.contains("store_failing"));
    server.stop().await;
}
