//! Output to memory, for this test and others.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// What was written.
#[derive(Clone, Default)]
pub struct Written(Rc<RefCell<Vec<u8>>>);

impl Written {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output into memory, not a terminal.
pub fn captured(format: Format) -> (Out, Written) {
    captured_as(match format {
        Format::Table => Choice::Table,
        Format::Json => Choice::Json,
        Format::Jsonl => Choice::Jsonl,
    })
}

/// As [`captured`], as the command line says.
pub fn captured_as(choice: Choice) -> (Out, Written) {
    let written = Written::default();
    let sink = Box::new(written.clone());
    (Out { choice, terminal: false, colour: false, drawn: false, sink, notes: None }, written)
}

/// A sink that takes nothing.
struct Gone(io::ErrorKind);

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that cannot be written, and the notes beside it.
pub fn gone(why: io::ErrorKind) -> (Out, Rc<RefCell<Vec<String>>>) {
    let notes = Rc::new(RefCell::new(Vec::new()));
    let noted = notes.clone();
    let out = Out {
        choice: Choice::Table,
        terminal: false,
        colour: false,
        drawn: false,
        sink: Box::new(Gone(why)),
        notes: Some(Box::new(move |note| noted.borrow_mut().push(note.to_owned()))),
    };
    (out, notes)
}

#[test]
fn a_reader_that_left_ends_the_command_quietly() {
    let (mut out, _) = gone(io::ErrorKind::BrokenPipe);
    let failure = out.line("more").unwrap_err();
    assert!(matches!(failure, Failure::Closed));
    assert_eq!(failure.exit(), crate::cli::exit::Exit::Ok);
    assert!(failure.lines().is_empty());
}

#[test]
fn a_note_is_told_beside_an_answer_that_cannot_be_written() {
    let (mut out, notes) = gone(io::ErrorKind::StorageFull);
    out.drawn = true;
    assert!(matches!(out.note("half of it is done"), Err(Failure::Output(_))));
    assert_eq!(*notes.borrow(), ["half of it is done"]);
}

#[test]
fn a_drawn_line_is_cleared_before_the_next_whole_one() {
    let (mut out, written) = captured(Format::Table);
    out.draw("40%").unwrap();
    out.line("done").unwrap();
    assert_eq!(written.text(), "\r\x1b[?7l40%\x1b[K\x1b[?7h\r\x1b[Kdone\n");
}

#[test]
fn jsonl_is_one_line_and_json_many() {
    let value = serde_json::json!({"a": 1});
    let (mut out, written) = captured(Format::Jsonl);
    out.value(&value).unwrap();
    assert_eq!(written.text(), "{\"a\":1}\n");
    let (mut out, written) = captured(Format::Json);
    out.value(&value).unwrap();
    assert_eq!(written.text(), "{\n  \"a\": 1\n}\n");
}
