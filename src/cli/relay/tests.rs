//! How a command ends and what that says about the job.

use super::*;
use crate::cli::process::How;

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
        left_behind: 0,
        unkillable: 0,
    }
}

fn error(verdict: Verdict) -> JobError {
    match verdict {
        Verdict::Failed(error) => *error,
        Verdict::Succeeded { .. } => panic!("succeeded"),
    }
}

fn object(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn codes_and_signals_have_names() {
    let failed = error(verdict(&ended(How::Code(3)), None));
    assert_eq!((failed.code.as_str(), failed.non_retryable), ("EXIT_3", false));
    assert!(error(verdict(&ended(How::Code(64)), None)).non_retryable);
    assert!(error(verdict(&ended(How::Code(65)), None)).non_retryable);
    assert!(!error(verdict(&ended(How::Code(75)), None)).non_retryable);
    assert_eq!(error(verdict(&ended(How::Signal(9)), None)).code, "SIGNAL_9");
    let over = Some(Over::Memory { used_bytes: 2 << 20, limit_bytes: 1 << 20 });
    let failed = error(verdict(&Ended { over, ..ended(How::Signal(15)) }, None));
    assert_eq!(failed.code, "RESOURCE_LIMIT");
    assert!(failed.message.contains("2.0 MiB"), "{}", failed.message);
    let words = vec!["no such table".to_owned()];
    let failed = error(verdict(&Ended { stderr_tail: words, ..ended(How::Code(1)) }, None));
    assert!(failed.message.ends_with("no such table"), "{}", failed.message);
}

#[test]
fn a_result_comes_from_the_file_before_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result");
    let line = Ended { result: Some(object(r#"{"from": "line"}"#)), ..ended(How::Code(0)) };
    let result = |verdict| match verdict {
        Verdict::Succeeded { result, problem: None } => {
            result.map(|found| mapping::of_struct(&found))
        }
        other => panic!("{other:?}"),
    };
    let from_line = Some(serde_json::json!({"from": "line"}));
    assert_eq!(result(verdict(&line, Some(&file))), from_line, "the file was not written");
    std::fs::write(&file, "  \n").unwrap();
    assert_eq!(result(verdict(&line, Some(&file))), from_line, "nothing is in it");
    std::fs::write(&file, r#"{"from": "file"}"#).unwrap();
    assert_eq!(result(verdict(&line, Some(&file))), Some(serde_json::json!({"from": "file"})));
    assert_eq!(result(verdict(&ended(How::Code(0)), None)), None);

    for (text, value) in [
        ("[1]", serde_json::json!({"value": [1]})),
        (" done \n", serde_json::json!({"text": "done"})),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(result(verdict(&line, Some(&file))), Some(value));
    }
    let long = format!("{{\"x\": \"{}\"}}", "y".repeat(300_000));
    for wrong in ["{\"n\": 9007199254740993}", &long] {
        std::fs::write(&file, wrong).unwrap();
        assert_eq!(error(verdict(&line, Some(&file))).code, "RESULT_INVALID", "{wrong}");
    }
}

#[test]
fn a_last_line_that_is_no_result_is_told_and_the_work_is_done() {
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    for wrong in [r#"{"n": 9007199254740993}"#, &deep] {
        let line = Ended { result: Some(object(wrong)), ..ended(How::Code(0)) };
        let Verdict::Succeeded { result: None, problem: Some(_) } = verdict(&line, None) else {
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
