use std::convert::Infallible;

use futures_util::task::noop_waker;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::config::PeerLimits;

use super::super::{Kind, Peers};
use super::*;

/// Gives its chunks away, and then a trailer.
struct Chunks(Vec<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn next<B: Body<Data = Bytes, Error = Infallible> + Unpin>(body: &mut B) -> Option<Frame<Bytes>> {
    let waker = noop_waker();
    match Pin::new(body).poll_frame(&mut Context::from_waker(&waker)) {
        Poll::Ready(frame) => frame.map(|Ok(frame)| frame),
        Poll::Pending => panic!("it never waits"),
    }
}

fn call(bytes: usize) -> Arc<Call> {
    let peers = Peers::new(PeerLimits { calls: 1, unanswered: 1, bytes });
    peers.enter("10.0.0.1".parse().expect("an address"), Kind::Usual).expect("room")
}

#[test]
fn a_large_chunk_goes_in_pieces_and_what_is_left_is_charged() {
    let call = call(100_000);
    let chunk = Bytes::from(vec![7; ANSWER_PIECE_BYTES_MAX * 2 + 5]);
    let mut answer = Answer::of(Chunks(vec![chunk.clone()]), &call);
    let charged = |answer: &Answer<Chunks>| answer.charge.as_ref().map_or(0, |charge| charge.bytes);
    let mut sent = Vec::new();
    for left in [ANSWER_PIECE_BYTES_MAX + 5, 5, 0] {
        let piece = next(&mut answer).expect("a piece").into_data().expect("data");
        assert!(piece.len() <= ANSWER_PIECE_BYTES_MAX);
        assert_eq!(charged(&answer), left);
        assert_eq!(answer.size_hint().lower(), left as u64);
        sent.extend(piece);
    }
    assert_eq!(sent, chunk);
    assert!(next(&mut answer).is_none());
}

#[test]
fn an_answer_that_is_too_much_ends_the_call_instead() {
    let call = call(10);
    let large = Bytes::from(vec![7; ANSWER_PIECE_BYTES_MAX + 11]);
    let small = Bytes::from_static(b"small");
    let mut answer = Answer::of(Chunks(vec![small.clone(), large, small.clone()]), &call);
    let first = next(&mut answer).expect("a chunk").into_data().expect("data");
    assert_eq!(first, small);
    let trailers = next(&mut answer).expect("the end").into_trailers().expect("trailers");
    let status = tonic::Status::from_header_map(&trailers).expect("a status");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_error_info().expect("always there").reason, "RATE_LIMITED");
    assert!(next(&mut answer).is_none(), "nothing comes after the end");
    assert!(answer.is_end_stream());
}
