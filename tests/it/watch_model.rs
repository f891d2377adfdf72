//! Watches against a model: random work, watchers that stop, come back and live through restarts, and
//! after each step the states that were committed. Whatever a watcher holds at a token must be one of
//! them, later than the one before, and in the end the last one.

use std::collections::BTreeMap;

use jobplane::domain::{Job, JobFilter, JobType, StateKind};
use jobplane::engine::WatchJobs;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::store::ListQuery;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::harness::{
    Client, JobFacts as _, JobsWatcher, Mirror, SOON, Server, Shared, percent, seconds, spec,
    within,
};

const STEPS: usize = 250;
const TYPES: [&str; 2] = ["sync", "backup"];

/// The jobs of a filter with their revisions.
type Held = BTreeMap<String, i64>;

/// A filter as it is sent, and as the model reads it.
struct Lens {
    sent: v1::JobFilter,
    filter: JobFilter,
}

fn lenses() -> Vec<Lens> {
    let job_type = |name: &str| JobType::new(name).expect("a name");
    let states = |states: &[State]| states.iter().map(|state| (*state).into()).collect();
    let label = || [("lane".to_owned(), "1".to_owned())].into();
    vec![
        Lens {
            sent: v1::JobFilter { types: vec!["sync".to_owned()], ..Default::default() },
            filter: JobFilter { types: vec![job_type("sync")], ..JobFilter::default() },
        },
        Lens {
            sent: v1::JobFilter {
                states: states(&[State::Cancelled, State::Failed]),
                ..Default::default()
            },
            filter: JobFilter {
                states: vec![StateKind::Failed, StateKind::Cancelled],
                ..JobFilter::default()
            },
        },
        Lens {
            sent: v1::JobFilter {
                labels: label(),
                states: states(&[
                    State::Pending,
                    State::Running,
                    State::Succeeded,
                    State::Failed,
                    State::Cancelled,
                ]),
                ..Default::default()
            },
            filter: JobFilter {
                labels: label(),
                states: StateKind::ALL[..5].to_vec(),
                ..JobFilter::default()
            },
        },
        Lens { sent: v1::JobFilter::default(), filter: JobFilter::default() },
    ]
}

/// A watcher that is there or away, and how far in the history it is known to be.
struct Player {
    lens: usize,
    watcher: Option<JobsWatcher>,
    kept: Mirror,
    at: usize,
}

struct Play {
    /// One, or several over the same store.
    servers: Vec<Server>,
    chance: StdRng,
    lenses: Vec<Lens>,
    /// The committed states of each lens, one after the other.
    history: Vec<Vec<Held>>,
    players: Vec<Player>,
    jobs: Vec<String>,
    running: Vec<(String, i64)>,
}

impl Play {
    /// Of any of the servers.
    fn client(&mut self) -> Client {
        let at = self.chance.random_range(0..self.servers.len());
        self.servers[at].client()
    }

    fn any(&mut self) -> Option<String> {
        let last = self.jobs.len();
        (last > 0).then(|| self.jobs[self.chance.random_range(0..last)].clone())
    }

    /// One thing that a client or worker does; whatever the server answers.
    async fn work(&mut self) {
        let client = self.client();
        match self.chance.random_range(0..100) {
            0..30 => {
                let name = TYPES[self.chance.random_range(0..TYPES.len())];
                let lane = self.chance.random_range(0..3).to_string();
                let labels = [("lane".to_owned(), lane)].into();
                self.jobs.push(client.create(v1::JobSpec { labels, ..spec(name) }).await.id);
            }
            30..50 => {
                let name = TYPES[self.chance.random_range(0..TYPES.len())];
                if !self.is_due(name).await {
                    return;
                }
                // It gets one, and does not give up just when it is given it: that would be two commits.
                let request = v1::AcquireJobsRequest {
                    worker_id: "w1".to_owned(),
                    types: vec![name.to_owned()],
                    wait: seconds(30.0),
                    lease_ttl: seconds(600.0),
                    ..v1::AcquireJobsRequest::default()
                };
                for given in client.acquire(request).await.unwrap_or_default() {
                    let job = <v1::Job as prost::Message>::decode(given.job.expect("a job"));
                    self.running.push((job.expect("a job").id, given.lease_epoch));
                }
            }
            50..65 if !self.running.is_empty() => {
                let at = self.chance.random_range(0..self.running.len());
                let (job_id, lease_epoch) = self.running[at].clone();
                let progress = Some(percent(self.chance.random_range(0.0..100.0)));
                let request =
                    v1::ReportJobRequest { job_id, lease_epoch, progress, ..Default::default() };
                let _ = client.report(request).await;
            }
            65..75 if !self.running.is_empty() => {
                let at = self.chance.random_range(0..self.running.len());
                let (job_id, lease_epoch) = self.running.swap_remove(at);
                let _ = if self.chance.random_bool(0.5) {
                    client.complete(&job_id, lease_epoch).await
                } else {
                    client.fail(&job_id, lease_epoch, "BAD").await
                };
            }
            75..84 => {
                if let Some(id) = self.any() {
                    let _ = client.cancel(&id, Some(0.0)).await;
                }
            }
            84..92 => {
                if let Some(id) = self.any() {
                    let _ = client.retry(&id, true).await;
                }
            }
            _ => {
                if let Some(id) = self.any() {
                    let _ = client.delete(&id).await;
                }
            }
        }
    }

    /// Whether a job of this type waits for nothing but a worker.
    async fn is_due(&self, job_type: &str) -> bool {
        let filter = JobFilter {
            types: vec![JobType::new(job_type).expect("a name")],
            states: vec![StateKind::Pending],
            ..JobFilter::default()
        };
        let query = ListQuery { filter, before: None, limit: 10_000, full: false };
        let jobs = self.servers[0].store().list(&query).await.expect("jobs");
        jobs.iter().any(|job| job.status.schedule_time <= self.servers[0].now())
    }

    /// Takes down the state that the work led to.
    async fn note(&mut self) {
        for (at, lens) in self.lenses.iter().enumerate() {
            let filter = WatchJobs::normalized(lens.filter.clone());
            let query = ListQuery { filter, before: None, limit: 10_000, full: false };
            let jobs = self.servers[0].store().list(&query).await.expect("jobs");
            let held: Held =
                jobs.iter().map(|job: &Job| (job.id.to_string(), job.status.revision)).collect();
            if self.history[at].last() != Some(&held) {
                self.history[at].push(held);
            }
        }
    }

    async fn enter(&mut self, at: usize) {
        let client = self.client();
        let player = &mut self.players[at];
        let wish = v1::WatchJobsRequest {
            filter: Some(self.lenses[player.lens].sent.clone()),
            min_interval: seconds([0.0, 0.02, 0.25][at % 3]),
            ..v1::WatchJobsRequest::default()
        };
        let kept = std::mem::take(&mut player.kept);
        player.watcher = Some(JobsWatcher::resume(&client, wish, kept).await);
    }

    async fn leave(&mut self, at: usize) {
        let player = &mut self.players[at];
        if let Some(watcher) = player.watcher.take() {
            player.kept = watcher.stop().await;
            // Without the token it was all for nothing: a real client begins anew.
            if player.kept.token.is_empty() {
                player.kept = Mirror::default();
            }
        }
    }

    /// What each watcher held at its newest token was committed, and not before what it held earlier.
    fn check(&mut self) {
        for (at, player) in self.players.iter_mut().enumerate() {
            let Some(watcher) = &player.watcher else { continue };
            let mirror = watcher.copy();
            if mirror.token.is_empty() || mirror.snapshots == 0 {
                continue;
            }
            assert_eq!(mirror.resets, 0, "nothing is old enough for a reset");
            let held = revisions(&mirror);
            let history = &self.history[player.lens];
            let found = history[player.at..].iter().position(|state| *state == held);
            let Some(later) = found else {
                panic!(
                    "watcher {at} holds at its token what was never committed after {:?}:\n{held:?}\nlast:\n{:?}",
                    history[player.at],
                    history.last(),
                );
            };
            player.at += later;
        }
    }

    async fn quiet(&mut self) {
        for at in 0..self.players.len() {
            if self.players[at].watcher.is_none() {
                self.enter(at).await;
            }
        }
        for (at, player) in self.players.iter().enumerate() {
            let last = self.history[player.lens].last().expect("a state");
            let watcher = player.watcher.as_ref().expect("it watches");
            let copy = watcher.until("the last state", |copy| revisions(copy) == *last).await;
            assert!(copy.resets == 0);
            // And how far running jobs are, as the server shows it.
            for (id, job) in &copy.jobs {
                if job.state() == State::Running {
                    let asked = &self.servers[at % self.servers.len()];
                    let shown = asked.client().get(id).await.percent();
                    let what = format!("{shown:?} of {id} at watcher {at}");
                    watcher.until(&what, |copy| copy.jobs[id].percent() == shown).await;
                }
            }
        }
    }
}

fn revisions(mirror: &Mirror) -> Held {
    mirror.at_token.iter().map(|(id, job)| (id.clone(), job.status().revision)).collect()
}

async fn play(seed: u64, servers: Vec<Server>) {
    let lenses = lenses();
    let history = vec![vec![Held::new()]; lenses.len()];
    let player = |lens| Player { lens, watcher: None, kept: Mirror::default(), at: 0 };
    let players = (0..8).map(|at| player(at % lenses.len())).collect();
    let chance = StdRng::seed_from_u64(seed);
    let (jobs, running) = (Vec::new(), Vec::new());
    let mut play = Play { servers, chance, lenses, history, players, jobs, running };
    for _ in 0..STEPS {
        match play.chance.random_range(0..100) {
            0..8 => {
                let at = play.chance.random_range(0..play.players.len());
                if play.players[at].watcher.is_some() {
                    play.leave(at).await;
                } else {
                    play.enter(at).await;
                }
            }
            8 => {
                for at in 0..play.players.len() {
                    play.leave(at).await;
                }
                let at = play.chance.random_range(0..play.servers.len());
                play.servers[at].restart().await;
            }
            _ => play.work().await,
        }
        play.note().await;
        play.check();
    }
    play.quiet().await;
    let Play { servers, players, .. } = play;
    drop(players);
    for server in servers {
        server.stop().await;
    }
}

async fn seeded(servers: Vec<Server>) {
    let seed = std::env::var("JOBPLANE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("JOBPLANE_SEED={seed}");
    within(12 * SOON, "the play ends", Box::pin(play(seed, servers))).await;
}

#[tokio::test]
async fn every_watcher_holds_committed_states_and_the_last_one_in_the_end() {
    seeded(vec![Server::setup().in_memory().start().await]).await;
}

#[tokio::test]
async fn every_watcher_holds_committed_states_on_sqlite_too() {
    seeded(vec![Server::start().await]).await;
}

crate::on_each_shared_store! {
    every_watcher_of_any_of_three_servers_holds_committed_states_too
}

async fn every_watcher_of_any_of_three_servers_holds_committed_states_too(store: Shared) {
    let first = Server::setup().over(store).start().await;
    let others = [first.beside().await, first.beside().await];
    seeded([first].into_iter().chain(others).collect()).await;
}
