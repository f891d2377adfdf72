//! Random work on several servers over one store at once: callers who race, workers on streams that
//! break and come back elsewhere, single calls. Whatever was answered must hold in the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jobplane::domain::{JobId, State, StateKind};
use jobplane::proto::v1;
use jobplane::proto::v1::JobState;
use jobplane::store::ListQuery;
use parking_lot::Mutex;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::harness::{
    Client, JobFacts as _, JobsWatcher, SOON, Server, Shared, Worker, eventually, percent, seconds,
    spec, within,
};

const SERVERS: usize = 3;
const JOBS: usize = 120;

/// What the players were answered.
#[derive(Default)]
struct Answers {
    /// Leases, by who got them.
    leases: HashMap<(String, i64), usize>,
    /// Outcomes that were acked.
    outcomes: HashMap<String, Vec<(i64, JobState)>>,
}

impl Answers {
    fn leased(&mut self, job_id: &str, epoch: i64, player: usize) {
        let before = self.leases.insert((job_id.to_owned(), epoch), player);
        assert!(before.is_none_or(|before| before == player), "{job_id} at {epoch} given twice");
    }
}

#[derive(Clone)]
struct Field {
    clients: Vec<Client>,
    answers: Arc<Mutex<Answers>>,
}

impl Field {
    fn any(&self, chance: &mut StdRng) -> &Client {
        &self.clients[chance.random_range(0..self.clients.len())]
    }

    /// Takes jobs by single calls, each at any server.
    async fn script(&self, player: usize, mut chance: StdRng) {
        for _ in 0..40 {
            let request = v1::AcquireJobsRequest {
                worker_id: format!("script-{player}"),
                max_jobs: 2,
                wait: seconds(0.2),
                ..v1::AcquireJobsRequest::default()
            };
            let given = self.any(&mut chance).acquire(request).await.unwrap_or_default();
            for given in given {
                let job = v1::Job::decode(given.job.expect("a job")).expect("a job");
                self.answers.lock().leased(&job.id, given.lease_epoch, player);
                let report = v1::ReportJobRequest {
                    job_id: job.id.clone(),
                    lease_epoch: given.lease_epoch,
                    progress: Some(percent(50.0)),
                    ..v1::ReportJobRequest::default()
                };
                let _ = self.any(&mut chance).report(report).await;
                self.finish(&job.id, given.lease_epoch, &mut chance).await;
            }
        }
    }

    async fn finish(&self, job_id: &str, epoch: i64, chance: &mut StdRng) {
        let fails = chance.random_bool(0.2);
        let client = self.any(chance).clone();
        let answer = if fails {
            client.fail(job_id, epoch, "BAD").await
        } else {
            client.complete(job_id, epoch).await
        };
        if answer.is_ok() && !fails {
            let mut answers = self.answers.lock();
            let of_it = answers.outcomes.entry(job_id.to_owned()).or_default();
            of_it.push((epoch, JobState::Succeeded));
        }
    }

    /// Cancels what it finds.
    async fn spoiler(&self, ids: Vec<String>, mut chance: StdRng) {
        for id in ids.into_iter().filter(|_| chance.random_bool(0.2)).collect::<Vec<_>>() {
            let grace = Some(if chance.random_bool(0.5) { 0.0 } else { 1.0 });
            let _ = self.any(&mut chance).cancel(&id, grace).await;
        }
    }
}

/// A worker on a stream that breaks, and goes on at another server with what it has.
async fn roamer(
    servers: &[Server; SERVERS],
    field: &Field,
    player: usize,
    ids: &[String],
    mut chance: StdRng,
) {
    let mut held: BTreeMap<String, i64> = BTreeMap::new();
    let mut before: Option<Worker> = None;
    for _ in 0..8 {
        let server = &servers[chance.random_range(0..SERVERS)];
        let mut hire = server.worker(&format!("roamer-{player}")).slots(4);
        if let Some(before) = &before {
            hire = hire.same_process_as(before);
        }
        for (id, epoch) in &held {
            hire = hire.has(id, *epoch);
        }
        let worker = hire.connect().await;
        for lost in &worker.welcome.revoked {
            held.remove(&lost.job_id);
        }
        for _ in 0..6 {
            let over = ids.iter().all(|id| field.is_done(id));
            let wanted = worker.expect_assignment();
            let Ok(given) =
                tokio::time::timeout(std::time::Duration::from_millis(150), wanted).await
            else {
                if over {
                    break;
                }
                continue;
            };
            field.answers.lock().leased(&given.id, given.epoch, player);
            held.insert(given.id.clone(), given.epoch);
            if chance.random_bool(0.7) {
                let _ = given.report(percent(70.0)).await;
                if given.succeed().await.is_ok() {
                    let mut answers = field.answers.lock();
                    let of_it = answers.outcomes.entry(given.id.clone()).or_default();
                    of_it.push((given.epoch, JobState::Succeeded));
                }
                held.remove(&given.id);
            }
        }
        // Some of its connections break, others just hang on while it attaches elsewhere.
        if chance.random_bool(0.5) {
            worker.cut();
        }
        before = Some(worker);
    }
    if let Some(worker) = before {
        let server = &servers[chance.random_range(0..SERVERS)];
        let last = server.worker("last").same_process_as(&worker).connect().await;
        let _ = last.goodbye().await;
    }
}

impl Field {
    fn is_done(&self, id: &str) -> bool {
        self.answers.lock().outcomes.contains_key(id)
    }
}

async fn play(seed: u64, store: Shared) {
    let first = Server::setup().over(store).start().await;
    let servers = [first.beside().await, first.beside().await, first];
    let mut chance = StdRng::seed_from_u64(seed);
    let mut another = || StdRng::seed_from_u64(chance.random());
    let clients: Vec<Client> = servers.iter().map(Server::client).collect();
    let field = Field { clients: clients.clone(), answers: Arc::default() };
    let watchers = futures_util::future::join_all(
        clients.iter().map(|client| JobsWatcher::open(client, JobsWatcher::of_type("sync"))),
    )
    .await;
    let creates = (0..JOBS).map(|at| clients[at % SERVERS].create(spec("sync")));
    let made = futures_util::future::join_all(creates).await;
    let ids: Vec<String> = made.into_iter().map(|job| job.id).collect();
    let players = futures_util::future::join3(
        futures_util::future::join_all((0..4).map(|player| field.script(player, another()))),
        field.spoiler(ids.clone(), StdRng::seed_from_u64(seed ^ 1)),
        futures_util::future::join_all((4..7).map(|player| {
            let chance = StdRng::seed_from_u64(seed ^ player as u64);
            roamer(&servers, &field, player, &ids, chance)
        })),
    );
    players.await;
    // What is left waits for its next attempt, or for nobody: let it all come to an end.
    for id in &ids {
        let ended = async || {
            let job = clients[0].get(id).await;
            if !matches!(job.state(), JobState::Pending | JobState::Running) {
                return true;
            }
            let _ = clients[1].cancel(id, Some(0.0)).await;
            false
        };
        eventually(SOON, "the job comes to an end", ended).await;
    }
    check(&servers, &field, &ids).await;
    for watcher in &watchers {
        watcher.until("all that are over", |copy| copy.jobs.is_empty()).await;
    }
    drop(watchers);
    for server in servers {
        server.stop().await;
    }
}

/// What was answered holds, and the figures are a recount.
async fn check(servers: &[Server; SERVERS], field: &Field, ids: &[String]) {
    let store = servers[0].store();
    let parsed: Vec<JobId> = ids.iter().map(|id| id.parse().expect("an id")).collect();
    let jobs = store.load(&parsed).await.expect("jobs");
    assert_eq!(jobs.len(), JOBS);
    for job in &jobs {
        assert!(job.status.attempt <= job.status.max_attempts, "{job:?}");
        if let Some(outcomes) = field.answers.lock().outcomes.get(&job.id.to_string()) {
            assert_eq!(outcomes.len(), 1, "one outcome: {outcomes:?}");
            assert!(matches!(job.status.state, State::Succeeded), "{outcomes:?}, and now {job:?}");
            assert_eq!(outcomes[0].0, job.status.lease_epoch);
        }
    }
    let mut recount: HashMap<StateKind, i64> = HashMap::new();
    for job in jobs {
        *recount.entry(job.status.kind()).or_default() += 1;
    }
    let mut counted: HashMap<StateKind, i64> = HashMap::new();
    for count in store.counts().await.expect("counts") {
        *counted.entry(count.state).or_default() += count.stored;
    }
    counted.retain(|_, stored| *stored != 0);
    assert_eq!(counted, recount);
    let query = ListQuery {
        filter: jobplane::domain::JobFilter {
            states: vec![StateKind::Running, StateKind::Pending],
            ..Default::default()
        },
        before: None,
        limit: 1,
        full: false,
    };
    assert!(store.list(&query).await.expect("jobs").is_empty());
}

crate::on_each_shared_store! {
    every_job_has_one_outcome_whichever_servers_it_met
}

async fn every_job_has_one_outcome_whichever_servers_it_met(store: Shared) {
    let seed = std::env::var("JOBPLANE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("JOBPLANE_SEED={seed}");
    within(12 * SOON, "the play ends", Box::pin(play(seed, store))).await;
}
