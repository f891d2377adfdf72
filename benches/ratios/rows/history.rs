//! Questions about many jobs.

use anyhow::Result;
use tempfile::TempDir;

use jobplane::store::sqlite::{Options, SqliteStore};

use super::Setting;
use crate::harness::child::{Server, database, folder};
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
    let jobs = setting.plan.many_jobs();
    let many = Server::over(setting.places.server, filled(jobs).await?)?;
    let few = Server::over(setting.places.server, filled(FEW).await?)?;
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

/// A database of so many jobs that are over, and others that wait.
async fn filled(jobs: usize) -> Result<TempDir> {
    written(History::of(jobs)).await
}

/// A database of so many jobs that have succeeded, written by the store itself.
pub(super) async fn finished(jobs: usize) -> Result<TempDir> {
    written(History::over(jobs)).await
}

/// A database of this history, written by the store itself.
pub(super) async fn written(history: History) -> Result<TempDir> {
    let folder = folder()?;
    let url = database(folder.path()).display().to_string();
    fill(&SqliteStore::open(Options { url, read_pool: 1 }).await?, history).await?;
    Ok(folder)
}
