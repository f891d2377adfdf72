//! What other servers over the same database are told, and what they tell.
use crate::store::{News, Result};

pub(super) struct Exchange;

impl Exchange {
    pub(super) async fn tell(&self, _news: News) -> Result<()> {
        Ok(())
    }
    pub(super) async fn told(&self) -> Result<News> {
        std::future::pending().await
    }
    pub(super) async fn close(&self) {}
}
