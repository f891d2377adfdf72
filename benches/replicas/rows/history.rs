//! Questions about many jobs.

use anyhow::Result;
use sqlx::{Connection as _, Executor as _, PgConnection};

use jobplane::store::postgres::{Options, PostgresStore};

use super::Setting;
use crate::harness::child::Server;
use crate::harness::history::{FEW, History, Question, fill};
use crate::harness::measure::{Figure, pairs};
use crate::harness::wire::connect;

/// `GetStats` of everything.
pub async fn stats(setting: Setting) -> Result<Figure> {
    ask(setting, Question::Stats).await
}

/// `GetSummary` of everything.
pub async fn summary(setting: Setting) -> Result<Figure> {
    ask(setting, Question::Summary).await
}

/// The first page of `ListJobs`.
pub async fn list(setting: Setting) -> Result<Figure> {
    ask(setting, Question::FirstPage).await
}

/// A page in the middle of all jobs.
pub async fn deep(setting: Setting) -> Result<Figure> {
    ask(setting, Question::DeepPage).await
}

/// The first page of the jobs with a label.
pub async fn labelled(setting: Setting) -> Result<Figure> {
    ask(setting, Question::Labelled).await
}

async fn ask(setting: Setting, question: Question) -> Result<Figure> {
    setting.postgres.clear().await;
    let jobs = setting.plan.many_jobs();
    let (many, few) = (server(&setting, jobs).await?, server(&setting, FEW).await?);
    let (to_many, to_few) = (connect(many.address).await?, connect(few.address).await?);
    let of_many = question.request(&to_many, jobs).await?;
    let of_few = question.request(&to_few, FEW).await?;
    let rounds = setting.plan.pick(300, 30);
    pairs(
        &setting.plan,
        async || question.ask(&many, &to_many, &of_many, rounds).await,
        async || question.ask(&few, &to_few, &of_few, rounds).await,
    )
    .await
}

/// A server over a database of so many jobs, tidied up as PostgreSQL does by itself some minutes later.
async fn server(setting: &Setting, jobs: usize) -> Result<Server> {
    let url = setting.postgres.database().await;
    let options = Options { url: url.clone(), ..Options::default() };
    fill(&PostgresStore::open(options).await?, History::of(jobs)).await?;
    let mut connection = PgConnection::connect(&url).await?;
    connection.execute("VACUUM ANALYZE").await?;
    connection.close().await?;
    Server::on(setting.places.server, &url)
}
