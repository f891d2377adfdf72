//! What the web face answers, also when nothing behind it does.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Readiness, Reason, Scrape, router};
use crate::telemetry::Metrics;

/// What stands behind the routes: fine, out of order, or silent.
#[derive(Clone, Copy, PartialEq)]
enum Behind {
    Fine,
    OutOfOrder,
    Silent,
}

#[async_trait]
impl Readiness for Behind {
    async fn obstacles(&self) -> Vec<Reason> {
        match self {
            Self::Fine => Vec::new(),
            Self::OutOfOrder => {
                vec![Reason { code: "store_unavailable", message: "no answer".to_owned() }]
            }
            Self::Silent => pending().await,
        }
    }
}

#[async_trait]
impl Scrape for Behind {
    async fn refresh(&self, metrics: &Metrics) {
        if *self == Self::Silent {
            pending::<()>().await;
        }
        metrics.workers(7);
    }
}

struct Answer {
    status: StatusCode,
    media_type: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.media_type, "application/json");
        serde_json::from_str(&self.text).expect("JSON")
    }
}

async fn ask(behind: Behind, path: &str) -> Answer {
    let router = router(Arc::new(behind), Metrics::new(), Arc::new(behind));
    let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("infallible");
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.map(|m| m.to_str().expect("text").to_owned()).unwrap_or_default();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    Answer { status, media_type, text: String::from_utf8(body.to_vec()).expect("text") }
}

#[tokio::test(start_paused = true)]
async fn the_process_lives_whatever_is_behind_it() {
    for behind in [Behind::Fine, Behind::OutOfOrder, Behind::Silent] {
        let answer = ask(behind, "/healthz").await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"alive": true})));
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_says_what_stands_in_the_way() {
    let answer = ask(Behind::Fine, "/readyz").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"ready": true, "reasons": []}));
    let answer = ask(Behind::OutOfOrder, "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["reasons"][0]["code"], "store_unavailable");
    let answer = ask(Behind::Silent, "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["reasons"][0]["code"], "no_answer");
}

#[tokio::test(start_paused = true)]
async fn metrics_are_fresh_or_at_least_there() {
    let answer = ask(Behind::Fine, "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.media_type.starts_with("application/openmetrics-text"));
    assert!(answer.text.contains("jobplane_workers 7\n"), "{}", answer.text);
    let answer = ask(Behind::Silent, "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("jobplane_workers 0\n"), "{}", answer.text);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    assert_eq!(ask(Behind::Fine, "/nothing").await.status, StatusCode::NOT_FOUND);
}
