//! Pages of other origins that call over gRPC-Web.

use std::sync::Arc;

use jobplane::app::App;
use jobplane::config::Config;
use jobplane::store::memory::MemoryStore;

use crate::harness::Server;

const RPC: &str = "/jobplane.v1.AdminService/ListQueues";
const HOME: &str = "https://jobs.example.com";

async fn preflight(server: &Server, origin: &str) -> String {
    let lines = format!(
        "OPTIONS {RPC} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: content-type,x-grpc-web,authorization\r\n"
    );
    server.http(&lines).await.to_lowercase()
}

/// An empty message to a call without fields, as grpc-web sends it.
async fn call(server: &Server, origin: &str) -> String {
    let lines = format!(
        "POST {RPC} HTTP/1.1\r\norigin: {origin}\r\ncontent-type: application/grpc-web+proto\r\n\
         x-grpc-web: 1\r\ncontent-length: 0\r\n"
    );
    server.http(&lines).await.to_lowercase()
}

#[tokio::test]
async fn only_pages_of_the_configured_origins_are_let_in() {
    let server = Server::setup().in_memory();
    let server = server.with(|config| config.cors_origins = vec![HOME.to_owned()]).start().await;
    let allowed = format!("access-control-allow-origin: {HOME}\r\n");
    let answer = preflight(&server, HOME).await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains(&allowed), "{answer}");
    assert!(answer.contains("access-control-allow-methods: post\r\n"), "{answer}");
    for header in ["content-type", "x-grpc-web", "authorization", "grpc-timeout"] {
        assert!(answer.contains(header), "{header} is not allowed: {answer}");
    }
    let answer = call(&server, HOME).await;
    assert!(answer.contains(&allowed), "{answer}");
    assert!(answer.contains("access-control-expose-headers: grpc-status"), "{answer}");
    for origin in ["https://elsewhere.example.com", "https://jobs.example.com.evil.example", "null"]
    {
        let answer = preflight(&server, origin).await;
        assert!(!answer.contains("access-control-allow-origin"), "{origin}: {answer}");
        let answer = call(&server, origin).await;
        assert!(!answer.contains("access-control-allow-origin"), "{origin}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn no_page_is_let_in_unless_configured() {
    let server = Server::setup().in_memory().start().await;
    let answer = preflight(&server, HOME).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_does_not_start_with_an_origin_that_is_none() {
    let config = Config { cors_origins: vec!["*".to_owned()], ..Config::default() };
    let started = App::start(&config, Arc::new(MemoryStore::new())).await;
    let error = started.err().expect("refused").to_string();
    assert!(error.starts_with(r#"cors-origin is "*""#), "{error}");
}
