use std::net::SocketAddr;

use super::*;
use crate::cli::client::{Client, Refusal};
use crate::cli::exit::Exit;
use crate::runtime::Tasks;

#[test]
fn the_first_bytes_tell_who_it_is() {
    assert_eq!(who(b"HTTP/1.1 400 Bad Request\r\n"), Some(Who::Http));
    assert_eq!(who(b"<!DOCTYPE HTML>\n<html>"), Some(Who::Http));
    assert_eq!(who(&[0x15, 0x03, 0x01, 0, 2, 2, 70]), Some(Who::Tls));
    assert_eq!(who(b"SSH-2.0-OpenSSH_9.9\r\n"), Some(Who::Other));
    assert_eq!(who(b""), Some(Who::Mute));
    assert_eq!(who(&[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3]), None);
}

/// Answers every connection with these bytes.
async fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Tasks::new().spawn("stranger", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 16];
            drop(stream.read(&mut asked).await);
            drop(stream.write_all(bytes).await);
            drop(stream.shutdown().await);
        }
    });
    address
}

#[tokio::test]
async fn a_stranger_is_told_by_what_it_is_and_what_to_do() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let tls = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46];
    for (bytes, said) in
        [(http.as_slice(), "HTTP server"), (tls, "wants TLS"), (b"SSH-2.0-x\r\n", "neither HTTP")]
    {
        let address: Address = answering(bytes).await.to_string().parse().unwrap();
        let client = Client::connect(&address, None).await.unwrap();
        let request = client.request(crate::proto::v1::ListJobsRequest::default());
        let asked = client.ask("list jobs", client.jobs().list_jobs(request)).await;
        let failure = explain(asked.unwrap_err(), &address).await;
        assert_eq!(failure.exit(), Exit::Unreachable);
        let lines = failure.lines();
        assert!(lines[0].starts_with("cannot list jobs: ") && lines[0].contains(said), "{lines:?}");
        assert!(lines[1].contains(&address.to_string()), "{lines:?}");
        assert!(lines[2].starts_with("next: "), "{lines:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_server_itself_is_left_as_it_is() {
    let status = tonic::Status::not_found("no such job");
    let refusal = Refusal::of(&status, "get job 1", "http://127.0.0.1:1");
    let address: Address = "127.0.0.1:1".parse().unwrap();
    let failure = explain(Failure::Refused(Box::new(refusal)), &address).await;
    assert!(matches!(failure, Failure::Refused(_)));
}
