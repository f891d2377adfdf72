//! jobplane: a control plane for background jobs.
//!
//! The code map, from the outside in: [`cli`] is what a person types, [`app`] puts the parts together,
//! [`grpc`], [`web`] and [`loops`] are the ways in, [`engine`] holds the use cases, [`watch`] the
//! fan-out, [`store`] the databases, [`domain`] the rules. [`runtime`], [`telemetry`], [`config`] and
//! [`auth`] stand beside them. docs/ARCHITECTURE.md tells how they work together.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod grpc;
pub mod loops;
pub mod proto;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod watch;
pub mod web;
