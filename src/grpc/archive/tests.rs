use std::collections::BTreeMap;
use std::sync::Arc;

use prost_types::value::Kind;
use uuid::Uuid;

use super::*;
use crate::domain::job::{Job, JobSpec, Trigger};
use crate::domain::logs::{LogEntry, LogLevel};
use crate::domain::machine::{Birth, create};
use crate::domain::{JobId, JobType, QueueName};
use crate::engine::{LogGap, LogLine};

#[test]
fn a_line_holds_the_job_as_the_api_shows_it() {
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let mut spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    let value = prost_types::Value { kind: Some(Kind::StringValue("a\nb".to_owned())) };
    let payload = prost_types::Struct { fields: BTreeMap::from([("x".to_owned(), value)]) };
    spec.payload = Some(payload.encode_to_vec().into());
    let birth =
        Birth { created_by: "me".to_owned(), trigger: Trigger::Api, category: None, skipped: None };
    let status = create(&spec, birth, now);
    let job = Job { id: JobId(Uuid::from_u128(7)), spec: Arc::new(spec), status };
    let entry = LogEntry {
        time: now,
        level: LogLevel::Info,
        step: String::new(),
        message: "done".to_owned(),
        data: None,
    };
    let lines = vec![LogLine { sequence: 3, lease_epoch: 1, attempt: 1, entry }];
    let gaps = vec![LogGap { lease_epoch: 1, after_sequence: 3, dropped: 9 }];
    let said = |it| piece(it, now).unwrap();
    let (job, lines) = (said(Piece::Job(&job, &[])), said(Piece::Lines(&lines)));
    let text = format!(r#"{{{job},"logs":[{lines}],"gaps":[{}]}}"#, said(Piece::Gaps(&gaps)));
    assert!(!text.contains('\n'), "one line: {text}");
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["job"]["id"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(read["job"]["spec"]["type"], "sync");
    assert_eq!(read["job"]["spec"]["payload"]["x"], "a\nb");
    assert_eq!(read["job"]["status"]["state"], "JOB_STATE_PENDING");
    assert_eq!(read["logs"][0]["message"], "done");
    assert_eq!(read["gaps"][0]["dropped"], "9");
}
