//! Lines as a terminal shows them.

use proptest::prelude::*;

use super::*;

fn pieces(chunks: &[&[u8]]) -> Vec<(String, End)> {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    let mut take =
        |piece: &[u8], end| found.push((String::from_utf8_lossy(piece).into_owned(), end));
    for chunk in chunks {
        splitter.feed(chunk, &mut take);
    }
    splitter.finish(&mut take);
    found
}

fn line(text: &str) -> (String, End) {
    (text.to_owned(), End::Line)
}

#[test]
fn lines_end_with_lf_or_cr_lf_and_the_last_one_with_the_stream() {
    assert_eq!(pieces(&[b"a\nb\r\n\nc"]), [line("a"), line("b"), line(""), line("c")]);
    assert_eq!(pieces(&[b"a\r", b"\nb"]), [line("a"), line("b")]);
    assert_eq!(pieces(&[b""]), []);
}

#[test]
fn cr_alone_draws_the_line_anew() {
    let redrawn = |text: &str| (text.to_owned(), End::Redraw);
    assert_eq!(pieces(&[b"1%\r2%\r3%\n"]), [redrawn("1%"), redrawn("2%"), line("3%")]);
    let mut splitter = Splitter::default();
    splitter.feed(b"begun", |_, _| {});
    assert_eq!(splitter.drawn(), None, "it may go on");
    splitter.feed(b"\r50%", |_, _| {});
    assert_eq!(splitter.drawn(), Some(&b"50%"[..]));
}

#[test]
fn a_line_that_is_too_long_is_cut_between_characters() {
    let long = "ü".repeat(PROCESS_LINE_BYTES_MAX);
    let found = pieces(&[b"x", long.as_bytes(), b"\n"]);
    assert!(found.len() == 3 && found.iter().all(|(text, _)| !text.contains('\u{fffd}')));
    let whole: String = found.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(whole, format!("x{long}"));
    assert!(found.iter().all(|(text, _)| text.len() <= PROCESS_LINE_BYTES_MAX));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_and_how_they_come_does_not_matter(
        bytes in prop::collection::vec(prop::sample::select(b"ab\r\n\xc3\xbc\x1b".to_vec()), 0..60),
        at in 0usize..60,
    ) {
        let (begin, end) = bytes.split_at(at.min(bytes.len()));
        prop_assert_eq!(pieces(&[&bytes]), pieces(&[begin, end]));
    }
}
