//! Real commands, from their start to the end of the last of their processes.

use super::*;

/// Whatever is waited for comes within this.
const SOON: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Spec {
    Spec { args: vec!["-c".into(), script.into()], ..Spec::new("sh") }
}

/// Runs it to its end, and takes what it says.
async fn ran(spec: &Spec) -> (Vec<String>, Ended) {
    let (_process, mut events) = Process::spawn(spec, &Tasks::new(), &Clock::new()).unwrap();
    let all = async {
        let mut lines = Vec::new();
        loop {
            match events.next().await.expect("an end") {
                Event::Line(line) => lines.push(line.text),
                Event::Dropped(lines) => panic!("{lines} lines were dropped"),
                Event::Progress(_) | Event::Usage(_) | Event::QuotaUse(_) => {}
                Event::Ended(ended) => return (lines, *ended),
            }
        }
    };
    tokio::time::timeout(SOON, all).await.expect("it ends")
}

#[tokio::test]
async fn lines_progress_result_and_code_are_told() {
    let script = r#"echo one; echo 3/4; echo '{"n": 7}'; echo bad >&2; printf last; exit 3"#;
    let (mut lines, ended) = ran(&shell(script)).await;
    lines.sort();
    assert_eq!(lines, ["bad", "last", "one", r#"{"n": 7}"#]);
    assert_eq!((ended.how, ended.how.exit_code(), ended.stopped), (How::Code(3), 3, false));
    assert_eq!(ended.progress.and_then(|reading| reading.completed), Some(3));
    assert_eq!(ended.result.map(|fields| fields["n"].clone()), Some(7.into()));
    assert_eq!(ended.stderr_tail, ["bad"]);
    let (_, ended) = ran(&shell("kill -9 $$")).await;
    assert_eq!((ended.how, ended.how.exit_code()), (How::Signal(9), 137));
}

#[tokio::test]
async fn use_of_quotas_is_told_and_is_neither_a_line_nor_the_result() {
    let script = r#"echo '{"n": 7}'; echo '{"quota_use": {"a": 1, "b": 2}}'
        echo '{"quota_use": {"a": 5}, "progress": {"completed": 3}}'; echo '{"quota_use": {"c": -1}}'"#;
    let (lines, ended) = ran(&shell(script)).await;
    assert_eq!(
        lines,
        [r#"{"n": 7}"#, r#"{"quota_use": {"c": -1}}"#],
        "what is wrong stands in the log"
    );
    let used = [("a".to_owned(), 5), ("b".to_owned(), 2)];
    assert_eq!(ended.quota_use.into_iter().collect::<Vec<_>>(), used);
    assert_eq!(ended.progress.and_then(|reading| reading.completed), Some(3));
    let off = Spec { progress: Mode::Off, ..shell(r#"echo '{"quota_use": {"a": 1}}'"#) };
    let (lines, ended) = ran(&off).await;
    assert_eq!((lines.len(), ended.quota_use.len()), (1, 0), "nothing is looked for");
}

#[tokio::test]
async fn a_fast_printer_loses_nothing_when_its_lines_are_taken() {
    let spec = Spec { progress: Mode::Off, ..shell("seq 1 200000") };
    let (lines, ended) = ran(&spec).await;
    assert!(ended.how.is_success());
    assert_eq!(lines.len(), 200_000);
    assert!(lines.iter().enumerate().all(|(at, line)| *line == (at + 1).to_string()));
}

#[tokio::test]
async fn stop_ends_the_whole_tree_also_a_session_of_its_own() {
    let (tasks, clock) = (Tasks::new(), Clock::new());
    let script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$; sleep 300' & ); sleep 300";
    let (process, mut events) = Process::spawn(&shell(script), &tasks, &clock).unwrap();
    let mut inner = None;
    let ended = async {
        loop {
            match events.next().await.expect("an end") {
                Event::Line(line) => {
                    inner = line.text.parse::<i32>().ok();
                    process.stop(Duration::from_millis(100));
                }
                Event::Ended(ended) => return ended,
                _ => {}
            }
        }
    };
    let ended = tokio::time::timeout(SOON, ended).await.expect("it ends");
    assert!(ended.stopped && ended.unkillable == 0, "{ended:?}");
    let inner = rustix::process::Pid::from_raw(inner.unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(inner).is_err(), "it is still there");
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let (lines, ended) = ran(&shell("sleep 300 & echo $!")).await;
    assert_eq!((ended.how, ended.left_behind), (How::Code(0), 1));
    let left = rustix::process::Pid::from_raw(lines[0].parse().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(left).is_err(), "it is still there");
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let start = |program: &str| {
        let started = Process::spawn(&Spec::new(program), &Tasks::new(), &Clock::new());
        started.map(drop).unwrap_err()
    };
    assert!(matches!(start("no-such-program-here"), SpawnError::NotFound(_)));
    let refused = start("/etc/passwd");
    assert!(matches!(refused, SpawnError::NotExecutable(..)), "{refused}");
    assert_eq!((refused.exit_code(), start("no-such").exit_code()), (126, 127));
}
