//! What a scrape shows.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::logs::{Format, queue, subscriber};
use super::{Finished, Metrics, QueueDepth};
use crate::domain::stats::{Count, StatKey};
use crate::domain::{JobType, QueueName, StateKind, Timestamp};

fn job_type(name: &str) -> JobType {
    JobType::new(name).expect("a name")
}

fn finished(job_type: &JobType, state: StateKind) -> Finished<'_> {
    Finished {
        job_type,
        state,
        time: Timestamp::from_micros(1_780_000_000_500_000),
        run: Some(Duration::from_secs(2)),
        items_succeeded: 9,
        items_failed: 1,
    }
}

fn count(name: &str, queue: &str, state: StateKind, stored: i64) -> Count {
    let queue = QueueName::new(queue).expect("a name");
    let key = StatKey { job_type: job_type(name), queue };
    Count { key, state, stored, finished_total: 0 }
}

/// The value of a metric, named with its labels.
fn value<'a>(page: &'a str, metric: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '))
}

#[test]
fn a_finished_job_shows_in_every_figure() {
    let metrics = Metrics::new();
    let sync = job_type("sync");
    metrics.job_finished(&finished(&sync, StateKind::Succeeded));
    metrics.job_finished(&finished(&sync, StateKind::Failed));
    let page = metrics.encode();
    let of = |metric| value(&page, metric);
    assert_eq!(of(r#"jobplane_jobs_finished_total{type="sync",state="SUCCEEDED"}"#), Some("1"));
    assert_eq!(of(r#"jobplane_jobs_finished_total{type="sync",state="FAILED"}"#), Some("1"));
    assert_eq!(of(r#"jobplane_items_processed_total{type="sync",result="succeeded"}"#), Some("18"));
    assert_eq!(of(r#"jobplane_items_processed_total{type="sync",result="failed"}"#), Some("2"));
    assert_eq!(of(r#"jobplane_job_run_duration_seconds_count{type="sync"}"#), Some("2"));
    let last = of(r#"jobplane_job_last_success_timestamp_seconds{type="sync"}"#);
    assert_eq!(last, Some("1780000000.5"));
    assert!(page.ends_with("# EOF\n"), "{page}");
}

#[test]
fn an_older_success_does_not_replace_a_newer_one() {
    let metrics = Metrics::new();
    let sync = job_type("sync");
    metrics.last_success(&sync, Timestamp::from_micros(9_000_000));
    metrics.last_success(&sync, Timestamp::from_micros(4_000_000));
    let page = metrics.encode();
    assert_eq!(
        value(&page, r#"jobplane_job_last_success_timestamp_seconds{type="sync"}"#),
        Some("9.0")
    );
}

#[test]
fn gauges_forget_what_is_no_longer_there() {
    let metrics = Metrics::new();
    metrics.jobs_stored(&[
        count("a", "q1", StateKind::Pending, 2),
        count("a", "q2", StateKind::Pending, 3),
        count("b", "q1", StateKind::Running, 1),
    ]);
    let pending = r#"jobplane_jobs{type="a",state="PENDING"}"#;
    let running = r#"jobplane_jobs{type="b",state="RUNNING"}"#;
    let page = metrics.encode();
    assert_eq!((value(&page, pending), value(&page, running)), (Some("5"), Some("1")));
    metrics.jobs_stored(&[count("a", "q1", StateKind::Pending, 1)]);
    let page = metrics.encode();
    assert_eq!((value(&page, pending), value(&page, running)), (Some("1"), None));
}

#[test]
fn types_and_queues_beyond_a_hundred_count_as_other() {
    let metrics = Metrics::new();
    let names: Vec<_> = (0..150).map(|n| format!("t{n:03}")).collect();
    let counts: Vec<_> = names.iter().map(|n| count(n, "q", StateKind::Pending, 1)).collect();
    metrics.jobs_stored(&counts);
    let queue = |name: &String| QueueName::new(name).expect("a name");
    let age = Duration::from_secs(7);
    let depths: Vec<_> = names
        .iter()
        .map(|name| QueueDepth { queue: queue(name), pending: 2, oldest_age: age })
        .collect();
    metrics.queue_depths(&depths);
    let page = metrics.encode();
    assert_eq!(value(&page, r#"jobplane_jobs{type="other",state="PENDING"}"#), Some("50"));
    assert_eq!(value(&page, r#"jobplane_queue_depth_jobs{queue="other"}"#), Some("100"));
    assert_eq!(value(&page, r#"jobplane_queue_oldest_age_seconds{queue="other"}"#), Some("7.0"));
    assert_eq!(page.lines().filter(|line| line.starts_with("jobplane_jobs{")).count(), 101);
}

#[test]
fn calls_commits_and_levels_are_counted() {
    let metrics = Metrics::new();
    metrics.rpc("jobplane.v1.JobService/GetJob", "OK", Duration::from_millis(3));
    metrics.commit(17, Duration::from_millis(2));
    metrics.store_error("unavailable");
    metrics.workers(3);
    metrics.watchers(4);
    metrics.views(2);
    metrics.sessions(5);
    let page = metrics.encode();
    let of = |metric| value(&page, metric);
    let rpc = r#"jobplane_rpcs_total{method="jobplane.v1.JobService/GetJob",code="OK"}"#;
    assert_eq!(of(rpc), Some("1"));
    assert_eq!(of("jobplane_commits_total"), Some("1"));
    assert_eq!(of("jobplane_commit_batch_commands_sum"), Some("17.0"));
    assert_eq!(of("jobplane_commit_duration_seconds_count"), Some("1"));
    assert_eq!(of(r#"jobplane_store_errors_total{kind="unavailable"}"#), Some("1"));
    assert_eq!(of("jobplane_workers"), Some("3"));
    assert_eq!(of("jobplane_views"), Some("2"));
    assert_eq!(of("jobplane_watchers"), Some("4"));
    assert_eq!(of("jobplane_sessions"), Some("5"));
    assert_eq!(of("jobplane_log_lines_dropped_total"), Some("0"));
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written(format: Format, filter: &str) -> String {
    let paper = Paper::default();
    let writer = paper.clone();
    let subscriber = subscriber(format, filter, move || writer.clone()).expect("a valid filter");
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(job.id = "j1", attempt = 2, "job started");
        tracing::debug!("not asked for");
    });
    let bytes = paper.0.lock().clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_line_of_the_log_is_one_json_object() {
    let text = written(Format::Json, "info");
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(line["message"], "job started");
    assert_eq!((&line["job.id"], &line["attempt"]), (&"j1".into(), &2.into()));
    assert_eq!(line["level"], "INFO");
}

#[test]
fn a_line_for_people_is_plain_text() {
    let text = written(Format::Pretty, "debug");
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("job started") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let paper = Paper::default();
    let (lines, guard) = queue(paper.clone(), 10);
    let dropped = lines.error_counter();
    let subscriber = subscriber(Format::Json, "info", lines).expect("a valid filter");
    tracing::subscriber::with_default(subscriber, || {
        let stuck = paper.0.lock();
        for number in 0..100 {
            tracing::info!(number, "a line");
        }
        drop(stuck);
    });
    // One line is in the hands of the thread at most, ten wait.
    let lost = dropped.dropped_lines();
    assert!((89..=90).contains(&lost), "{lost} lines were dropped");
    drop(guard);
    let text = String::from_utf8(paper.0.lock().clone()).expect("text");
    assert_eq!(text.lines().count(), 100 - lost, "the last lines are written");
}

#[test]
fn a_wrong_filter_or_format_is_refused() {
    for wrong in ["jobplane=loud", "zzz", "info,zzz", "jobplane::engine"] {
        assert!(subscriber(Format::Json, wrong, std::io::sink).is_err(), "{wrong}");
    }
    for good in ["off", "INFO", "info,jobplane=debug", "zzz=trace", "warn,jobplane[job]=info"] {
        assert!(subscriber(Format::Json, good, std::io::sink).is_ok(), "{good}");
    }
    assert_eq!("pretty".parse(), Ok(Format::Pretty));
    assert!("xml".parse::<Format>().is_err());
}
