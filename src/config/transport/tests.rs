use super::*;

fn refused(change: impl FnOnce(&mut Transport)) -> Option<String> {
    let mut transport = Transport::default();
    change(&mut transport);
    transport.validate().err().map(|invalid| invalid.to_string())
}

#[test]
fn what_is_not_said_is_in_its_bounds() {
    assert_eq!(refused(|_| {}), None);
}

#[test]
fn what_is_out_of_its_bounds_is_named_with_them() {
    let message = refused(|transport| transport.connections.max = 0);
    assert_eq!(message.as_deref(), Some("max-connections is 0, and must be 1 to 1000000"));
    let message = refused(|transport| transport.keepalive_interval = Duration::from_millis(10));
    assert_eq!(message.as_deref(), Some("keepalive-interval is 10ms, and must be 1s to 1h"));
    let message = refused(|transport| transport.peers.calls = 0);
    assert_eq!(message.as_deref(), Some("max-calls-per-peer is 0, and must be 1 to 10000000"));
    let message = refused(|transport| transport.peers.bytes = 1_000);
    assert!(message.is_some_and(|message| message.starts_with("max-bytes-per-peer is 1000")));
    let message = refused(|transport| transport.connection_window_bytes = 128 * 1024);
    assert!(message.is_some_and(|message| message.starts_with("connection-window is 131072")));
}

#[test]
fn streams_may_live_for_ever_but_not_for_a_moment() {
    assert_eq!(refused(|transport| transport.streams.max_age = Duration::ZERO), None);
    let message = refused(|transport| transport.streams.max_age = Duration::from_millis(10));
    assert!(message.is_some_and(|message| message.starts_with("stream-max-age is 10ms")));
}
