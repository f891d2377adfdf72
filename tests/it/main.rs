//! The server in process: workers, watchers and clients talk to it over the loopback, and it is held
//! against what docs/GUARANTEES.md promises.

mod acks;
mod browsers;
mod cancel;
mod delivery;
mod figures;
mod harness;
mod leases;
mod life;
mod lists;
mod logs;
mod outage;
mod progress;
mod races;
mod readiness;
mod reattach;
mod replicas;
mod replicas_faults;
mod requests;
mod retry;
mod session;
mod shutdown;
mod small_frames;
mod streams;
mod watch;
mod watch_jobs;
mod watch_model;
mod watch_resume;
