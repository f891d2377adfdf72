use std::collections::VecDeque;
use std::net::Ipv4Addr;

use futures_util::FutureExt as _;
use http::HeaderMap;
use proptest::prelude::*;

use super::super::{Kind, Peers};
use super::*;
use crate::config::PeerLimits;

/// A body that comes in these parts, and then ends, or says nothing more.
struct Parts {
    parts: VecDeque<Frame<Bytes>>,
    ends: bool,
}

impl Parts {
    fn of(parts: &[&[u8]], ends: bool) -> Self {
        let parts = parts.iter().map(|part| Frame::data(Bytes::copy_from_slice(part))).collect();
        Self { parts, ends }
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.parts.pop_front() {
            Some(part) => Poll::Ready(Some(Ok(part))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// A call of a peer that may hold a hundred bytes.
fn call() -> Arc<Call> {
    let limits = PeerLimits { bytes: 100, ..PeerLimits::default() };
    Peers::new(limits).enter(Ipv4Addr::LOCALHOST.into(), Kind::Usual).expect("room")
}

fn held(call: &Call) -> usize {
    call.peer.bytes.load(std::sync::atomic::Ordering::Relaxed)
}

/// All that comes of a body for now, and whether it ended.
fn given<B: Body<Data = Bytes, Error = Status> + Unpin>(body: &mut B) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).now_or_never() {
            Some(Some(frame)) => {
                let frame = frame.expect("not refused");
                all.extend(frame.data_ref().map(|data| data.to_vec()).unwrap_or_default());
            }
            Some(None) => return (all, true),
            None => return (all, false),
        }
    }
}

#[test]
fn what_comes_while_a_call_waits_is_charged_and_then_given_in_order() {
    for framed in [true, false] {
        let call = call();
        let all = [message(3), message(40)].concat();
        let parts = Parts::of(&[&all[..4], &all[4..20], &all[20..30]], false);
        let mut body = Intake::of(parts, framed, &call);
        assert!(body.wait().now_or_never().is_none(), "it goes on waiting");
        assert_eq!(held(&call), 30, "whole messages too: nobody reads them yet");
        assert_eq!(body.size_hint().lower(), 30);
        body.inner.parts.push_back(Frame::data(Bytes::copy_from_slice(&all[30..])));
        assert!(body.wait().now_or_never().is_none());
        body.inner.ends = true;
        assert_eq!(given(&mut body), (all, true));
        let weighs = if framed { 0 } else { 53 };
        assert_eq!(held(&call), weighs);
        drop(body);
        assert_eq!(held(&call), 0);
    }
}

#[test]
fn the_end_may_come_while_a_call_waits() {
    let mut parts = Parts::of(&[&message(1)], true);
    parts.parts.push_back(Frame::trailers(HeaderMap::new()));
    let call = call();
    let mut body = Intake::of(parts, true, &call);
    assert!(body.wait().now_or_never().is_none());
    assert!(!body.is_end_stream());
    assert_eq!(given(&mut body), (message(1), true));
    assert!(body.is_end_stream());
}

#[test]
fn a_call_that_holds_too_much_does_not_wait_any_longer() {
    let call = call();
    let mut body = Intake::of(Parts::of(&[&[0; 60], &[0; 60]], false), true, &call);
    let refused = body.wait().now_or_never().expect("it ends");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    drop(body);
    assert_eq!(held(&call), 0);
}

fn message(length: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(length).expect("small").to_be_bytes());
    bytes.extend(std::iter::repeat_n(0xff, length));
    bytes
}

#[test]
fn whole_messages_weigh_nothing() {
    let mut framing = Framing::default();
    framing.take(&[message(3), message(0), message(70_000)].concat());
    assert_eq!(framing.held, 0);
}

#[test]
fn a_message_weighs_what_has_come_of_it() {
    let mut framing = Framing::default();
    framing.take(&message(10)[..3]);
    assert_eq!(framing.held, 3);
    framing.take(&message(10)[3..12]);
    assert_eq!(framing.held, 12);
    framing.take(&message(10)[12..]);
    assert_eq!(framing.held, 0);
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        lengths in prop::collection::vec(0_usize..40, 0..8),
        end in 0_usize..400,
        cuts in prop::collection::vec(1_usize..20, 1..50),
    ) {
        let all: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
        let bytes = &all[..end.min(all.len())];
        let (mut whole, mut cut) = (Framing::default(), Framing::default());
        whole.take(bytes);
        let mut left = bytes;
        for at in cuts.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (piece, rest) = left.split_at((*at).min(left.len()));
            cut.take(piece);
            left = rest;
        }
        let mut end = 0;
        for length in &lengths {
            if end + PREFIX + length > bytes.len() {
                break;
            }
            end += PREFIX + length;
        }
        prop_assert_eq!(whole.held, bytes.len() - end);
        prop_assert_eq!(cut.held, whole.held);
    }
}
