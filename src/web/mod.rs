//! What is asked of the server over plain HTTP.
//!
//! Owns: `/healthz` (the process lives), `/readyz` (it can do its work) and `/metrics`.
//! Does not own: whether it is ready ([`Readiness`]) and fresh figures ([`Scrape`]): the app's.
//! Entry: [`router`].
//! Invariant: no answer waits longer than its bound in [`limits`](crate::domain::limits), whatever
//! the store does.

mod health;
mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::routing::get;

pub use health::{Readiness, Reason};
pub use metrics::Scrape;

use crate::telemetry::Metrics;

/// The routes of the web face.
pub fn router(readiness: Arc<dyn Readiness>, metrics: Metrics, scrape: Arc<dyn Scrape>) -> Router {
    let scraper = Arc::new(metrics::Scraper::new(metrics, scrape));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(move || health::readyz(readiness.clone())))
        .route("/metrics", get(move || metrics::metrics(scraper.clone())))
}

/// An answer that no cache keeps.
fn answer(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
