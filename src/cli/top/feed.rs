//! Where the news come from: a watch of the jobs, figures asked for each second, the log that is open, and what became
//! of orders. Everything runs beside the screen, in its task; nothing here draws.

use std::future::{Future, pending};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::model::Figures;
use super::screen::{Event, Order};
use super::tail::News;
use crate::cli::client::{Client, Follow, FollowMany, Happened};
use crate::cli::exit::Failure;
use crate::cli::live::short_id;
use crate::cli::output::Out;
use crate::domain::limits::TOP_FAILURES_MAX;
use crate::proto::v1::{
    CancelJobRequest, GetServerInfoRequest, GetStatsRequest, JobFilter, JobState, JobView,
    ListJobsRequest, ListQueuesRequest, ListWorkersRequest, RetryJobRequest, WatchJobRequest,
    WatchJobsRequest,
};

/// How often figures are asked for.
const PERIOD: Duration = Duration::from_secs(1);
/// An answer that takes longer counts as none: the next question would wait for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Everything that brings news. It ends only when the server refuses the watch for good.
pub async fn run(
    client: &Client,
    filter: JobFilter,
    events: mpsc::Sender<Event>,
    orders: mpsc::Receiver<Order>,
) -> Failure {
    let (log, open) = watch::channel(None);
    tokio::select! {
        failure = jobs(client, filter.clone(), &events) => failure,
        () = figures(client, &filter, &events) => pending().await,
        () = logs(client, open, &events) => pending().await,
        () = carry_out(client, orders, &log, &events) => pending().await,
    }
}

async fn jobs(client: &Client, filter: JobFilter, events: &mpsc::Sender<Event>) -> Failure {
    let request = WatchJobsRequest {
        filter: Some(filter),
        view: JobView::Basic.into(),
        ..WatchJobsRequest::default()
    };
    let mut follow = FollowMany::new(client, request);
    loop {
        match follow.next().await {
            Ok(event) => tell(events, Event::Seen(event.seen)).await,
            Err(failure) => return failure,
        }
    }
}

async fn figures(client: &Client, filter: &JobFilter, events: &mpsc::Sender<Event>) {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let event = match timeout(ANSWER_WITHIN, Box::pin(ask(client, filter))).await {
            Ok(Ok(figures)) => Event::Polled(Box::new(figures)),
            Ok(Err(failure)) => Event::PollFailed(first_line(&failure)),
            Err(_) => Event::PollFailed(format!("no answer within {ANSWER_WITHIN:?}")),
        };
        tell(events, event).await;
    }
}

async fn ask(client: &Client, filter: &JobFilter) -> Result<Figures, Failure> {
    let (types, categories) = (filter.types.clone(), filter.categories.clone());
    let queues = filter.queues.clone();
    let stats =
        GetStatsRequest { types, categories, queues: queues.clone(), ..GetStatsRequest::default() };
    let failed = ListJobsRequest {
        filter: Some(JobFilter { states: vec![JobState::Failed.into()], ..filter.clone() }),
        view: JobView::Basic.into(),
        page_size: i32::try_from(TOP_FAILURES_MAX).unwrap_or(i32::MAX),
        ..ListJobsRequest::default()
    };
    let workers = ListWorkersRequest { queues: queues.clone(), states: Vec::new() };
    let (mut jobs, mut admin) = (client.jobs(), client.admin());
    let (mut jobs_too, mut admin_too, mut admin_again) =
        (jobs.clone(), admin.clone(), admin.clone());
    let info = admin.get_server_info(client.request(GetServerInfoRequest {}));
    let lists = admin_too.list_queues(client.request(ListQueuesRequest {}));
    let (info, stats, lists, workers, failed) = tokio::try_join!(
        client.ask("ask about the server", info),
        client.ask("get statistics", jobs.get_stats(client.request(stats))),
        client.ask("list queues", lists),
        client.ask("list workers", admin_again.list_workers(client.request(workers))),
        client.ask("list jobs that failed", jobs_too.list_jobs(client.request(failed))),
    )?;
    let wanted = |name: &String| queues.is_empty() || queues.contains(name);
    Ok(Figures {
        info,
        stats,
        queues: lists.queues.into_iter().filter(|queue| wanted(&queue.name)).collect(),
        workers: workers.workers,
        failed: failed.jobs,
        failed_all: failed.next_page_token.is_empty(),
    })
}

/// Follows the log that is open, until another one is, or none.
async fn logs(
    client: &Client,
    mut open: watch::Receiver<Option<String>>,
    events: &mpsc::Sender<Event>,
) {
    loop {
        let job = open.borrow_and_update().clone();
        let follow: std::pin::Pin<Box<dyn Future<Output = ()> + '_>> = match job {
            Some(job) => Box::pin(log(client, job, events)),
            None => Box::pin(pending()),
        };
        tokio::select! {
            changed = open.changed() => if changed.is_err() { return },
            () = follow => {}
        }
    }
}

/// Follows the log of a job to its end, and then stays.
async fn log(client: &Client, job_id: String, events: &mpsc::Sender<Event>) {
    let request = WatchJobRequest {
        job_id: job_id.clone(),
        view: JobView::Basic.into(),
        include_logs: true,
        ..WatchJobRequest::default()
    };
    let told = |news| tell(events, Event::Tail(job_id.clone(), news));
    let (events_too, job_too) = (events.clone(), job_id.clone());
    let mut out = Out::notes_to(Box::new(move |note: &str| {
        // A note that finds no room is followed by others.
        let _ = events_too.try_send(Event::Tail(job_too.clone(), News::Trouble(note.to_owned())));
    }));
    let mut follow = Follow::new(client, request);
    loop {
        match follow.next(&mut out).await {
            Ok(Some(event)) => match event.happened {
                Happened::Snapshot(job) => told(News::Job(job)).await,
                Happened::Update(status) => told(News::Status(status)).await,
                Happened::Logs(logs) => told(News::Lines(logs.entries, logs.gaps)).await,
                Happened::Heartbeat => {}
            },
            Ok(None) => {
                told(News::Over).await;
                return pending().await;
            }
            Err(failure) => {
                told(News::Trouble(first_line(&failure))).await;
                return pending().await;
            }
        }
    }
}

/// Does what the keys ask for, one after the other.
async fn carry_out(
    client: &Client,
    mut orders: mpsc::Receiver<Order>,
    log: &watch::Sender<Option<String>>,
    events: &mpsc::Sender<Event>,
) {
    while let Some(order) = orders.recv().await {
        let (done, said) = match order {
            Order::Follow(job) => {
                log.send_replace(job);
                continue;
            }
            Order::Cancel { job_id, reason } => {
                let short = short_id(&job_id);
                (cancel(client, job_id, reason).await, format!("asked {short} to stop"))
            }
            Order::Retry { job_id } => {
                let short = short_id(&job_id);
                (retry(client, job_id).await, format!("{short} will run again"))
            }
            Order::Quit | Order::Suspend | Order::Redraw => continue,
        };
        let event = match done {
            Ok(()) => Event::Answered { text: said, done: true },
            Err(failure) => Event::Answered { text: first_line(&failure), done: false },
        };
        tell(events, event).await;
    }
}

async fn cancel(client: &Client, job_id: String, reason: String) -> Result<(), Failure> {
    let doing = format!("cancel job {}", short_id(&job_id));
    let request = CancelJobRequest { job_id, reason, grace: None };
    client.change(&doing, client.jobs().cancel_job(client.request(request))).await.map(|_| ())
}

async fn retry(client: &Client, job_id: String) -> Result<(), Failure> {
    let doing = format!("retry job {}", short_id(&job_id));
    let request =
        RetryJobRequest { job_id, reason: "by jobplane top".to_owned(), ..Default::default() };
    client.change(&doing, client.jobs().retry_job(client.request(request))).await.map(|_| ())
}

/// Waits for room; when the screen is gone, nobody wants to know.
async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}

fn first_line(failure: &Failure) -> String {
    failure.lines().into_iter().next().unwrap_or_default()
}
