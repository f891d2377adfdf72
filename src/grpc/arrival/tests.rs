use std::convert::Infallible;

use futures_util::{StreamExt as _, stream};
use tonic::codec::Codec as _;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::proto::codec::Codec;
use crate::proto::v1;

const UNARY: &str = "/jobplane.v1.JobService/GetJob";
/// A message of one field that nobody knows.
const MESSAGE: &[u8] = b"\0\0\0\0\x03\xa0\x06\x01";

/// What a handler reads of a call.
type Heard = Streaming<v1::GetJobRequest>;

/// Passes a request through the layer to what reads it. It comes in these parts, and then nothing,
/// not even its end, unless it `ends`.
async fn heard(path: &str, parts: &[&'static [u8]], ends: bool) -> Heard {
    heard_until(&Shutdown::new(), path, parts, ends).await
}

/// The same, of a server that may stop.
async fn heard_until(
    shutdown: &Shutdown,
    path: &str,
    parts: &[&'static [u8]],
    ends: bool,
) -> Heard {
    let parts: Vec<_> =
        parts.iter().map(|part| Ok::<_, Infallible>(Bytes::from_static(part))).collect();
    let body = if ends {
        Body::from_stream(stream::iter(parts))
    } else {
        Body::from_stream(stream::iter(parts).chain(stream::pending()))
    };
    let service = ArrivalLayer::new(shutdown.clone()).layer(tower::service_fn(
        |request: Request<Body>| async move {
            let mut codec = Codec::<v1::GetJobResponse, v1::GetJobRequest>::default();
            let heard = Heard::new_request(codec.decoder(), request.into_body(), None, None);
            Ok::<_, Infallible>(Response::new(heard))
        },
    ));
    let request = Request::builder().uri(path).body(body).expect("a request");
    service.oneshot(request).await.unwrap_or_else(|never| match never {}).into_body()
}

fn is_late(status: &Status) -> bool {
    let info = status.get_details_error_info().expect("always there");
    (status.code(), &*info.reason) == (Code::ResourceExhausted, "LIMIT_EXCEEDED")
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_passes() {
    let mut call = heard(UNARY, &[&MESSAGE[..3], &MESSAGE[3..]], true).await;
    assert!(call.message().await.expect("whole").is_some());
    assert!(call.message().await.expect("a good end").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_request_does_not_come_ends() {
    for parts in [&[][..], &[&MESSAGE[..3]], &[&MESSAGE[..7]]] {
        let mut call = heard(UNARY, parts, false).await;
        assert!(is_late(&call.message().await.expect_err("late")), "{parts:?}");
    }
    // The message came, and not the end of the request.
    let mut call = heard(UNARY, &[MESSAGE], false).await;
    assert!(call.message().await.expect("whole").is_some());
    assert!(is_late(&call.message().await.expect_err("late")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_silent_for_long() {
    for path in QUESTIONS.iter().chain(&[REPORTS]) {
        let mut stream = heard(path, &[MESSAGE], false).await;
        assert!(stream.message().await.expect("whole").is_some());
        let silence = tokio::time::timeout(10 * REQUEST_WITHIN, stream.message()).await;
        assert!(silence.is_err(), "it ended by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_little_for_what_has_not_arrived() {
    let shutdown = Shutdown::new();
    let mut half = heard_until(&shutdown, UNARY, &[&MESSAGE[..3]], false).await;
    let mut stream = heard_until(&shutdown, QUESTIONS[0], &[MESSAGE], false).await;
    assert!(stream.message().await.expect("whole").is_some());
    let mut reports = heard_until(&shutdown, REPORTS, &[MESSAGE], false).await;
    assert!(reports.message().await.expect("whole").is_some());
    let began = crate::runtime::Clock::monotonic();
    shutdown.signal();
    for ended in [stream.message().await, half.message().await] {
        let status = ended.expect_err("not waited for");
        assert_eq!(
            status.get_details_error_info().expect("always there").reason,
            "SERVER_DRAINING"
        );
    }
    assert!(began.elapsed() < 2 * CLOSE_WITHIN);
    let told = tokio::time::timeout(10 * CLOSE_WITHIN, reports.message()).await;
    assert!(told.is_err(), "a worker is told by other means");
}

#[tokio::test(start_paused = true)]
async fn what_arrives_soon_after_the_signal_passes() {
    let shutdown = Shutdown::new();
    shutdown.signal();
    let mut call = heard_until(&shutdown, UNARY, &[&MESSAGE[..3], &MESSAGE[3..]], true).await;
    assert!(call.message().await.expect("whole").is_some());
}
