//! The server in process: workers, watchers and clients talk to it over the loopback, and it is held
//! against what docs/GUARANTEES.md promises.

mod acks;
mod audit;
mod browsers;
mod bulk;
mod cancel;
#[path = "../cluster/mod.rs"]
mod cluster;
mod day;
mod delivery;
mod drain;
mod events;
mod fairness;
mod figures;
mod figures_whole;
mod harness;
mod leases;
mod life;
mod limits;
mod list_filters;
mod lists;
mod logs;
mod outage;
mod progress;
mod purge;
mod purge_left;
mod quotas;
mod races;
mod readiness;
mod reattach;
mod replicas;
mod replicas_faults;
mod replicas_model;
mod requests;
mod retry;
mod rules;
mod session;
mod shutdown;
mod small_frames;
mod streams;
mod types_rules;
mod typical;
mod unreadable;
mod watch;
mod watch_jobs;
mod watch_model;
mod watch_moves;
mod watch_resume;
mod watchdogs;
mod year;

/// The tests of a file on each store that several servers may be over.
macro_rules! on_each_shared_store {
    ($($behaviour:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $behaviour() {
                Box::pin(super::$behaviour(crate::harness::Shared::Memory)).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $behaviour() {
                // Without PostgreSQL it says so, where it may do without.
                if crate::harness::Shared::Postgres.is_there() {
                    Box::pin(super::$behaviour(crate::harness::Shared::Postgres)).await;
                }
            })*
        }
    };
}
use on_each_shared_store;

/// The tests of a file on each store, each with a server that is not started yet.
macro_rules! on_each_store {
    ($($behaviour:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $behaviour() {
                Box::pin(super::$behaviour(crate::harness::Server::setup().in_memory())).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $behaviour() {
                Box::pin(super::$behaviour(crate::harness::Server::setup())).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $behaviour() {
                // Without PostgreSQL it says so, where it may do without.
                let shared = crate::harness::Shared::Postgres;
                if shared.is_there() {
                    Box::pin(super::$behaviour(crate::harness::Server::setup().over(shared))).await;
                }
            })*
        }
    };
}
use on_each_store;
