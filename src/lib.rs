//! jobplane: a control plane for background jobs.

pub mod auth;
pub mod cli;
pub mod domain;
pub mod proto;
pub mod runtime;
pub mod store;
