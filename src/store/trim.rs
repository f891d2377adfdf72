//! Which rows of a log may go.

/// The rows that lie wholly between the first and the last lines of a lease's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Middle {
    /// The place of the first of them: it stays and tells what is gone.
    pub first: i64,
    /// The place of the last of them.
    pub last: i64,
    /// Lines that go.
    pub going: i64,
    /// Lines that went before.
    pub gone: i64,
}

impl Middle {
    /// Of rows (place, lines, lines already gone) in order; none if no line would go.
    pub(super) fn of(sizes: &[(i64, i64, i64)], head: u64, tail: u64) -> Option<Self> {
        let bound = |lines: u64| i64::try_from(lines).unwrap_or(i64::MAX);
        let (head, tail) = (bound(head), bound(tail));
        let total: i64 = sizes.iter().map(|(_, lines, dropped)| lines + dropped).sum();
        let mut before = 0;
        let mut found: Option<Self> = None;
        for (position, lines, dropped) in sizes {
            let after = total - before - lines - dropped;
            if before >= head && after >= tail {
                let first = found.map_or(*position, |found| found.first);
                let (going, gone) = found.map_or((0, 0), |found| (found.going, found.gone));
                let (going, gone) = (going + lines, gone + dropped);
                found = Some(Self { first, last: *position, going, gone });
            }
            before += lines + dropped;
        }
        found.filter(|found| found.going > 0)
    }
}
