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
