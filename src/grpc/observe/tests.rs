use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;

use bytes::Bytes;
use tonic::Status;
use tower::{ServiceExt as _, service_fn};

use super::*;

/// A body of these frames, which then goes on for ever or ends.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, Status>>,
    endless: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.frames.pop_front() {
            None if self.endless => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}

fn trailers(code: &'static str) -> Frame<Bytes> {
    let mut map = HeaderMap::new();
    map.insert(STATUS_HEADER, http::HeaderValue::from_static(code));
    Frame::trailers(map)
}

fn data() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"x"))
}

/// Calls `path`, reads its answer as far as it goes, and tells what was counted.
async fn counted(
    path: &str,
    header: Option<&'static str>,
    frames: Vec<Result<Frame<Bytes>, Status>>,
    endless: bool,
) -> String {
    let metrics = Metrics::new();
    let frames = std::sync::Mutex::new(Some(frames));
    let service = service_fn(|_: Request<()>| {
        let frames = frames.lock().expect("not poisoned").take().expect("called once").into();
        let mut response = Response::new(Frames { frames, endless });
        if let Some(code) = header {
            let code = http::HeaderValue::from_static(code);
            response.headers_mut().insert(STATUS_HEADER, code);
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let observed = ObserveLayer::new(metrics.clone()).layer(service);
    let request = Request::builder().uri(path).body(()).expect("a request");
    let mut body = observed.oneshot(request).await.expect("infallible").into_body();
    let mut left = if endless { 1 } else { 10 };
    while left > 0 && poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {
        left -= 1;
    }
    drop(body);
    let page = metrics.encode();
    let lines = page.lines().filter_map(|line| line.strip_prefix("jobplane_rpcs_total"));
    lines.collect::<Vec<_>>().join(";")
}

const GET_JOB: &str = "/jobplane.v1.JobService/GetJob";

fn once(code: &str) -> String {
    format!(r#"{{method="jobplane.v1.JobService/GetJob",code="{code}"}} 1"#)
}

#[tokio::test]
async fn a_call_counts_with_the_code_of_its_trailers() {
    let frames = vec![Ok(data()), Ok(data()), Ok(trailers("0"))];
    assert_eq!(counted(GET_JOB, None, frames, false).await, once("OK"));
    let frames = vec![Ok(trailers("5"))];
    assert_eq!(counted(GET_JOB, None, frames, false).await, once("NOT_FOUND"));
}

#[tokio::test]
async fn a_call_that_ends_with_its_headers_counts_once() {
    assert_eq!(counted(GET_JOB, Some("3"), Vec::new(), false).await, once("INVALID_ARGUMENT"));
}

#[tokio::test]
async fn a_stream_that_is_dropped_counts_as_cancelled() {
    assert_eq!(counted(GET_JOB, None, vec![Ok(data())], true).await, once("CANCELLED"));
}

#[tokio::test]
async fn a_body_that_breaks_or_has_no_trailers_counts_as_unknown() {
    let broken = vec![Ok(data()), Err(Status::unknown("reset"))];
    assert_eq!(counted(GET_JOB, None, broken, false).await, once("UNKNOWN"));
    assert_eq!(counted(GET_JOB, None, vec![Ok(data())], false).await, once("UNKNOWN"));
}

#[tokio::test]
async fn unknown_methods_count_as_other() {
    for path in ["/jobplane.v1.JobService/NoSuch", "/", "/x/../../y"] {
        let counted = counted(path, Some("12"), Vec::new(), false).await;
        assert_eq!(counted, r#"{method="other",code="UNIMPLEMENTED"} 1"#);
    }
}

#[test]
fn every_method_of_the_api_has_its_name() {
    let layer = ObserveLayer::new(Metrics::new());
    for path in [
        GET_JOB,
        "/jobplane.v1.WorkerService/ReportProgress",
        "/jobplane.v1.AdminService/GetServerInfo",
        "/grpc.health.v1.Health/Check",
    ] {
        assert_eq!(layer.methods.get(path).copied(), path.strip_prefix('/'));
    }
}
