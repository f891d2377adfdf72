//! The server in process: workers, watchers and clients talk to it over the loopback, and it is held
//! against what docs/GUARANTEES.md promises.

mod harness;
mod life;
