//! What is on the screen, at each size.

use ratatui::style::{Color, Modifier};

use super::super::tail::News;
use super::*;
use crate::proto::v1::{LogEntry, LogGap};

#[test]
fn everything_is_on_a_screen_of_80_by_24() {
    let mut bench = Bench::busy(80, 24);
    let lines = bench.lines();
    assert!(
        lines[0].starts_with("jobplane 9.9.9  http://h:1  sqlite 2.0 MiB  up 1h 1m"),
        "{lines:#?}"
    );
    assert!(lines[0].ends_with("live"), "{lines:#?}");
    assert_eq!(
        lines[1],
        "running 3  waiting 12  │ 1 min: new 7  ok 5  failed 1  │ workers 2  slots 3/8"
    );
    let at = |wanted: &str| lines.iter().position(|line| line.contains(wanted)).unwrap();
    assert!(at("Queues 2") < at("Jobs 3, by start") && at("Jobs 3, by start") < at("Failures 1"));
    assert!(lines[at("default")].contains("10") && lines[at("default")].contains("1m 1s"));
    assert!(lines[at("w-1")].contains("3/4 ONLINE"), "{}", lines[at("w-1")]);
    assert!(lines[at("w-2")].contains("LOST"));
    let job = &lines[at("resize")];
    assert_eq!(
        job.trim_end(),
        "00000001 resize               ███·········       25/100 (25.0 %)     18s  1m 39s"
    );
    assert!(lines[at("E_TEST")].contains("import") && lines[at("E_TEST")].contains("30s ago"));
    assert!(lines[23].starts_with("Tab pane") && lines[23].ends_with("q quit"), "{}", lines[23]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_wide_screen_shows_more_of_a_job() {
    let mut bench = Bench::busy(160, 40);
    let job = bench.line("resize");
    assert!(job.contains("w-1") && job.contains("a message"), "{job}");
}

#[test]
fn bars_move_as_the_jobs_do() {
    let mut bench = Bench::busy(80, 24);
    bench.sees([Seen::Upsert(vec![running(1, "resize", 90)])]);
    let job = bench.line("resize");
    assert!(job.contains("90/100 (90.0 %)") && job.contains("██████████▊·"), "{job}");
    let mut over = running(1, "resize", 100);
    over.status.as_mut().unwrap().set_state(JobState::Succeeded);
    over.status.as_mut().unwrap().revision = 1_000;
    let job = Some(Box::new(over));
    bench.sees([Seen::Removed { job_id: id(1), deleted: false, job }]);
    assert!(!bench.text().contains("resize"));
    assert!(bench.text().contains("Jobs 2"));
}

#[test]
fn a_job_that_fails_moves_to_the_failures_and_back_when_it_runs_again() {
    let mut bench = Bench::busy(80, 24);
    let job = failed(2, "backup", 1, "no space left");
    let removed = Seen::Removed { job_id: id(2), deleted: false, job: Some(Box::new(job.clone())) };
    bench.sees([removed]);
    assert!(bench.line("no space left").contains("backup"));
    assert!(bench.text().contains("Jobs 2") && bench.text().contains("Failures 2"));
    let mut again = running(2, "backup", 1);
    again.status.as_mut().unwrap().revision = 2_000;
    bench.sees([Seen::Upsert(vec![again])]);
    assert!(!bench.text().contains("no space left"));
    // An answer that was on its way knows the old state still.
    let mut figures = figures();
    figures.failed.push(job);
    bench.happens(Event::Polled(Box::new(figures)));
    assert!(!bench.text().contains("no space left"));
}

#[test]
fn too_small_a_window_says_what_it_needs() {
    for (width, height) in [(59, 24), (80, 15), (20, 4), (1, 1)] {
        let mut bench = Bench::busy(width, height);
        let text = bench.text();
        assert!(!text.contains("Queues"), "{text}");
        if width >= 20 {
            assert!(text.starts_with("Too small"), "{text}");
        }
    }
    assert!(Bench::busy(60, 16).text().contains("Jobs 3"));
}

#[test]
fn no_size_and_no_mode_makes_it_break() {
    for width in [60, 80, 101, 250] {
        for height in [16, 24, 50] {
            for open in ["", "?", "/x", "c", "l", "sss", "p", "j"] {
                let mut bench = Bench::busy(width, height);
                bench.types(open);
                assert_eq!(bench.lines().len(), usize::from(height));
            }
        }
    }
}

#[test]
fn a_lost_server_is_told_until_it_is_back() {
    let mut bench = Bench::busy(80, 24);
    let pause = std::time::Duration::from_secs(1);
    bench.sees([Seen::Lost { cause: "connection refused".to_owned(), pause }]);
    assert!(bench.lines()[0].ends_with("LOST (connection refused), trying again"));
    assert!(bench.text().contains("resize"), "what was known stays");
    bench.sees([Seen::Bookmark]);
    assert!(bench.lines()[0].ends_with("live"));
    bench.happens(Event::PollFailed("no answer".to_owned()));
    assert!(bench.lines()[0].ends_with("LOST (no answer), trying again"));
    bench.happens(Event::Polled(Box::new(figures())));
    assert!(bench.lines()[0].ends_with("live"));
}

#[test]
fn an_empty_server_says_so() {
    let mut bench = Bench::empty(80, 24);
    assert!(bench.text().contains("connecting") && bench.text().contains("waiting for the server"));
    bench.sees([Seen::Complete]);
    bench.happens(Event::Polled(Box::default()));
    for said in ["nothing runs", "no queue yet", "no worker is attached", "nothing failed"] {
        assert!(bench.text().contains(said), "{said}\n{}", bench.text());
    }
}

#[test]
fn text_from_afar_cannot_steer_the_terminal() {
    let evil = "\x1b[2J\x1b]0;title\x07\u{202e}\r\nx";
    let mut bench = Bench::empty(120, 40);
    let mut job = running(1, evil, 10);
    job.status.as_mut().unwrap().worker_id = evil.to_owned();
    job.status.as_mut().unwrap().progress.as_mut().unwrap().message = evil.to_owned();
    bench.sees([Seen::Upsert(vec![job]), Seen::Complete]);
    let mut figures = figures();
    figures.queues = vec![queue(evil, 1, 1)];
    figures.workers[0].worker_id = evil.to_owned();
    figures.failed = vec![failed(2, evil, 1, evil)];
    figures.info.version = evil.to_owned();
    bench.happens(Event::Polled(Box::new(figures)));
    let clean =
        |text: &str| !text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}'));
    assert!(clean(&bench.text()), "{}", bench.text());
    bench.types("l");
    let entry = LogEntry { message: evil.to_owned(), step: evil.to_owned(), ..LogEntry::default() };
    bench.happens(Event::Tail(id(1), News::Lines(vec![entry], Vec::new())));
    bench.happens(Event::Tail(id(1), News::Trouble(evil.to_owned())));
    assert!(clean(&bench.text()), "{}", bench.text());
}

#[test]
fn without_colour_no_cell_has_one() {
    let mut bench = Bench::busy(100, 30);
    bench.lines();
    let plain = |bench: &Bench| {
        let cells = bench.terminal.backend().buffer().content();
        cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    };
    assert!(plain(&bench));
    let reversed = bench.terminal.backend().buffer().content().iter();
    let reversed = reversed.filter(|cell| cell.modifier.contains(Modifier::REVERSED));
    assert!(reversed.count() > 50, "the cursor can be seen all the same");
    let screen = &bench.screen;
    bench.terminal.draw(|frame| draw(frame, screen, Theme { colour: true }, now())).unwrap();
    assert!(!plain(&bench));
}

#[test]
fn a_log_shows_its_newest_lines_and_how_far_the_job_is() {
    let mut bench = Bench::busy(80, 24);
    bench.types("l");
    assert!(bench.text().contains("asking …"));
    bench.happens(Event::Tail(id(1), News::Job(Box::new(running(1, "resize", 25)))));
    let line = |number: i64| LogEntry {
        sequence: number,
        time: Some(ago(0)),
        message: format!("line {number}"),
        ..LogEntry::default()
    };
    bench.happens(Event::Tail(id(1), News::Lines((1..=100).map(line).collect(), Vec::new())));
    let text = bench.text();
    assert!(text.contains("resize RUNNING ██████··") && text.contains("line 100"), "{text}");
    assert!(!text.contains("line 50"));
    bench.press(KeyCode::PageUp);
    assert!(!bench.text().contains("line 100") && bench.text().contains("line 90"));
    // A reader who went up stays where he is.
    let gap = LogGap { dropped: 7, ..LogGap::default() };
    bench.happens(Event::Tail(id(1), News::Lines(vec![line(101)], vec![gap])));
    assert!(!bench.text().contains("line 91") && bench.text().contains("line 90"));
    bench.press(KeyCode::Home);
    assert!(bench.text().contains("7 earlier lines are not here"), "{}", bench.text());
    assert!(bench.text().contains("line 1"));
    bench.press(KeyCode::End);
    assert!(bench.text().contains("line 101"));
    bench.happens(Event::Tail(id(1), News::Over));
    assert!(bench.text().contains("the job is over"));
    // Lines of another job that was open before are none of this one's.
    bench.happens(Event::Tail(id(2), News::Lines(vec![line(555)], Vec::new())));
    assert!(!bench.text().contains("555"));
}

#[test]
fn a_long_line_of_a_log_goes_on_below() {
    let mut bench = Bench::busy(60, 16);
    bench.types("l");
    let message = "0123456789".repeat(9);
    let entry = LogEntry { message, time: Some(ago(0)), ..LogEntry::default() };
    bench.happens(Event::Tail(id(1), News::Lines(vec![entry], Vec::new())));
    let text = bench.text();
    let parts = text.lines().skip(4).take(3).map(|line| line.get(17..).unwrap_or_default());
    assert_eq!(parts.collect::<String>().trim_end(), "0123456789".repeat(9), "{text}");
    assert!(text.contains("08:00:00 INFO    0123"), "{text}");
}
