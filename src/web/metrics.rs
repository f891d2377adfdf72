//! The figures of the process, made fresh for each scrape.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use tokio::sync::Mutex;

use crate::domain::limits::SCRAPE_REFRESH_WITHIN;
use crate::telemetry::{CONTENT_TYPE, Metrics};

use super::answer;

/// Puts figures that are read rather than counted into the metrics: jobs stored, queues, workers.
#[async_trait]
pub trait Scrape: Send + Sync + 'static {
    /// Reads them.
    async fn refresh(&self, metrics: &Metrics);
}

/// One scrape at a time: a refresh replaces gauges, which no other scrape should see half done.
pub(super) struct Scraper {
    metrics: Metrics,
    scrape: Mutex<Arc<dyn Scrape>>,
}

impl Scraper {
    pub(super) fn new(metrics: Metrics, scrape: Arc<dyn Scrape>) -> Self {
        Self { metrics, scrape: Mutex::new(scrape) }
    }

    /// The page; with the figures at hand if fresh ones take too long.
    async fn page(&self) -> String {
        let refreshed = tokio::time::timeout(SCRAPE_REFRESH_WITHIN, async {
            let scrape = self.scrape.lock().await;
            scrape.refresh(&self.metrics).await;
            self.metrics.encode()
        });
        refreshed.await.unwrap_or_else(|_| self.metrics.encode())
    }
}

pub(super) async fn metrics(scraper: Arc<Scraper>) -> Response<Body> {
    answer(StatusCode::OK, CONTENT_TYPE, scraper.page().await)
}
