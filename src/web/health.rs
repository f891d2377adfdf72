//! Whether the process lives, and whether it can do its work.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde::Serialize;

use crate::domain::limits::READINESS_WITHIN;

use super::answer;

const JSON: &str = "application/json";

/// Why the server cannot do its work now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// For programs: `store_unavailable`, `store_failing`, `task_failed`, `draining`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Knows whether the server can do its work.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// What stands in the way; empty if nothing does.
    async fn obstacles(&self) -> Vec<Reason>;
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<Reason>,
}

pub(super) async fn healthz() -> Response<Body> {
    answer(StatusCode::OK, JSON, r#"{"alive":true}"#.to_owned())
}

pub(super) async fn readyz(readiness: Arc<dyn Readiness>) -> Response<Body> {
    let asked = tokio::time::timeout(READINESS_WITHIN, readiness.obstacles());
    let reasons = asked.await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", READINESS_WITHIN.as_secs_f64());
        vec![Reason { code: "no_answer", message }]
    });
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // Texts and a flag always have a JSON form.
    let body = serde_json::to_string(&Ready { ready, reasons }).unwrap_or_default();
    answer(status, JSON, body)
}
