//! Explanations as people read them: `golden/*.txt`, written anew with `JOBPLANE_BLESS=1`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::admission::Hold;
use crate::domain::job::{JobSpec, Trigger};
use crate::domain::machine::table::allowed;
use crate::domain::machine::{Applied, Birth, Command, CommandKind, Now, apply, create};
use crate::domain::status::{JobError, SkipReason};
use crate::domain::written::moment_text;
use crate::domain::{JobType, QueueName, SessionId};

const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn id(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn worker() -> WorkerName {
    WorkerName::new("w1").unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn later(seconds: u64) -> Timestamp {
    START.plus(secs(seconds))
}

struct Bench {
    job: Job,
    now: Timestamp,
}

impl Bench {
    fn new(change: impl FnOnce(&mut JobSpec)) -> Self {
        let mut spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
        spec.retry_policy.jitter = 0.0;
        change(&mut spec);
        let birth = Birth {
            created_by: "ann".to_owned(),
            trigger: Trigger::Api,
            category: None,
            skipped: None,
        };
        let status = create(&spec, birth, START);
        Self { job: Job { id: id(1), spec: Arc::new(spec), status }, now: START }
    }

    fn run(mut self, seconds: u64, command: Command) -> Self {
        self.now = later(seconds);
        let answer = apply(&self.job.spec, &self.job.status, command, Now::at(self.now)).unwrap();
        let Applied::Changed(transition) = answer else { panic!("it changes nothing") };
        self.job.status = transition.status;
        self
    }

    fn started(self) -> Self {
        let session = SessionId(Uuid::from_u128(9));
        self.run(1, Command::Start { session, worker_id: worker() })
    }

    fn failed(self, code: &str) -> Self {
        let mut error = JobError::server(code, "no route to host".to_owned());
        error.non_retryable = code == "BAD_INPUT";
        let (progress, usage) = (None, None);
        self.run(2, Command::Fail { lease_epoch: 1, error, retry_delay: None, progress, usage })
    }

    fn cancelled(self) -> Self {
        let (reason, requested_by) = ("not needed".to_owned(), "ann".to_owned());
        self.run(3, Command::Cancel { reason, requested_by, grace: secs(30) })
    }

    fn skipped(self, reason: SkipReason) -> Self {
        self.run(1, Command::Skip { reason })
    }

    fn succeeded(self) -> Self {
        let (result, progress, usage) = (None, None, None);
        self.run(61, Command::Succeed { lease_epoch: 1, result, progress, usage })
    }
}

fn plain() -> Bench {
    Bench::new(|_| {})
}

fn held(holds: Vec<Hold>) -> Facts {
    let holders = holds.iter().map(|hold| (hold.code(), vec![id(7), id(8)])).collect();
    Facts { why: Why { holds, skip: None }, holders, workers: vec![worker()], ..Facts::default() }
}

fn render(explanation: &Explanation) -> String {
    let moment = |at: Timestamp| moment_text(at).unwrap();
    let mut page = format!("{}\n", explanation.summary);
    if let Some(next) = explanation.next_run_time {
        let _ = writeln!(page, "runs next at {}", moment(next));
    }
    for reason in &explanation.reasons {
        let until = reason.until.map(|until| format!(" [until {}]", moment(until)));
        let about = match reason.ids.join(" ") {
            ids if ids.is_empty() => ids,
            ids => format!(" [{ids}]"),
        };
        let until = until.unwrap_or_default();
        let _ = writeln!(page, "{}: {}{about}{until}", reason.code, reason.message);
    }
    for action in &explanation.actions {
        let _ = match action.why_not.as_str() {
            "" => writeln!(page, "may {}", action.name),
            why_not => writeln!(page, "may not {}: {why_not}", action.name),
        };
    }
    page
}

fn check(name: &str, bench: &Bench, facts: &Facts) {
    let page = render(&explain(&bench.job, facts, bench.now));
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/domain/explain/golden")
        .join(format!("{name}.txt"));
    if std::env::var_os("JOBPLANE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &page).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, wanted, "{}", path.display());
}

#[test]
fn waiting_jobs() {
    check("ready", &plain(), &Facts { workers: vec![worker()], ..Facts::default() });
    let scheduled = Bench::new(|spec| {
        spec.schedule_time = Some(later(3_600));
        spec.expire_time = Some(later(7_200));
    });
    check("scheduled", &scheduled, &Facts::default());
    check("back_off", &plain().started().failed("NET"), &Facts::default());
    let (queue, job_type) = (QueueName::default(), JobType::new("sync").unwrap());
    let reason = "maintenance".to_owned();
    let holds = vec![
        Hold::QueuePaused { queue: queue.clone(), reason },
        Hold::TypeFull { job_type: job_type.clone(), running: 2, max: 2 },
        Hold::NoWorker { queue, job_type: job_type.clone() },
    ];
    check("held", &plain(), &held(holds));
    let quota = crate::domain::QuotaName::new("youtube").unwrap();
    let holds = vec![
        Hold::TypeRate { job_type, until: later(30) },
        Hold::QuotaExhausted { quota, until: Some(later(86_400)) },
    ];
    check("held_by_the_clock", &plain(), &held(holds));
    let quota = crate::domain::QuotaName::new("youtube").unwrap();
    let job_type = JobType::new("sync").unwrap();
    let holds = vec![
        Hold::TypeRate { job_type: job_type.clone(), until: later(30) },
        Hold::WorkersBusy { workers: 1 },
        Hold::QuotaExhausted { quota: quota.clone(), until: Some(later(86_400)) },
        Hold::TypeDisabled { job_type, reason: String::new() },
    ];
    check("held_by_much", &plain(), &held(holds));
    let no_worker =
        Hold::NoWorker { queue: QueueName::default(), job_type: JobType::new("sync").unwrap() };
    let why = Why { holds: vec![no_worker], skip: Some(SkipReason::QuotaExhausted) };
    let facts = Facts { why, too_small_quota: Some(quota), ..Facts::default() };
    check("to_be_skipped_always", &plain(), &facts);
    let ruled = Bench::new(|spec| {
        spec.limits.memory_bytes = 100;
        spec.retry_rules = serde_json::from_str(
            r#"[{"codes": ["NET"], "change": {"memory_factor": 2.0, "queue": "roomy",
                "priority": "URGENT", "avoid_worker": true}}]"#,
        )
        .unwrap();
    });
    let changed = ruled.started().failed("NET");
    check("changed_by_a_rule", &changed, &Facts::default());
    let skip = Why { holds: Vec::new(), skip: Some(SkipReason::CircuitOpen) };
    let facts = Facts { why: skip, next_probe_time: Some(later(300)), ..Facts::default() };
    check("to_be_skipped", &plain(), &facts);
}

#[test]
fn running_jobs() {
    let slow = Bench::new(|spec| {
        spec.timeout = Some(secs(3_600));
        spec.estimated_duration = Some(secs(60));
    });
    let slow = Bench { now: later(601), ..slow.started() };
    let facts = Facts { typical_run_duration: Some(secs(100)), ..Facts::default() };
    check("slow", &slow, &facts);
    let mut stuck = plain().started();
    stuck.job.status.progress.activity_time = Some(later(60));
    stuck.job.status.attention.stuck_time = Some(later(360));
    check("stuck", &Bench { now: later(601), ..stuck }, &Facts::default());
    check("asked_to_stop", &plain().started().cancelled(), &Facts::default());
}

#[test]
fn jobs_that_are_over() {
    check("succeeded", &plain().started().succeeded(), &Facts::default());
    check("cancelled", &plain().cancelled(), &Facts::default());
    let once = Bench::new(|spec| {
        spec.retry_policy.max_attempts = 1;
        spec.unique_key = "k".to_owned();
    });
    let taken = Facts { unique_holder: Some(id(7)), ..Facts::default() };
    check("failed_and_its_key_taken", &once.started().failed("NET"), &taken);
    check("failed_for_good", &plain().started().failed("BAD_INPUT"), &Facts::default());
    let ruled = Bench::new(|spec| {
        spec.retry_rules =
            serde_json::from_str(r#"[{"codes": ["HTTP_4*"], "retry": false}]"#).unwrap();
    });
    check("failed_by_a_rule", &ruled.started().failed("HTTP_404"), &Facts::default());
    let expiring = Bench::new(|spec| spec.expire_time = Some(later(60)));
    check("expired", &expiring.run(61, Command::MeetDeadline), &Facts::default());
}

#[test]
fn skipped_jobs() {
    let facts = Facts {
        overlapped: vec![id(7)],
        next_probe_time: Some(later(300)),
        quotas: vec![crate::domain::QuotaName::new("youtube").unwrap()],
        quota_reset_time: Some(later(86_400)),
        ..Facts::default()
    };
    for reason in [
        SkipReason::CircuitOpen,
        SkipReason::Overlap,
        SkipReason::TypeDisabled,
        SkipReason::QuotaExhausted,
        SkipReason::Missed,
    ] {
        let name = format!("skipped_{}", reason.as_str().to_lowercase());
        check(&name, &plain().skipped(reason), &facts);
    }
    let replaced = Facts { replaced: true, successor: Some(id(9)), ..Facts::default() };
    check("skipped_replaced", &plain().skipped(SkipReason::Overlap), &replaced);
    let quota = crate::domain::QuotaName::new("youtube").unwrap();
    let never = Facts { too_small_quota: Some(quota), ..facts };
    check("skipped_quota_too_small", &plain().skipped(SkipReason::QuotaExhausted), &never);
}

#[test]
fn why_a_type_is_disabled_is_told_of_its_jobs() {
    let facts = Facts {
        why: Why { holds: Vec::new(), skip: Some(SkipReason::TypeDisabled) },
        disabled_reason: Some("a fire".to_owned()),
        ..Facts::default()
    };
    let told = |bench: Bench| explain(&bench.job, &facts, bench.now).reasons.swap_remove(0).message;
    assert_eq!(told(plain()), "it is skipped when it comes up: its type is disabled: a fire");
    let over = plain().skipped(SkipReason::TypeDisabled);
    assert_eq!(told(over), "its type was disabled, and is: a fire");
    let hold = Hold::TypeDisabled {
        job_type: crate::domain::JobType::new("sync").unwrap(),
        reason: "a fire".to_owned(),
    };
    let waits = plain();
    let told = explain(&waits.job, &held(vec![hold]), waits.now).reasons.swap_remove(0).message;
    assert_eq!(told, "type sync is disabled: a fire");
}

#[test]
fn actions_are_allowed_as_the_table_of_the_machine_says() {
    let standing = [
        plain(),
        plain().started(),
        plain().started().succeeded(),
        plain().started().failed("BAD_INPUT"),
        plain().cancelled(),
        plain().skipped(SkipReason::Overlap),
    ];
    assert!(StateKind::ALL.iter().zip(&standing).all(|(kind, b)| *kind == b.job.status.kind()));
    for bench in standing {
        let kind = bench.job.status.kind();
        let may = |command| allowed(kind).any(|one| one == command);
        let explanation = explain(&bench.job, &Facts::default(), bench.now);
        assert!(!explanation.reasons.is_empty());
        let action = |name| explanation.actions.iter().find(|action| action.name == name);
        assert!(!action("cancel").unwrap().allowed || may(CommandKind::Cancel), "{kind:?}");
        assert!(!action("retry").unwrap().allowed || may(CommandKind::Retry), "{kind:?}");
        // What the table has and is not offered would change nothing, or needs force.
        let refused = [action("cancel").unwrap(), action("retry").unwrap()];
        for (action, command) in refused.into_iter().zip([CommandKind::Cancel, CommandKind::Retry])
        {
            if !action.allowed && may(command) {
                let known =
                    ["it would change nothing", "it succeeded: it is run again only by force"];
                assert!(known.contains(&action.why_not.as_str()), "{kind:?} {action:?}");
            }
        }
        assert_eq!(action("delete").unwrap().allowed, kind.is_terminal());
        assert_eq!(action("retry_force").is_some(), kind == StateKind::Succeeded);
    }
}
