use std::io::ErrorKind;

use tokio::io::AsyncWriteExt as _;

use super::*;

/// What is made of the words of a peer that then closes its side.
async fn read_of(words: &[&[u8]]) -> io::Result<Bytes> {
    let (mut peer, mut own) = tokio::io::duplex(64 * 1024);
    for word in words {
        peer.write_all(word).await.expect("room");
    }
    drop(peer);
    read(&mut own).await
}

#[tokio::test]
async fn the_preface_is_enough_and_what_follows_is_kept() {
    assert_eq!(read_of(&[PREFACE]).await.expect("heard"), PREFACE);
    let more = read_of(&[PREFACE, b"settings"]).await.expect("heard");
    assert!(more.starts_with(PREFACE) && more.ends_with(b"settings"));
}

#[tokio::test]
async fn a_part_of_the_preface_is_not_enough() {
    for length in 0..PREFACE.len() {
        let refused = read_of(&[&PREFACE[..length]]).await.expect_err("not enough");
        assert_eq!(refused.kind(), ErrorKind::UnexpectedEof, "{length} bytes");
    }
}

#[tokio::test]
async fn a_request_of_http_1_is_heard_to_the_end_of_its_head() {
    let whole = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_eq!(&read_of(&[whole]).await.expect("heard")[..], whole);
    for length in 1..whole.len() {
        assert_eq!(heard(&whole[..length]), Heard::Part, "{length} bytes");
    }
    assert_eq!(heard(b"PRI * HTTP/1.1\r\nx: y\r\n"), Heard::Part);
    assert_eq!(heard(b"PRI * HTTP/1.1\r\n\r\n"), Heard::Enough);
    assert_eq!(heard(b"GET / HTTP/1.1\n\n"), Heard::Enough);
}

#[tokio::test]
async fn what_cannot_be_http_is_handed_on_to_be_refused() {
    // The first bytes of TLS.
    assert_eq!(heard(&[0x16, 0x03, 0x01]), Heard::Enough);
    assert_eq!(heard(b"(hello) / HTTP/1.1"), Heard::Enough);
}

#[test]
fn what_the_transport_would_wait_for_is_waited_for_here() {
    let part = [&b"\r\n"[..], b"\n\r\nGE", b"g", b"get / HTTP/1.1\r\n", b"M-SEARCH * HTTP/1.1\r\n"];
    for part in part {
        assert_eq!(heard(part), Heard::Part, "{}", part.escape_ascii());
    }
    assert_eq!(heard(b"\r\nGET / HTTP/1.1\r\n\r\n"), Heard::Enough);
}

#[test]
fn a_probe_is_known_by_its_head() {
    assert!(is_probe(b"GET /healthz HTTP/1.1\r\n\r\n"));
    assert!(!is_probe(b"GET /healthzy HTTP/1.1\r\n\r\n"));
    assert!(!is_probe(PREFACE));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let line = b"x: y\r\n".repeat(HTTP1_HEAD_BYTES_MAX / 6 + 1);
    let refused = read_of(&[b"GET / HTTP/1.1\r\n", &line]).await.expect_err("too much");
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
}
