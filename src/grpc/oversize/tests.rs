use bytes::{BufMut as _, BytesMut};
use tonic::body::Body;
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;

/// Calls the health service, which takes 10 bytes, with a message of so many.
async fn check(bytes: usize) -> Status {
    let (_, health) = tonic_health::server::health_reporter();
    let service = OversizeLayer.layer(health.max_decoding_message_size(10));
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(bytes).expect("small"));
    // The service's name, "x" so many times.
    message.put_u8(0x0a);
    message.put_u8(u8::try_from(bytes - 2).expect("small"));
    message.put_bytes(b'x', bytes - 2);
    let body = axum::body::Body::from(message.freeze());
    let request = Request::builder()
        .method("POST")
        .uri("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .expect("a request");
    let response: Response<Body> = service.oneshot(request).await.expect("infallible");
    Status::from_header_map(response.headers()).expect("ends with its headers")
}

#[tokio::test]
async fn a_message_that_is_too_large_meets_the_limit() {
    let status = check(11).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let info = status.get_details_error_info().expect("always there");
    assert_eq!(info.reason, "LIMIT_EXCEEDED");
    assert_eq!(info.metadata["limit"], "10", "that of this service");
}

#[tokio::test]
async fn other_refusals_pass_as_they_are() {
    let status = check(10).await;
    assert_eq!(status.code(), Code::NotFound);
}

#[test]
fn a_stream_tells_an_oversize_message_from_other_ends() {
    let large = Status::out_of_range(format!("{TOO_LARGE}: found 9 bytes, the limit is: 8 bytes"));
    let info = on_stream(large).get_details_error_info().expect("always there");
    assert_eq!(info.metadata["limit"], "8");
    let otherwise = on_stream(Status::out_of_range(format!("{TOO_LARGE}, in other words")));
    assert_eq!(otherwise.code(), Code::ResourceExhausted, "whatever the words about the bound");
    assert_eq!(on_stream(Status::out_of_range("else")).code(), Code::OutOfRange);
    assert_eq!(on_stream(Status::cancelled("gone")).code(), Code::Cancelled);
}
