use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::standing::Standing;
use super::*;
use crate::domain::job::Trigger;
use crate::domain::machine::{Birth, create};
use crate::domain::retention::{PurgeTiming, Terminal};
use crate::domain::stats::Changes;
use crate::domain::status::{SkipReason, StateKind};
use crate::domain::validate::Violations;
use crate::domain::{BatchId, Job, JobSpec, JobType, QueueName};
use crate::engine::{Access, Stops};
use crate::runtime::{Clock, LoopBoard, Shutdown, Tasks};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, NewJob, Store};
use crate::telemetry::Metrics;

fn moment(text: &str) -> Timestamp {
    Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

#[test]
fn the_daily_run_is_due_once_a_day_however_often_a_server_starts() {
    let daily = PurgeTiming::default();
    let standing = Standing { since: moment("2026-11-22T09:00:00Z"), ..Standing::default() };
    assert_eq!(standing.due(&daily), moment("2026-11-23T02:00:00Z"));
    let ran = Standing { last: Some(moment("2026-11-23T02:00:30Z")), ..standing };
    assert_eq!(ran.due(&daily), moment("2026-11-24T02:00:00Z"));
    let hourly = PurgeTiming::Every(Duration::from_secs(3600));
    assert_eq!(standing.due(&hourly), standing.since, "the first one at once");
    assert_eq!(ran.due(&hourly), moment("2026-11-23T03:00:30Z"));
}

#[test]
fn a_purge_by_hand_means_nothing_that_is_not_over() {
    let mut wrong = Violations::default();
    assert!(Purge::new(1, &[StateKind::Running], &mut wrong).is_none());
    let all = Purge::new(0, &[], &mut Violations::default()).unwrap();
    assert_eq!(all.states, Terminal::ALL);
}

/// A server over `store` without its loops: the test takes the steps.
fn server(store: Arc<dyn Store>, clock: Clock, tasks: &Tasks) -> Engine {
    let (shutdown, closed) = (Shutdown::new(), Shutdown::new());
    let stops = Stops { tasks, writer: tasks, shutdown, closed };
    let timeout = Duration::from_secs(10);
    let house = crate::config::House::default();
    let telling = crate::config::Telling::default();
    let (facets, max_pending, max_running) = (None, 0, 0);
    let access = Access { timeout, lanes: 1, max_running, house, facets, max_pending, telling };
    let board = LoopBoard::default();
    board.announce(LOOP, Duration::from_secs(1));
    let server = Engine::start_up(store, clock, access, Metrics::new(), board, stops);
    let timing = PurgeTiming::Every(Duration::from_secs(3600));
    server.keep_by(Retention { timing, ..Retention::default() }, |_, _| Ok(String::new()));
    server
}

/// A job that was over so long ago.
fn skipped(spec: JobSpec, ago: Duration) -> NewJob {
    let skipped = Some(SkipReason::Overlap);
    let birth = Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped };
    let then = Clock::new().now().minus(ago);
    let status = create(&spec, birth, then);
    let job = Job { id: JobId(Uuid::now_v7()), spec: Arc::new(spec), status };
    let changes = Changes::default();
    NewJob { job, request: None, fire: None, session: None, changes }
}

#[tokio::test(start_paused = true)]
async fn what_has_a_word_of_its_own_hides_nothing_behind_it() {
    let (clock, tasks) = (Clock::new(), Tasks::new());
    let day = Duration::from_secs(86_400);
    let plain = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    let own = JobSpec { retention: Some(day * 365), ..plain.clone() };
    let mut batch = Batch::new(BatchId(Uuid::now_v7()), clock.now());
    batch.creates = (0..=LOOP_ROWS_MAX).map(|_| skipped(own.clone(), day * 60)).collect();
    batch.creates.push(skipped(plain, day * 59));
    let last = batch.creates.last().unwrap().job.id;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    store.commit(batch).await.unwrap();
    let server = server(Arc::clone(&store), clock, &tasks);
    for _ in 0..2 {
        // The first step makes the row.
        server.retain().await.unwrap();
    }
    assert!(store.load(&[last]).await.unwrap().is_empty());
    let left: i64 = store.counts().await.unwrap().iter().map(|count| count.stored).sum();
    assert_eq!(usize::try_from(left).unwrap(), LOOP_ROWS_MAX + 1);
}

/// How many of these have run a purge.
fn ran(servers: &[Engine]) -> usize {
    let said = |server: &&Engine| server.board.all().iter().any(|it| !it.said.is_empty());
    servers.iter().filter(said).count()
}

#[tokio::test(start_paused = true)]
async fn one_server_of_several_runs_the_purge_that_is_due() {
    let (clock, tasks) = (Clock::new(), Tasks::new());
    let store = MemoryStore::shared(clock.clone());
    let other = store.another().unwrap();
    let servers = [store, other].map(|store| server(Arc::new(store), clock.clone(), &tasks));
    for server in &servers {
        // Makes the row; nobody runs before it is there.
        server.retain().await.unwrap();
    }
    assert!(ran(&servers) <= 1);
    let steps = || futures_util::future::join_all(servers.iter().map(Engine::retain));
    assert!(steps().await.iter().all(Result::is_ok));
    assert_eq!(ran(&servers), 1);
    for server in &servers {
        server.board.tell(LOOP, String::new());
    }
    assert!(steps().await.iter().all(Result::is_ok));
    assert_eq!(ran(&servers), 0, "not before its time");
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert!(steps().await.iter().all(Result::is_ok));
    assert_eq!(ran(&servers), 1);
}
