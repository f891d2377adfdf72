use super::*;
use crate::cli::output::Format;
use crate::cli::output::tests::captured;

#[test]
fn columns_stand_under_each_other_and_never_shrink() {
    let (mut out, written) = captured(Format::Table);
    let mut table = Table::new(&["NAME", ">COUNT", "NOTE"]);
    let row = |cells: [&str; 3]| cells.map(Cell::from).to_vec();
    table.write(&[row(["a", "1", "first"]), row(["longer", "1000", ""])], &mut out).unwrap();
    table.write(&[row(["b", "2", "x\ny"])], &mut out).unwrap();
    assert_eq!(
        written.text(),
        "NAME    COUNT  NOTE\na           1  first\nlonger   1000  -\nb           2  x y\n"
    );
}

#[test]
fn colour_stays_out_of_the_widths_and_of_what_is_no_terminal() {
    let (mut out, written) = captured(Format::Table);
    let mut table = Table::new(&["STATE", "JOB"]);
    let state = Cell::from("FAILED").painted(Some(Paint::Red));
    table.write(&[vec![state, Cell::from("j")]], &mut out).unwrap();
    assert_eq!(written.text(), "STATE   JOB\nFAILED  j\n");
}

fn frame(room: usize) -> Vec<String> {
    let mut table = Table::new(&["JOB", ">COUNT", "QUEUE", "~WHAT"]).spare(&["QUEUE", "COUNT"]);
    let cells = ["12345678", "1,000", "default", "a text that goes on and on and on"];
    table.frame(&[cells.map(Cell::from).to_vec()], room, false)
}

#[test]
fn free_text_is_shortened_first_then_columns_of_little_weight_go() {
    assert_eq!(
        frame(45),
        ["JOB       COUNT  QUEUE    WHAT", "12345678  1,000  default  a text that goes o…"]
    );
    assert_eq!(frame(30), ["JOB       COUNT  WHAT", "12345678  1,000  a text that …"]);
    assert_eq!(frame(22), ["JOB       WHAT", "12345678  a text that…"]);
    // No room for more: what the row is about.
    assert_eq!(frame(10), ["JOB", "12345678"]);
    assert_eq!(frame(5), ["JOB", "1234…"]);
}

#[test]
fn no_line_is_wider_than_the_screen_and_wide_letters_count_twice() {
    for room in 3..60 {
        for line in frame(room) {
            assert!(format::width(&line) <= room, "{room}: {line:?}");
        }
    }
    let mut table = Table::new(&["NAME", "N"]);
    let rows = [["日本", "1"], ["abcd", "2"]].map(|row| row.map(Cell::from).to_vec());
    assert_eq!(table.frame(&rows, 80, false)[1..], ["日本  1", "abcd  2"]);
}

#[test]
fn a_long_name_is_shortened_and_figures_are_shown_whole_or_not_at_all() {
    let name = "a.type/with-a-name-that-goes-on-and-on-and-on";
    for room in 10..120 {
        let mut table =
            Table::new(&["JOB", "<TYPE", ">ITEMS", ">RATE", "~WHAT"]).spare(&["RATE", "ITEMS"]);
        let rows = [
            ["12345678", name, "123456789", "98765/s", "a text that goes on and on"],
            ["87654321", "b", "123456789", "98765/s", "short"],
        ];
        let rows = rows.map(|row| row.map(Cell::from).to_vec());
        for line in table.frame(&rows, room, false) {
            assert!(format::width(&line) <= room, "{room}: {line:?}");
            let figures = line.split_whitespace().filter(|word| word.starts_with(['1', '9']));
            for figure in figures {
                assert!(["12345678", "123456789", "98765/s"].contains(&figure), "{room}: {line:?}");
            }
        }
    }
}

#[test]
fn a_column_that_tells_nothing_goes_before_those_that_do() {
    let mut table = Table::new(&["JOB", ">MAX", ">RATE", "WHY"]).spare(&["MAX", "RATE", "WHY"]);
    let rows = [["12345678", "7", "0", ""], ["87654321", "9", "0", ""]];
    let rows = rows.map(|row| row.map(Cell::from).to_vec());
    assert_eq!(table.frame(&rows, 14, false)[1], "12345678    7");
}
