//! The server in process: workers, watchers and clients talk to it over the loopback, and it is held
//! against what docs/GUARANTEES.md promises.

mod cancel;
mod harness;
mod life;
mod requests;
mod watch;
