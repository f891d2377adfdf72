//! The work is real: what it says it did is there.

use std::collections::BTreeSet;
use std::io::Read as _;

use serde_json::json;

use super::*;

fn shelf(files: usize) -> (tempfile::TempDir, Arc<Shelf>) {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::make(&folder.path().join("shelf"), files, 2_000).unwrap();
    (folder, Arc::new(shelf))
}

/// Does the work to its end; answers the pieces and what stopped it.
fn through(labour: &mut dyn Labour) -> (Vec<Piece>, Option<Problem>) {
    let mut pieces = Vec::new();
    loop {
        match labour.next() {
            Ok(Some(piece)) => pieces.push(piece),
            Ok(None) => return (pieces, None),
            Err(problem) => return (pieces, Some(problem)),
        }
        assert!(pieces.len() < 10_000, "it does not end");
    }
}

fn items(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.items).sum()
}

/// Runs work that must go well and must do as many items as it said.
fn well(shelf: &Arc<Shelf>, kind: &str, payload: &Value) -> (Vec<Piece>, Value) {
    let mut labour = begin(shelf, kind, payload).unwrap();
    let (pieces, problem) = through(labour.as_mut());
    assert_eq!(problem, None, "{kind}");
    if let Some(total) = labour.total() {
        assert_eq!(items(&pieces), total, "{kind}");
    }
    (pieces, labour.result())
}

#[test]
fn the_same_files_are_made_every_time() {
    let ((_one, one), (_two, two)) = (shelf(3), shelf(3));
    let sums: BTreeSet<_> = (0..3).map(|number| one.sum(number).to_owned()).collect();
    assert_eq!(sums.len(), 3, "each is another");
    assert!((0..3).all(|number| one.sum(number) == two.sum(number)));
}

#[test]
fn a_file_that_changed_does_not_pass_the_check() {
    let (_folder, shelf) = shelf(4);
    let payload = json!({"from": 0, "files": 4});
    well(&shelf, "files.hash", &payload);
    std::fs::write(shelf.path(2), "something else").unwrap();
    let mut labour = begin(&shelf, "files.hash", &payload).unwrap();
    let (pieces, problem) = through(labour.as_mut());
    assert_eq!(items(&pieces), 2);
    assert_eq!(problem.unwrap().code, "CHECKSUM_MISMATCH");
}

#[test]
fn compressed_files_hold_what_was_in_them() {
    let (_folder, shelf) = shelf(3);
    let (_, result) = well(&shelf, "files.compress", &json!({"from": 1, "files": 2}));
    assert!(result["bytes_after"].as_u64() < result["bytes_before"].as_u64());
    let packed = std::fs::File::open(shelf.folder().join("compressed-1/file-0001.txt.gz"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.unwrap()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, shelf.read(1).unwrap());
}

#[test]
fn a_damaged_copy_is_found_and_made_again_by_the_next_attempt() {
    let (_folder, shelf) = shelf(5);
    let payload = json!({"name": "b", "files": 5, "bad_block": 3});
    let mut first = begin(&shelf, "files.backup", &payload).unwrap();
    let (pieces, problem) = through(first.as_mut());
    assert_eq!(items(&pieces), 5 + 3, "it copied all and checked those before");
    let problem = problem.unwrap();
    assert_eq!((problem.code, problem.retry), ("CHECKSUM_MISMATCH", true));
    assert!(problem.message.contains("file-0003.txt"), "{problem}");

    let (pieces, result) = well(&shelf, "files.backup", &payload);
    assert_eq!(result["kept_from_an_earlier_attempt"], 4);
    let steps: BTreeSet<_> = pieces.iter().filter_map(|piece| piece.step).collect();
    assert_eq!(steps.len(), 3);
    let list = std::fs::read_to_string(shelf.folder().join("b/SHA256SUMS")).unwrap();
    assert_eq!(list.lines().count(), 5);
}

#[test]
fn a_backup_does_not_leave_its_folder() {
    let (_folder, shelf) = shelf(1);
    let payload = json!({"name": "../b", "files": 1});
    let problem = begin(&shelf, "files.backup", &payload).err().unwrap();
    assert_eq!((problem.code, problem.retry), ("BAD_PAYLOAD", false));
}

#[test]
fn lines_and_words_are_counted_without_a_total() {
    let (_folder, shelf) = shelf(3);
    let (pieces, result) = well(&shelf, "text.count", &json!({"files": 2}));
    let text: String =
        [0, 1].map(|number| String::from_utf8(shelf.read(number).unwrap()).unwrap()).concat();
    assert_eq!(items(&pieces), text.lines().count() as u64);
    assert_eq!(result["words"], text.split_whitespace().count());
}

#[test]
fn primes_are_found() {
    let (_folder, shelf) = shelf(1);
    let (_, result) = well(&shelf, "primes.search", &json!({"from": 0, "numbers": 1_000}));
    assert_eq!(result, json!({"numbers": 1_000, "primes": 168, "largest": 997}));
}

#[test]
fn a_picture_is_written_when_its_rows_are_done() {
    let (_folder, shelf) = shelf(1);
    well(&shelf, "image.render", &json!({"width": 30, "rows": 20}));
    let picture = std::fs::read(shelf.folder().join("picture-30x20.pgm")).unwrap();
    assert!(picture.starts_with(b"P5\n30 20\n120\n"));
    assert!(picture.len() > 600 && picture.contains(&120), "some points belong to the set");
}

#[test]
fn a_broken_record_fails_for_good() {
    let (_folder, shelf) = shelf(1);
    let mut labour = begin(&shelf, "records.import", &json!({})).unwrap();
    let (pieces, problem) = through(labour.as_mut());
    let problem = problem.unwrap();
    assert_eq!((items(&pieces), problem.code, problem.retry), (16, "BAD_RECORD", false));
    assert!(problem.message.starts_with("record 17"), "{problem}");
}

#[test]
fn a_payload_or_type_that_is_not_known_is_refused() {
    let (_folder, shelf) = shelf(1);
    for (kind, code) in [("files.hash", "BAD_PAYLOAD"), ("nonsense", "UNKNOWN_TYPE")] {
        let problem = begin(&shelf, kind, &json!({"from": "x"})).err().unwrap();
        assert_eq!((problem.code, problem.retry), (code, false));
    }
}
