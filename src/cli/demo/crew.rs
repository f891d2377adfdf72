//! The workers of the demo: each a session of its own over loopback, like any worker anywhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::bench::Bench;
use super::ledger::Ledger;
use super::work::Shelf;
use crate::cli::client::Address;
use crate::cli::worker::{self, Event, Events, Handle, Lease, Settings};
use crate::runtime::{Clock, Shutdown, Tasks};

/// Their names.
pub const NAMES: [&str; 3] = ["ada", "grace", "linus"];
/// Jobs each of them runs at a time.
pub const SLOTS_EACH: u32 = super::plan::SLOTS / 3;

/// The workers.
pub struct Crew {
    handles: Vec<Handle>,
    tasks: Tasks,
    stop: Shutdown,
}

impl Crew {
    /// Attaches them to the server.
    #[must_use]
    pub fn start(address: &Address, shelf: &Arc<Shelf>, ledger: &Ledger, clock: &Clock) -> Self {
        let (tasks, stop) = (Tasks::new(), Shutdown::new());
        let handles = NAMES.map(|name| {
            let settings = Settings {
                worker_id: format!("demo/{name}"),
                slots: SLOTS_EACH,
                queues: super::plan::QUEUES.map(str::to_owned).to_vec(),
                ..Settings::new(address.clone())
            };
            let (handle, events) = worker::start(settings, &tasks, clock);
            let member = Member {
                handle: handle.clone(),
                shelf: Arc::clone(shelf),
                ledger: ledger.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
                running: HashMap::new(),
            };
            tasks.spawn("demo worker", member.serve(events));
            handle
        });
        Self { handles: handles.to_vec(), tasks, stop }
    }

    /// Stops what runs, says Goodbye, and waits until all have gone, but no longer than this.
    pub async fn leave(self, within: Duration) {
        self.stop.signal();
        join_all(self.handles.iter().map(|handle| handle.close(within))).await;
        // What is cut off holds no file: each piece of work opens and closes its own.
        let _ = tokio::time::timeout(within, self.tasks.ended()).await;
    }
}

/// One worker.
struct Member {
    handle: Handle,
    shelf: Arc<Shelf>,
    ledger: Ledger,
    tasks: Tasks,
    stop: Shutdown,
    running: HashMap<Lease, Shutdown>,
}

impl Member {
    async fn serve(mut self, mut events: Events) {
        while let Some(event) = events.next().await {
            match event {
                Event::Assigned { lease, job } => {
                    let stop = self.stop.child();
                    self.running.insert(lease.clone(), stop.clone());
                    let bench = Bench {
                        handle: self.handle.clone(),
                        lease,
                        shelf: Arc::clone(&self.shelf),
                        ledger: self.ledger.clone(),
                        cancelled: stop,
                        leaving: self.stop.clone(),
                    };
                    self.tasks.spawn("demo job", bench.run(job));
                }
                Event::Cancel { lease, .. } | Event::Revoked { lease, .. } => {
                    if let Some(stop) = self.running.get(&lease) {
                        stop.signal();
                    }
                }
                Event::Settled { lease, answer } => {
                    self.running.remove(&lease);
                    self.ledger.answered(&lease.job_id, lease.epoch, answer.is_ok());
                }
                // The server is in this process: it is there, or all of this ends.
                Event::Connected
                | Event::Lost(_)
                | Event::Refused(_)
                | Event::Rejected { .. }
                | Event::Drain { .. } => {}
            }
        }
    }
}
