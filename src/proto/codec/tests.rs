use bytes::{BufMut as _, BytesMut};
use tonic::codec::{Codec as _, Encoder as _};
use tonic::{Status, Streaming};

use super::*;

#[test]
fn only_streams_have_small_buffers() {
    let shown = |settings: BufferSettings| format!("{settings:?}");
    let (whole, small) = (shown(BufferSettings::default()), shown(stream_buffers()));
    assert_ne!(whole, small);
    let mut watch = Codec::<v1::WatchJobResponse, v1::WatchJobRequest>::default();
    assert_eq!(shown(watch.encoder().buffer_settings()), small);
    let mut get = Codec::<v1::GetJobResponse, v1::GetJobRequest>::default();
    assert_eq!(shown(get.encoder().buffer_settings()), whole);
}

#[tokio::test]
async fn messages_far_larger_than_a_small_buffer_pass() {
    let logs = vec![7; 20 * STREAM_BATCH_BYTES];
    let event = v1::watch_job_response::Event::Logs(logs.into());
    let sent = v1::WatchJobResponse { event: Some(event) };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(sent.encoded_len()).expect("small"));
    sent.encode(&mut framed).expect("room");
    let mut codec = Codec::<v1::WatchJobRequest, v1::WatchJobResponse>::default();
    let body = axum::body::Body::from(framed.freeze());
    let mut stream = Streaming::new_request(codec.decoder(), body, None, None);
    let read: Result<_, Status> = stream.message().await;
    assert_eq!(read.expect("it is whole"), Some(sent));
}
