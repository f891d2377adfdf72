//! The server in process: workers, watchers and clients talk to it over the loopback, and it is held
//! against what docs/GUARANTEES.md promises.

mod acks;
mod cancel;
mod delivery;
mod harness;
mod leases;
mod life;
mod outage;
mod reattach;
mod requests;
mod retry;
mod watch;
