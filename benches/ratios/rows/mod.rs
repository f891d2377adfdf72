//! The rows: what each compares, and what it should come to.

mod claims;
mod durable;
mod fanout;
mod history;
mod ingest;
mod keeping;
mod latency;
mod memory;
mod overload;

use crate::harness::machine::Places;
use crate::harness::options::Plan;
use crate::harness::questions;
use crate::harness::table::{Target, rows};

/// What a row is measured with.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// How long and how often.
    pub plan: Plan,
    /// Where.
    pub places: Places,
}

rows! {
    Setting;
    "ticks_ingested", "one session, 64 B ticks of 100 jobs; tonic that decodes and drops them",
        "ticks/s", Target::AtLeast(0.6), ingest::ingested;
    "ticks_acked", "the same until acked; tonic that answers each one",
        "ticks/s", Target::AtLeast(1.2), ingest::acked;
    "transitions", "create 100 at a time, start and succeed, 1,024 slots; the same statements in rusqlite",
        "transitions/s", Target::AtLeast(0.4), durable::transitions;
    "transitions_unary", "CreateJob, AcquireJobs, CompleteJob by 256 callers",
        "transitions/s", Target::Report, durable::unary_calls;
    "life_cycles", "start and succeed of jobs made beforehand, 4 sessions of 256 slots",
        "jobs/s", Target::About(60_000.0), durable::life_cycles;
    "per_fsync_64", "transitions in a commit with 64 slots",
        "transitions", Target::AtLeast(20.0), durable::per_fsync_64;
    "per_fsync_1024", "transitions in a commit with 1,024 slots",
        "transitions", Target::AtLeast(300.0), durable::per_fsync_1024;
    "ack_p99_half_load", "outcome to ack at half the peak; one commit of as many transitions alongside",
        "us p99", Target::AtMost(3.0), latency::ack_p99;
    "create_to_assignment", "CreateJob to assignment, idle; a bare round trip",
        "us p50", Target::AtMost(10.0), latency::create_to_assignment;
    "progress_to_watcher", "tick to watcher, idle; a bare round trip",
        "us p50", Target::AtMost(4.0), latency::progress_to_watcher;
    "watch_1000", "one job to 1,000 watchers; tonic sending the same bytes",
        "deliveries/s", Target::AtLeast(0.7), fanout::to_1000;
    "watch_10000", "one job to 10,000 watchers; tonic sending the same bytes",
        "deliveries/s", Target::AtLeast(0.7), fanout::to_10000;
    "watch_2k", "2 KiB updates to 1,000 watchers; tonic encoding for each",
        "deliveries/s", Target::AtLeast(2.0), fanout::large;
    "watch_stalled", "900 watchers beside 100 that never read; the 900 alone",
        "deliveries/s", Target::AtLeast(0.95), fanout::stalled;
    "memory_watcher", "an idle watcher, 1,000 on a connection",
        "KiB", Target::AtMost(10.0), memory::watcher;
    "memory_watched_job", "one more job in one WatchJobs",
        "bytes", Target::AtMost(300.0), memory::watched_job;
    "stats_1m", "GetStats with 1,000,000 finished and 100,000 waiting jobs; with 10,000 and 1,000",
        "us p50", Target::AtMost(1.5), questions::stats;
    "summary_1m", "GetSummary of the same",
        "us p50", Target::AtMost(2.0), questions::summary;
    "list_1m", "first page of ListJobs of the same",
        "us p50", Target::AtMost(2.0), questions::list;
    "list_deep_1m", "a page in the middle of all",
        "us p50", Target::AtMost(2.0), questions::deep;
    "list_label_1m", "first page of the 600 jobs with a label",
        "us p50", Target::AtMost(2.0), questions::labelled;
    "purge_alongside", "the same load while jobs of three days ago are taken away; without",
        "transitions/s", Target::AtLeast(0.9), keeping::purge_alongside;
    "events_and_audit", "the store with events and audit, 1 job in 20 failing, 1 in 50 cancelled by hand; without",
        "transitions/s", Target::AtLeast(0.95), keeping::events_and_audit;
    "events_of_successes", "the same with an event for each success; without any",
        "transitions/s", Target::Report, keeping::events_of_successes;
    "claims_1m", "100,000 waiting jobs of 500 types over 50 queues claimed, beside 1,000,000 finished; beside none",
        "jobs/s", Target::AtLeast(0.9), claims::history;
    "claims_ruled", "the same with caps, rates, weights, breakers and a quota on everything; with no rules",
        "jobs/s", Target::AtLeast(0.85), claims::ruled;
    "claims_ruled_evenly", "the same with all weights alike; with no rules",
        "jobs/s", Target::AtLeast(0.85), claims::ruled_evenly;
    "goodput_3x", "jobs created in time at three times the load it can take; at its peak",
        "jobs/s", Target::AtLeast(0.9), overload::goodput;
}
