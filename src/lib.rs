//! jobplane: a control plane for background jobs.

pub mod auth;
pub mod domain;
pub mod engine;
pub mod grpc;
pub mod proto;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod web;
