//! The gRPC face of the service.
//!
//! Owns: the handlers of every call ([`job_service`], [`worker_service`], [`admin_service`]; the streams
//! in [`watch_job`] and [`worker_stream`]), what a message means to the domain and back ([`convert`]),
//! who calls ([`caller`]), what an error looks like to a caller ([`status`], [`reasons`]), what is counted of
//! each call ([`observe`]), how long a request may arrive ([`arrival`]), what one peer may have under way
//! ([`peers`]), and the connections themselves ([`listener`]).
//! Does not own: decisions; they are the domain's, and the engine's.
//! Invariants: a message is checked whole before anything is done, and every wrong field is named;
//! [`status`] alone makes a status of an error.

pub mod admin_service;
pub mod ageing;
pub mod archive;
mod arrival;
pub mod caller;
pub mod convert;
mod deadline;
mod event_cursor;
mod health;
pub mod job_service;
mod job_type_service;
pub mod listener;
pub mod observe;
pub mod oversize;
mod page_token;
pub mod peers;
pub mod reasons;
mod resume_token;
pub mod server;
mod show;
pub mod status;
pub mod watch_job;
pub mod watch_jobs;
mod worker_messages;
pub mod worker_service;
pub mod worker_stream;

#[cfg(test)]
mod tests;
