//! What the system tells.

use super::*;

/// This process.
fn us() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_proc_is_read_whatever_the_name_of_the_program() {
    let units = linux::Units { ticks_per_second: 100, page_bytes: 4096 };
    let line =
        b"42 (a) b (c)) S 7 40 39 0 -1 4194304 1 0 0 0 150 50 25 25 20 0 1 0 777 1000 3 0 0\n";
    let seen = linux::seen(line, &units).unwrap();
    assert_eq!((seen.pid, seen.parent, seen.group, seen.session), (42, 7, 40, 39));
    assert_eq!((seen.started, seen.zombie), (777, false));
    assert_eq!((seen.cpu, seen.memory_bytes), (Duration::from_millis(2500), 3 * 4096));
    for wrong in [&b""[..], b"42 (a", b"42 (a) S 7", b"x (a) S 7 40 39"] {
        assert!(linux::seen(wrong, &units).is_none());
    }
}

#[test]
fn this_process_is_seen() {
    let all = processes().unwrap();
    let own = all.iter().find(|seen| seen.pid == us()).unwrap();
    assert!(own.memory_bytes > 0 && !own.zombie && own.started > 0);
    assert!(carries(us(), "PATH", &std::env::var("PATH").unwrap()));
    assert!(!carries(us(), "PATH", "elsewhere"));
}

#[test]
fn what_other_systems_use_sees_it_too() {
    let all = portable::processes().unwrap();
    let own = all.iter().find(|seen| seen.pid == us()).unwrap();
    let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
    assert!(own.memory_bytes > 0 && !own.zombie && own.parent == parent);
    assert!(portable::carries(us(), "PATH", &std::env::var("PATH").unwrap()));
    assert!(!portable::carries(us(), "PATH", "elsewhere"));
}
