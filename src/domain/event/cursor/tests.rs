//! Whoever reads on by a cursor reads each event once, whenever its commit becomes visible.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Commits by their numbers: how many events each has, and when it becomes visible.
#[derive(Debug, Clone)]
struct History {
    commits: Vec<(i64, u32)>,
}

impl History {
    /// What can be seen at a moment, if as many transactions have begun as moments have passed.
    fn position(&self, now: u32) -> Position {
        let begun = u64::from(now).min(self.commits.len() as u64);
        let commits = self.commits.iter().zip(0..begun);
        let under_way = commits.filter(|((_, over), _)| *over > now).map(|(_, number)| number);
        Position::snapshot(begun, under_way.collect())
    }

    /// Rows that can be seen at that place, in the order in which stores walk them.
    fn rows(&self, now: &Position) -> Vec<(u64, i64)> {
        let commits = self.commits.iter().zip(0_u64..);
        let visible = commits.filter(|(_, number)| now.covers(&Position::Transaction(*number)));
        visible
            .flat_map(|((events, _), number)| (0..*events).map(move |row| (number, row + 1)))
            .collect()
    }
}

/// Reads a page as a store does.
fn page(history: &History, cursor: Cursor, now: u32, limit: usize) -> (Vec<(u64, i64)>, Cursor) {
    let position = history.position(now);
    let mut read = Vec::new();
    let mut cursor = cursor;
    if let Some((transaction, last)) = cursor.within {
        let all = history.rows(&position).into_iter();
        let rest: Vec<_> = all.filter(|(of, row)| *of == transaction && *row > last).collect();
        if rest.len() > limit {
            read.extend(rest.into_iter().take(limit));
            cursor.within = read.last().copied();
            return (read, cursor);
        }
        read.extend(rest);
        cursor = cursor.finished();
    }
    let room = limit - read.len();
    let is_new = |(of, _): &(u64, i64)| !cursor.seen.covers(&Position::Transaction(*of));
    let new: Vec<_> = history.rows(&position).into_iter().filter(is_new).collect();
    if new.len() <= room {
        read.extend(new);
        return (read, Cursor::at(position));
    }
    match room.checked_sub(1) {
        Some(last) => {
            cursor = cursor.cut(&position, new[last]);
            read.extend(new.into_iter().take(room));
            (read, cursor)
        }
        None => (read, cursor),
    }
}

proptest! {
    #[test]
    fn each_event_is_read_once(
        commits in prop::collection::vec((0..4_i64, 0..12_u32), 1..25),
        pages in prop::collection::vec((1..4_usize, 0..4_u32), 1..30),
    ) {
        let commits = commits.into_iter().zip(0_u32..);
        // A transaction is over after it began.
        let commits = commits.map(|((events, takes), begin)| (events, begin + 1 + takes)).collect();
        let history = History { commits };
        let mut cursor = Cursor::at(Position::snapshot(0, Vec::new()));
        let (mut now, mut read) = (0, Vec::new());
        for (limit, wait) in pages.into_iter().chain(std::iter::repeat_n((3, 9), 60)) {
            now += wait;
            let (rows, next) = page(&history, cursor, now, limit);
            prop_assert_eq!(Cursor::from_bytes(&next.to_bytes()), Some(next.clone()));
            read.extend(rows);
            cursor = next;
        }
        let once: BTreeSet<_> = read.iter().copied().collect();
        prop_assert_eq!(once.len(), read.len(), "read twice: {:?}", read);
        let all = history.rows(&history.position(now));
        prop_assert_eq!(once.into_iter().collect::<Vec<_>>(), all);
    }
}

#[test]
fn where_commits_are_in_line_a_row_is_the_place() {
    let cursor = Cursor::at(Position::Sequence(0)).cut(&Position::Sequence(9), (0, 5));
    assert_eq!(cursor, Cursor::at(Position::Sequence(5)));
    assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Some(cursor.clone()));
    assert_eq!(cursor.clone().finished(), cursor);
}

#[test]
fn what_was_not_made_here_is_no_cursor() {
    let snapshot = Position::snapshot(9, vec![4]);
    let of = |seen: &Position, within| Cursor { seen: seen.clone(), within }.to_bytes();
    for wrong in [
        Vec::new(),
        vec![7],
        of(&Position::Transaction(3), None),
        of(&Position::Sequence(3), Some((1, 1))),
        // That commit was read whole.
        of(&snapshot, Some((3, 1))),
        of(&snapshot, None)[..5].to_vec(),
    ] {
        assert_eq!(Cursor::from_bytes(&wrong), None, "{wrong:?}");
    }
    for right in [of(&snapshot, None), of(&snapshot, Some((4, 1))), of(&snapshot, Some((9, 1)))] {
        assert!(Cursor::from_bytes(&right).is_some());
    }
}
