//! What the web face asks: whether the server can do its work, and fresh figures.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::limits::{READINESS_WITHIN, TROUBLE_TOLD_FOR};
use crate::engine::Engine;
use crate::runtime::Clock;
use crate::telemetry::Metrics;
use crate::web::{Readiness, Reason, Scrape};

/// What the store may take to answer: sooner than the probe gives up, so that it can say why.
fn store_within() -> Duration {
    READINESS_WITHIN / 2
}

/// Answers for the engine.
pub(super) struct Probes {
    engine: Engine,
}

impl Probes {
    pub(super) const fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn store(&self) -> Option<Reason> {
        let within = store_within();
        let message = match tokio::time::timeout(within, self.engine.ping()).await {
            Ok(Ok(())) => return self.trouble(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the store does not answer within {} s", within.as_secs_f64()),
        };
        Some(Reason { code: "store_unavailable", message })
    }

    /// A store that answers, and yet failed those who wrote to it: a disk that is full.
    fn trouble(&self) -> Option<Reason> {
        let ago = Clock::monotonic().duration_since(self.engine.health().last_trouble()?);
        (ago < TROUBLE_TOLD_FOR).then(|| Reason {
            code: "store_failing",
            message: format!("the store gave trouble {} s ago; the log says why", ago.as_secs()),
        })
    }
}

#[async_trait]
impl Readiness for Probes {
    async fn obstacles(&self) -> Vec<Reason> {
        let draining = self.engine.shutdown_signal().is_signalled().then(|| Reason {
            code: "draining",
            message: "the server is shutting down".to_owned(),
        });
        let failure = self
            .engine
            .tasks()
            .failure()
            .map(|failure| Reason { code: "task_failed", message: failure.to_string() });
        draining.into_iter().chain(failure).chain(self.store().await).collect()
    }
}

#[async_trait]
impl Scrape for Probes {
    async fn refresh(&self, metrics: &Metrics) {
        // The page then shows the figures at hand; `/readyz` says what is wrong.
        if let Err(error) = self.engine.refresh(metrics).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "figures are not fresh");
        }
    }
}
