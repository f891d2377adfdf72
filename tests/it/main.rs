//! The server in process: workers, watchers and clients talk to it over the loopback, and it is held
//! against what docs/GUARANTEES.md promises.

mod cancel;
mod harness;
mod life;
mod outage;
mod requests;
mod retry;
mod watch;
