//! What the keys do.

use super::super::listing::Pane;
use super::super::screen::Mode;
use super::*;

#[test]
fn the_cursor_moves_and_stays_on_its_job() {
    let mut bench = Bench::busy(80, 24);
    let on = |bench: &Bench| bench.screen.job(&bench.screen.sight(now())).unwrap();
    assert_eq!(on(&bench), id(1), "the jobs come first");
    bench.types("j");
    assert_eq!(on(&bench), id(2));
    // By type, backup comes first; the cursor goes with it.
    bench.types("ssss");
    assert!(bench.text().contains("by type"));
    assert_eq!(on(&bench), id(2));
    bench.types("k");
    assert_eq!(on(&bench), id(2), "it is the first");
    bench.types("G");
    assert_eq!(on(&bench), id(1));
    bench.types("jjj");
    assert_eq!(on(&bench), id(1), "it is the last");
    // When its job is gone, it is on what took its place.
    bench.sees([Seen::Removed { job_id: id(1), deleted: true, job: None }]);
    assert_eq!(on(&bench), id(3));
}

#[test]
fn tab_goes_around_the_panes() {
    let mut bench = Bench::busy(80, 24);
    let mut panes = Vec::new();
    for _ in 0..4 {
        bench.press(KeyCode::Tab);
        panes.push(bench.screen.pane);
    }
    assert_eq!(panes, [Pane::Failures, Pane::Queues, Pane::Workers, Pane::Jobs]);
    bench.press(KeyCode::BackTab);
    assert_eq!(bench.screen.pane, Pane::Workers);
    assert!(bench.text().contains("▸Workers"));
    assert_eq!(bench.types("c"), None);
    assert!(bench.text().contains("no job is selected"));
}

#[test]
fn a_cancel_asks_why_and_can_be_left() {
    let mut bench = Bench::busy(80, 24);
    assert_eq!(bench.types("c"), None);
    assert!(bench.text().contains("Cancel job 00000001  resize"), "{}", bench.text());
    // Letters that are keys elsewhere are letters here.
    assert_eq!(bench.types("q stuck"), None);
    bench.press(KeyCode::Backspace);
    assert!(bench.line("Reason:").contains("q stuc"));
    assert_eq!(bench.press(KeyCode::Esc), None);
    assert!(!bench.text().contains("Reason:"));
    bench.types("cno");
    bench.happens(Event::Pasted(" longer\n needed".to_owned()));
    let order = bench.press(KeyCode::Enter);
    let reason = "no longer needed".to_owned();
    assert_eq!(order, Some(Order::Cancel { job_id: id(1), reason }));
    bench.happens(Event::Answered { text: "asked 00000001 to stop".to_owned(), done: true });
    assert!(bench.lines()[23].contains("asked 00000001 to stop"));
}

#[test]
fn a_reason_ends_where_the_server_would_refuse_it() {
    let mut bench = Bench::busy(80, 24);
    bench.types("c");
    bench.happens(Event::Pasted("𝄞".repeat(5_000)));
    let Some(Order::Cancel { reason, .. }) = bench.press(KeyCode::Enter) else {
        panic!("no order");
    };
    assert_eq!(reason.len(), 1_024);
}

#[test]
fn the_job_that_was_asked_about_is_the_one_that_is_cancelled() {
    let mut bench = Bench::busy(80, 24);
    bench.types("c");
    bench.sees([Seen::Removed { job_id: id(1), deleted: true, job: None }]);
    let order = bench.press(KeyCode::Enter);
    assert_eq!(order, Some(Order::Cancel { job_id: id(1), reason: String::new() }));
}

#[test]
fn a_failure_is_retried() {
    let mut bench = Bench::busy(80, 24);
    bench.press(KeyCode::Tab);
    assert_eq!(bench.types("r"), Some(Order::Retry { job_id: id(91) }));
    assert!(bench.text().contains("asking to retry 00000091"));
    let text = "cannot retry job 00000091: it is gone".to_owned();
    bench.happens(Event::Answered { text, done: false });
    assert!(bench.text().contains("it is gone"));
}

#[test]
fn a_log_opens_and_closes() {
    let mut bench = Bench::busy(80, 24);
    assert_eq!(bench.press(KeyCode::Enter), Some(Order::Follow(Some(id(1)))));
    assert!(bench.text().contains(&format!("Log of {}", id(1))));
    assert_eq!(bench.press(KeyCode::Esc), Some(Order::Follow(None)));
    assert!(bench.text().contains("Jobs 3"));
    bench.types("l");
    assert_eq!(bench.types("q"), Some(Order::Quit));
}

#[test]
fn a_filter_narrows_every_pane_as_it_is_typed() {
    let mut bench = Bench::busy(80, 24);
    bench.types("/MAIL");
    let text = bench.text();
    assert!(text.contains("Jobs 1 of 3") && text.contains("Queues 1 of 2"), "{text}");
    assert!(text.contains("Failures 0 of 1") && text.contains("Workers 0 of 2"), "{text}");
    assert!(bench.lines()[23].starts_with("/MAIL"));
    bench.press(KeyCode::Enter);
    assert!(bench.text().contains("with \"MAIL\"") && bench.lines()[23].starts_with("Tab"));
    assert_eq!(bench.types("l"), Some(Order::Follow(Some(id(3)))), "the first that is shown");
    bench.press(KeyCode::Esc);
    bench.press(KeyCode::Esc);
    assert!(bench.text().contains("Jobs 3,"));
    bench.types("/nothing like it");
    assert!(bench.text().contains("nothing matches the filter"));
    bench.control('u');
    assert!(bench.text().contains("Jobs 3,"));
}

#[test]
fn jobs_are_sorted_as_the_title_says() {
    let mut bench = Bench::busy(80, 24);
    let first = |bench: &mut Bench| {
        let lines = bench.lines();
        let title = lines.iter().position(|line| line.contains("Jobs 3")).unwrap();
        lines[title + 2].split_whitespace().nth(1).unwrap().to_owned()
    };
    let mut seen = Vec::new();
    for _ in 0..5 {
        let by = bench.line("Jobs 3");
        let by = by.split("by ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        seen.push((by, first(&mut bench)));
        bench.types("s");
    }
    let pairs = seen.iter().map(|(by, first)| (by.as_str(), first.as_str()));
    let wanted = [
        ("start", "resize"),
        ("progress", "mail"),
        ("rate", "resize"),
        ("ETA", "mail"),
        ("type", "backup"),
    ];
    assert_eq!(pairs.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_pause_holds_the_picture_and_not_the_news() {
    let mut bench = Bench::busy(80, 24);
    bench.types("p");
    bench.sees([Seen::Upsert(vec![running(1, "resize", 90)])]);
    assert!(bench.text().contains("25/100") && bench.lines()[0].ends_with("PAUSED: p goes on"));
    bench.types("p");
    assert!(bench.text().contains("90/100") && bench.lines()[0].ends_with("live"));
}

#[test]
fn help_lists_the_keys_and_goes_with_any() {
    let mut bench = Bench::busy(80, 24);
    bench.types("?");
    let text = bench.text();
    for (_, does) in super::super::keys::HELP {
        assert!(text.contains(does), "{does}\n{text}");
    }
    assert_eq!(bench.types("x"), None);
    assert!(matches!(bench.screen.mode, Mode::Look));
}

#[test]
fn there_is_a_way_out_of_everything() {
    for open in ["", "?", "/x", "c", "l", "p"] {
        let mut bench = Bench::busy(80, 24);
        bench.types(open);
        assert_eq!(bench.control('c'), Some(Order::Quit), "{open:?}");
    }
    assert_eq!(Bench::busy(80, 24).types("q"), Some(Order::Quit));
    assert_eq!(Bench::busy(80, 24).control('z'), Some(Order::Suspend));
    assert_eq!(Bench::busy(80, 24).control('l'), Some(Order::Redraw));
}

#[test]
fn a_list_longer_than_the_screen_scrolls_with_the_cursor() {
    let mut bench = Bench::empty(80, 24);
    let jobs = (1..=50).map(|number| running(number, &format!("t{number:02}"), 1));
    bench.sees([Seen::Upsert(jobs.collect()), Seen::Complete]);
    assert!(bench.text().contains("t01") && !bench.text().contains("t50"));
    bench.types("G");
    assert!(bench.text().contains("t50") && !bench.text().contains("t01"));
    for _ in 0..3 {
        bench.press(KeyCode::PageUp);
    }
    assert!(bench.text().contains("t20"));
    bench.types("g");
    assert!(bench.text().contains("t01"));
}
