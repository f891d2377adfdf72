//! Watches that go on at another server, which knows less for a moment.

use jobplane::domain::{JobId, Timestamp};
use jobplane::proto::v1;
use jobplane::runtime::Tasks;

use crate::harness::{
    Client, JobFacts as _, JobsWatcher, Read, SOON, Server, Shared, eventually, percent, spec,
};

crate::on_each_shared_store! {
    no_job_is_shown_as_it_was_before_a_view_began
    no_progress_is_shown_as_it_was_before_the_last_on_disk
}

/// When the views of a server were last looked after.
async fn views_kept(server: &Server) -> Option<Timestamp> {
    let caller = jobplane::auth::Caller::anonymous();
    let info = server.engine().info(&caller).await;
    let keeper = info.loops.into_iter().find(|each| each.name == "view_keeper");
    keeper.expect("the loop").last_run_time
}

async fn no_job_is_shown_as_it_was_before_a_view_began(store: Shared) {
    let a = Server::setup().over(store).start().await;
    let b = a.beside().await;
    let wish = || JobsWatcher::of_type("sync");
    let id = a.client().create(spec("sync")).await.id;
    let worker = a.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    let watcher = JobsWatcher::open(&a.client(), wish()).await;
    watcher.started().await;
    // The first who watches at the other server waits for where the change log is. Whatever is read for
    // its view meanwhile comes later still.
    b.faults.hold_back(Read::Origin);
    b.faults.hold_back(Read::Load);
    let client = b.client();
    let first = async move { JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await };
    let first = Tasks::new().spawn("the first who watches", first);
    eventually(SOON, "it is followed", async || b.engine().feed().watchers() > 0).await;
    for _ in 0..2 {
        let before = views_kept(&b).await;
        eventually(SOON, "the views are looked after", async || {
            b.faults.held_back(Read::Load) > 0 || views_kept(&b).await > before
        })
        .await;
    }
    a.client().cancel(&id, None).await.expect("asked to stop");
    let asked = async |copy: &JobsWatcher| {
        copy.until("the wish", |copy| copy.at_token[&id].status().revision == 3).await
    };
    asked(&watcher).await;
    let copy = watcher.stop().await;
    b.faults.let_go(Read::Origin);
    let first = first.await.expect("it watches");
    b.faults.let_go(Read::Load);
    let job_id: JobId = id.parse().expect("an id");
    eventually(SOON, "the job is known", async || b.engine().feed().knows(job_id)).await;
    let shown = copy.upserts;
    let again = JobsWatcher::resume(&b.client(), wish(), copy).await;
    again.until("the job", |copy| copy.upserts > shown).await;
    asked(&first).await;
    held.cancelled().await.expect("taken");
    for watcher in [&again, &first] {
        watcher.until("the end", |copy| copy.gone.contains_key(&id)).await;
    }
    drop((worker, held, first, again));
    a.stop().await;
    b.stop().await;
}

async fn reported(client: &Client, job_id: &str, lease_epoch: i64, at: f64) {
    let (job_id, progress) = (job_id.to_owned(), Some(percent(at)));
    let request = v1::ReportJobRequest { job_id, lease_epoch, progress, ..Default::default() };
    client.report(request).await.expect("taken");
}

async fn no_progress_is_shown_as_it_was_before_the_last_on_disk(store: Shared) {
    let a = Server::setup().over(store).start().await;
    let [b, c] = [a.beside().await, a.beside().await];
    let wish = || JobsWatcher::of_type("sync");
    c.client().create(spec("sync")).await;
    let (job, lease_epoch) = c.client().acquire_one("sync").await;
    reported(&c.client(), &job.id, lease_epoch, 40.0).await;
    let watchers = [
        JobsWatcher::open(&a.client(), wish()).await,
        JobsWatcher::open(&b.client(), wish()).await,
    ];
    let one = b.watch(&job.id).await;
    let shows = |at: f64| {
        let id = job.id.clone();
        move |copy: &crate::harness::Mirror| {
            copy.at_token.contains_key(&id) && copy.jobs[&id].percent() == Some(at)
        }
    };
    for watcher in &watchers {
        watcher.until("40", shows(40.0)).await;
    }
    // From here on the second server does not hear how far jobs are elsewhere.
    b.faults.hold_back(Read::Progress);
    reported(&c.client(), &job.id, lease_epoch, 80.0).await;
    let [at_a, at_b] = watchers;
    at_a.until("80", shows(80.0)).await;
    let copy = at_a.stop().await;
    let other = b.watch(&job.id).await;
    let first = other.until("a snapshot", |seen| seen.first()?.status()?.percent()).await;
    assert!((first - 80.0).abs() < f64::EPSILON, "{first}: it is read");
    let bookmarks = copy.bookmarks;
    let again = JobsWatcher::resume(&b.client(), wish(), copy).await;
    again.until("a bookmark", |copy| copy.bookmarks > bookmarks).await;
    b.faults.let_go(Read::Progress);
    for watcher in [&again, &at_b] {
        watcher.until("80", shows(80.0)).await;
    }
    drop((one, other, again, at_b));
    for server in [a, b, c] {
        server.stop().await;
    }
}
