//! Which processes belong to a command, and signals to all of them.

use std::collections::{HashMap, HashSet};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::MARK;
use super::scan::{self, Seen};

#[cfg(test)]
mod tests;

/// The processes of one command.
///
/// A process belongs to it if it is the command, was seen in the tree before, has its parent in the tree, shares the
/// process group or session of one in the tree, or became our child (its parent died) and either comes from a group of
/// the tree or carries its mark.
pub(super) struct Tree {
    root: i32,
    mark: String,
    /// This process, whose group and session are never the tree's.
    us: i32,
    /// Who was seen, with the moment of its start: ids are used again.
    known: HashMap<i32, u64>,
    /// Groups and sessions that processes of the tree were seen in.
    groups: HashSet<i32>,
    /// The command was waited for: whatever has its id now is another.
    root_gone: bool,
}

impl Tree {
    pub(super) fn new(root: u32, mark: String) -> Self {
        let us = Pid::as_raw(Some(rustix::process::getpid()));
        let root = i32::try_from(root).unwrap_or(0);
        Self { root, mark, us, known: HashMap::new(), groups: HashSet::new(), root_gone: false }
    }

    /// The command itself ended and was waited for.
    pub(super) fn root_is_gone(&mut self) {
        self.root_gone = true;
        self.known.remove(&self.root);
    }

    /// Looks at the machine: the processes of the tree, those too that ended and wait for their parent.
    pub(super) fn look(&mut self) -> Vec<Seen> {
        let all = scan::processes().unwrap_or_default();
        let mark = self.mark.clone();
        self.members(&all, |pid| scan::carries(pid, MARK, &mark))
    }

    /// The processes of the tree among all; `carries` tells whether one has the mark.
    pub(super) fn members(&mut self, all: &[Seen], carries: impl Fn(i32) -> bool) -> Vec<Seen> {
        // In a container their leaders may be outside of it: then both are 0, which is no group.
        let ours = all.iter().find(|seen| seen.pid == self.us);
        let ours = ours.map_or([0, 0], |us| [us.group, us.session]);
        let mut inside: HashSet<i32> = HashSet::new();
        for seen in all.iter().filter(|seen| seen.pid != self.us) {
            let is_root = seen.pid == self.root && !self.root_gone;
            let is_known = self.known.get(&seen.pid) == Some(&seen.started);
            if is_root || is_known || self.is_adopted(seen, &carries) {
                inside.insert(seen.pid);
            }
        }
        // A group or a session that one of the tree is in now is no other's.
        loop {
            let groups: HashSet<i32> = all
                .iter()
                .filter(|seen| inside.contains(&seen.pid))
                .flat_map(|seen| [seen.group, seen.session])
                .filter(|group| *group > 0 && !ours.contains(group))
                .collect();
            let before = inside.len();
            for seen in all.iter().filter(|seen| seen.pid != self.us) {
                let belongs = inside.contains(&seen.parent)
                    || groups.contains(&seen.group)
                    || groups.contains(&seen.session);
                if belongs {
                    inside.insert(seen.pid);
                }
            }
            if inside.len() == before {
                self.groups.extend(groups);
                break;
            }
        }
        let members: Vec<Seen> =
            all.iter().filter(|seen| inside.contains(&seen.pid)).copied().collect();
        self.known = members.iter().map(|seen| (seen.pid, seen.started)).collect();
        members
    }

    /// Ends of orphans that only we can take notice of; answers what these used of the processor.
    pub(super) fn reap(&self, members: &[Seen]) -> std::time::Duration {
        let ours = members.iter().filter(|seen| {
            seen.zombie && seen.parent == self.us && (seen.pid != self.root || self.root_gone)
        });
        ours.map(|seen| {
            scan::reap(seen.pid);
            seen.cpu
        })
        .sum()
    }

    /// A child of ours whose parent died. Init's children are ours where the system has no subreapers.
    fn is_adopted(&self, seen: &Seen, carries: &impl Fn(i32) -> bool) -> bool {
        let is_child = seen.parent == self.us;
        let may_be = is_child || !cfg!(target_os = "linux") && seen.parent == 1;
        // Another command of ours leads its group; ids are used again.
        let follows = seen.group != seen.pid
            && (self.groups.contains(&seen.group) || self.groups.contains(&seen.session));
        may_be && seen.pid != self.root && (is_child && follows || carries(seen.pid))
    }
}

/// Sends a signal to a process, unless another has its id by now.
pub(super) fn send(to: &Seen, signal: Signal) {
    let Some(pid) = Pid::from_raw(to.pid).filter(|pid| !pid.is_init()) else { return };
    #[cfg(target_os = "linux")]
    if let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        // The descriptor holds on to whoever has the id; whether it is the one that was seen is asked after that.
        if scan::is_still(to) {
            rustix::process::pidfd_send_signal(&process, signal).ok();
        }
        return;
    }
    rustix::process::kill_process(pid, signal).ok();
}
