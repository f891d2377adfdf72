use std::sync::Arc;

use uuid::Uuid;

use super::*;

fn ids(numbers: std::ops::Range<u128>) -> Vec<JobId> {
    numbers.map(|number| JobId(Uuid::from_u128(number))).collect()
}

fn corrupt() -> Error {
    let source = Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("spoilt"));
    Error::Store(crate::store::Error::Corrupt { what: "jobs.spec", source })
}

/// Of jobs that nobody has, but for these, which nobody can read: those found, and in how many reads.
fn found(asked: &[JobId], spoilt: &[JobId]) -> (Vec<JobId>, usize) {
    let (mut halves, mut reads) = (Halves::of(asked), 0);
    while let Some(some) = halves.open.pop() {
        reads += 1;
        let is_spoilt = some.iter().any(|id| spoilt.contains(id));
        let answer = if is_spoilt { Err(corrupt()) } else { Ok(Vec::new()) };
        halves.take(some, answer).unwrap();
    }
    assert!(halves.found.jobs.is_empty());
    let mut unread: Vec<JobId> = halves.found.unread.into_iter().map(|(id, _)| id).collect();
    unread.sort();
    (unread, reads)
}

#[test]
fn a_job_that_cannot_be_read_is_found_among_many_in_few_reads() {
    let all = ids(0..1_000);
    assert_eq!(found(&all, &[]), (Vec::new(), 1));
    assert_eq!(found(&[], &[]), (Vec::new(), 1));
    let (unread, reads) = found(&all, &ids(613..614));
    assert_eq!(unread, ids(613..614));
    assert!(reads <= 21, "{reads} reads");
    let some = [ids(0..1), ids(499..501), ids(999..1_000)].concat();
    let (unread, reads) = found(&all, &some);
    assert_eq!(unread, some);
    assert!(reads <= 80, "{reads} reads");
    assert_eq!(found(&ids(0..4), &ids(0..4)), (ids(0..4), 7));
}

#[test]
fn any_other_error_ends_it() {
    let ids = ids(0..2);
    let mut halves = Halves::of(&ids);
    let some = halves.open.pop().unwrap();
    assert!(halves.take(some, Err(Error::Overloaded)).is_err());
    // Of nobody nothing is there to be halved.
    assert!(halves.take(&[], Err(corrupt())).is_err());
}
