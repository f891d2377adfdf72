//! Who belongs to a command, among processes that the tests make up.

use super::*;

const ROOT: i32 = 100_000_000;

fn process(pid: i32, parent: i32, group: i32, session: i32) -> Seen {
    Seen { pid, parent, group, session, started: 1, ..Seen::default() }
}

fn us() -> i32 {
    Pid::as_raw(Some(rustix::process::getpid()))
}

fn pids(tree: &mut Tree, all: &[Seen], marked: &[i32]) -> Vec<i32> {
    let members = tree.members(all, |pid| marked.contains(&pid));
    members.iter().map(|seen| seen.pid).collect()
}

#[test]
fn descendants_and_their_groups_belong_to_it_and_nobody_else() {
    let mut tree = Tree::new(ROOT.unsigned_abs(), String::new());
    let all = [
        process(us(), 1, us(), us()),
        process(ROOT, us(), ROOT, 7),
        process(ROOT + 1, ROOT, ROOT, 7),
        // A session of its own.
        process(ROOT + 2, ROOT + 1, ROOT + 2, ROOT + 2),
        // Its parent died, and another is in its group.
        process(ROOT + 3, 1, ROOT + 2, ROOT + 2),
        // Others: a child of ours, and one of nobody.
        process(ROOT + 4, us(), ROOT + 4, ROOT + 4),
        process(ROOT + 5, 1, ROOT + 5, ROOT + 5),
    ];
    assert_eq!(pids(&mut tree, &all, &[]), [ROOT, ROOT + 1, ROOT + 2, ROOT + 3]);
}

#[test]
fn orphans_are_known_by_what_was_seen_by_their_group_or_by_their_mark() {
    let mut tree = Tree::new(ROOT.unsigned_abs(), String::new());
    let before = [process(ROOT, us(), ROOT, 7), process(ROOT + 1, ROOT, ROOT, 7)];
    assert_eq!(pids(&mut tree, &before, &[]).len(), 2);
    tree.root_is_gone();
    let after = [
        process(ROOT + 1, us(), ROOT, 7),
        // Never seen, in the group of the tree.
        process(ROOT + 2, us(), ROOT, 7),
        // Never seen, away from it, with the mark; and one without.
        process(ROOT + 3, us(), ROOT + 3, ROOT + 3),
        process(ROOT + 4, us(), ROOT + 4, ROOT + 4),
    ];
    assert_eq!(pids(&mut tree, &after, &[ROOT + 3]), [ROOT + 1, ROOT + 2, ROOT + 3]);
}

#[test]
fn an_id_that_is_used_again_is_another_process() {
    let mut tree = Tree::new(ROOT.unsigned_abs(), String::new());
    let before = [process(ROOT, us(), ROOT, 7), process(ROOT + 1, ROOT, ROOT + 1, ROOT + 1)];
    assert_eq!(pids(&mut tree, &before, &[]).len(), 2);
    tree.root_is_gone();
    let another = Seen { started: 2, ..process(ROOT + 1, 1, ROOT + 9, ROOT + 9) };
    assert_eq!(pids(&mut tree, &[another], &[]), [0; 0]);
}

#[test]
fn our_own_group_and_session_make_nobody_a_member_also_when_their_leaders_are_out_of_sight() {
    // 0 is what a process in a container is told of a leader outside of it.
    for (group, session) in [(us(), 7), (0, 0)] {
        let mut tree = Tree::new(ROOT.unsigned_abs(), String::new());
        let all = [
            process(us(), 0, group, session),
            process(ROOT, us(), ROOT, session),
            process(ROOT + 1, ROOT, group, session),
            process(ROOT + 2, 1, group, session),
        ];
        assert_eq!(pids(&mut tree, &all, &[]), [ROOT, ROOT + 1]);
    }
}
