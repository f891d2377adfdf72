use std::convert::Infallible;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tonic::Code;
use tonic::codec::Codec as _;
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::super::peers::Peers;
use super::*;
use crate::config::PeerLimits;
use crate::proto::codec::Codec;
use crate::proto::v1;

const UNARY: &str = "/jobplane.v1.JobService/GetJob";

/// What a handler reads of a call.
type Heard = tonic::Streaming<v1::ReportProgressRequest>;

/// A peer that may leave so many bytes unfinished.
fn peer(bytes: usize) -> (Peers, Arc<Call>) {
    let peers = Peers::new(PeerLimits { bytes, ..PeerLimits::default() });
    let address = "10.0.0.1".parse().expect("an address");
    let call = peers.enter(address, false).expect("room");
    (peers, call)
}

/// Passes a request of a call through the layer to what reads it. What never comes is left pending.
async fn heard(call: &Arc<Call>, path: &str, parts: Vec<Vec<u8>>, ends: bool) -> Heard {
    let parts = stream::iter(parts.into_iter().map(|part| Ok::<_, Infallible>(Bytes::from(part))));
    let body = if ends {
        Body::from_stream(parts)
    } else {
        Body::from_stream(parts.chain(stream::pending()))
    };
    let service = IntakeLayer.layer(tower::service_fn(|request: Request<Body>| async move {
        let mut codec = Codec::<v1::ReportProgressResponse, v1::ReportProgressRequest>::default();
        let heard = Heard::new_request(codec.decoder(), request.into_body(), None, Some(64 << 20));
        Ok::<_, Infallible>(Response::new(heard))
    }));
    let request = Request::builder().uri(path).extension(Arc::clone(call));
    let request = request.body(body).expect("a request");
    let answer = service.oneshot(request).await;
    answer.unwrap_or_else(|never| match never {}).into_body()
}

/// A message with nothing but a field that nobody knows, of so many bytes in all.
fn message(bytes: usize) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes).expect("small").to_be_bytes());
    // Field 100, a varint of one byte, again and again.
    framed.extend([0xa0, 0x06, 0x01].repeat(bytes / 3));
    framed
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("always there").reason
}

#[tokio::test(start_paused = true)]
async fn whole_messages_pass_and_take_no_room() {
    let (peers, peer) = peer(1_000);
    let parts = message(300).chunks(7).map(<[u8]>::to_vec).collect();
    let mut call = heard(&peer, UNARY, parts, true).await;
    assert!(call.message().await.expect("whole").is_some());
    assert!(call.message().await.expect("a good end").is_none());
    assert_eq!(peers.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_rest_does_not_come_ends_its_call() {
    let (peers, peer) = peer(1_000);
    for path in [UNARY, STREAMS[0]] {
        let mut call = heard(&peer, path, vec![message(300)[..50].to_vec()], false).await;
        let late = call.message().await.expect_err("late");
        assert_eq!((late.code(), &*reason(&late)), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
        drop(call);
        assert_eq!(peers.bytes(), 0, "it gave back what it had");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_silent_between_messages_and_a_call_may_not_begin_late() {
    let (_peers, peer) = peer(1_000);
    let mut stream = heard(&peer, STREAMS[0], vec![message(300)], false).await;
    assert!(stream.message().await.expect("whole").is_some());
    let silence = tokio::time::timeout(10 * MESSAGE_WITHIN, stream.message()).await;
    assert!(silence.is_err(), "it ended by itself");
    let mut call = heard(&peer, UNARY, Vec::new(), false).await;
    let late = call.message().await.expect_err("late");
    assert_eq!(reason(&late), "LIMIT_EXCEEDED");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_room_for_more_than_the_bound_of_the_peer() {
    let (peers, peer) = peer(1_000);
    let part = |bytes| vec![message(3_000)[..bytes].to_vec()];
    let mut first = heard(&peer, STREAMS[0], part(600), false).await;
    let waits = tokio::time::timeout(Duration::from_millis(1), first.message()).await;
    assert!(waits.is_err(), "there was no room");
    let mut call = heard(&peer, STREAMS[0], part(500), false).await;
    let refused = call.message().await.expect_err("no room");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert!(refused.get_details_retry_info().is_some());
    drop((call, first));
    assert_eq!(peers.bytes(), 0);
    let mut call = heard(&peer, STREAMS[0], part(500), false).await;
    let waits = tokio::time::timeout(Duration::from_millis(1), call.message()).await;
    assert!(waits.is_err(), "there is room again");
}
