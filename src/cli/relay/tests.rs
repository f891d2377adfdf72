//! How a command ends and what that says about the job.

use serde_json::Value;

use super::*;
use crate::cli::process::{How, Over, Signal};
use crate::proto::v1::{CancelCause, JobError};

fn ended(how: How) -> Ended {
    Ended {
        how,
        over: None,
        stopped: false,
        result: None,
        result_problem: None,
        stderr_tail: Vec::new(),
        progress: None,
        usage: None,
        quota_use: std::collections::BTreeMap::new(),
        left_behind: 0,
        unkillable: 0,
    }
}

fn error(verdict: Verdict) -> JobError {
    match verdict {
        Verdict::Failed(error) => *error,
        other => panic!("{other:?}"),
    }
}

const NOBODY: Told = Told { cause: None, signal: None };

fn object(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn codes_and_signals_have_names() {
    let failed = error(verdict(&ended(How::Code(3)), NOBODY, None));
    assert_eq!((failed.code.as_str(), failed.non_retryable), ("EXIT_3", false));
    assert!(error(verdict(&ended(How::Code(64)), NOBODY, None)).non_retryable);
    assert!(error(verdict(&ended(How::Code(65)), NOBODY, None)).non_retryable);
    assert!(!error(verdict(&ended(How::Code(75)), NOBODY, None)).non_retryable);
    assert_eq!(error(verdict(&ended(How::Signal(9)), NOBODY, None)).code, "SIGNAL_9");
    let over = Some(Over::Memory { used_bytes: 2 << 20, limit_bytes: 1 << 20 });
    let failed = error(verdict(&Ended { over, ..ended(How::Signal(15)) }, NOBODY, None));
    assert_eq!(failed.code, "RESOURCE_LIMIT");
    assert!(failed.message.contains("2.0 MiB"), "{}", failed.message);
    let words = vec!["no such table".to_owned()];
    let failed = error(verdict(&Ended { stderr_tail: words, ..ended(How::Code(1)) }, NOBODY, None));
    assert!(failed.message.ends_with("no such table"), "{}", failed.message);
}

#[test]
fn a_result_comes_from_the_file_before_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    let file = ResultFile::before(&path);
    let line = Ended { result: Some(object(r#"{"from": "line"}"#)), ..ended(How::Code(0)) };
    let result = |verdict| match verdict {
        Verdict::Succeeded { result, problem: None } => {
            result.map(|found| mapping::of_struct(&found))
        }
        other => panic!("{other:?}"),
    };
    let from_line = Some(serde_json::json!({"from": "line"}));
    assert_eq!(result(verdict(&line, NOBODY, Some(&file))), from_line, "the file was not written");
    std::fs::write(&path, "  \n").unwrap();
    assert_eq!(result(verdict(&line, NOBODY, Some(&file))), from_line, "nothing is in it");
    std::fs::write(&path, r#"{"from": "file"}"#).unwrap();
    assert_eq!(
        result(verdict(&line, NOBODY, Some(&file))),
        Some(serde_json::json!({"from": "file"}))
    );
    assert_eq!(result(verdict(&ended(How::Code(0)), NOBODY, None)), None);

    for (text, value) in [
        ("[1]", serde_json::json!({"value": [1]})),
        (" done \n", serde_json::json!({"text": "done"})),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(result(verdict(&line, NOBODY, Some(&file))), Some(value));
    }
    let long = format!("{{\"x\": \"{}\"}}", "y".repeat(300_000));
    for wrong in ["{\"n\": 9007199254740993}", &long] {
        std::fs::write(&path, wrong).unwrap();
        assert_eq!(error(verdict(&line, NOBODY, Some(&file))).code, "RESULT_INVALID", "{wrong}");
    }
}

#[test]
fn a_last_line_that_is_no_result_is_told_and_the_work_is_done() {
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    for wrong in [r#"{"n": 9007199254740993}"#, &deep] {
        let line = Ended { result: Some(object(wrong)), ..ended(How::Code(0)) };
        let Verdict::Succeeded { result: None, problem: Some(_) } = verdict(&line, NOBODY, None)
        else {
            panic!("{wrong}");
        };
    }
}

#[test]
fn progress_and_lines_are_told_as_they_were_read() {
    let reading = Reading { completed: Some(4), total: Some(9), ..Reading::default() };
    let said = progress(Reading { step: "copy".to_owned(), unit: "files".to_owned(), ..reading });
    assert_eq!((said.completed, said.total, said.percent), (4, Some(9), None));
    assert_eq!((said.current_step.as_str(), said.unit.as_str()), ("copy", "files"));
    let line = Line {
        stream: Stream::Stderr,
        time: crate::domain::Timestamp::from_micros(1_500_000),
        level: Level::Warning,
        text: "hot".to_owned(),
    };
    let said = entry(line);
    assert_eq!((said.level(), said.message.as_str()), (LogLevel::Warning, "hot"));
    let data = mapping::of_struct(&said.data.unwrap());
    assert_eq!(data, serde_json::json!({"stream": "stderr"}));
    assert_eq!(said.time.map(|time| (time.seconds, time.nanos)), Some((1, 500_000_000)));
}

#[test]
fn who_told_it_to_stop_decides_what_its_end_means() {
    let told = |cause| Told { cause: Some(cause), signal: None };
    let stopped = |how| Ended { stopped: true, ..ended(how) };
    for how in [How::Code(0), How::Code(1), How::Signal(15)] {
        let of = |cause| verdict(&stopped(how), told(cause), None);
        assert_eq!(of(CancelCause::Caller), Verdict::Cancelled);
        assert_eq!(of(CancelCause::Overlap), Verdict::Cancelled);
        let failed = error(of(CancelCause::Timeout));
        assert!(failed.message.ends_with("after it was told to stop"), "{}", failed.message);
    }
    // It had ended before it could be told.
    let early = verdict(&ended(How::Code(0)), told(CancelCause::Caller), None);
    assert!(matches!(early, Verdict::Succeeded { .. }), "{early:?}");
    let by_hand = Told { cause: None, signal: Some(Signal::INT) };
    let failed = error(verdict(&ended(How::Signal(2)), by_hand, None));
    assert_eq!(failed.code, "SIGNAL_2");
    assert!(failed.message.contains("ended by SIGINT after SIGINT"), "{}", failed.message);
    assert!(matches!(verdict(&ended(How::Code(0)), by_hand, None), Verdict::Succeeded { .. }));
}

#[test]
fn a_file_that_was_there_before_is_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    std::fs::write(&path, r#"{"old": 1}"#).unwrap();
    let file = ResultFile::before(&path);
    assert_eq!(file.read(), Ok(None));
    std::fs::write(&path, r#"{"new": 12}"#).unwrap();
    let read = file.read().unwrap().map(|bytes| mapping::of_struct(&bytes));
    assert_eq!(read, Some(serde_json::json!({"new": 12})));
}

#[test]
fn the_command_is_killed_before_the_server_gives_up_on_it() {
    assert_eq!(stop_within(Duration::from_secs(30)), Duration::from_secs(29));
    assert_eq!(stop_within(Duration::from_secs(2)), Duration::from_millis(1800));
    assert_eq!(stop_within(Duration::ZERO), Duration::ZERO);
}
