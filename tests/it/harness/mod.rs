//! The server in process, and scripts for those who talk to it.
//!
//! A test starts a [`Server`], lets workers and watchers play their parts, and ends with
//! [`Server::stop`], which fails on anything left over. Nothing sleeps: whoever waits, waits for a
//! condition with a bound ten times wider than the promise.

mod client;
mod event_log;
mod faulty;
mod jobs_watcher;
mod proxy;
mod raw;
mod refusal;
mod server;
mod wait;
mod watcher;
mod worker;
mod worker_inbox;

pub use client::{Client, JobFacts, channel, done, lines, object, percent, seconds, spec};
pub use faulty::{Fault, Read, Weather};
pub use jobs_watcher::{JobsWatcher, Mirror};
pub use proxy::Proxy;
pub use raw::StalledWorker;
pub use refusal::{Refusal, Told};
pub use server::{Server, Setup, Shared};
pub use wait::{SOON, eventually, within};
pub use watcher::{Seen, Watcher};
pub use worker::{Held, Worker};
pub use worker_inbox::Message;
