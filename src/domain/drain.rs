//! A worker process that is to leave: an operator's word, kept until the process is long gone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, WorkerName};
use super::limits::{DRAIN_KEPT, DRAIN_MARGIN};
use super::session::Session;
use super::time::Timestamp;

/// A process of a worker. Without an instance it cannot be told from the next one of its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Process {
    /// The worker's name.
    pub worker_id: WorkerName,
    /// The process; may be empty.
    pub instance_id: InstanceId,
}

impl Process {
    /// What its drain is kept under: its instance, or else its name, which no instance looks like.
    #[must_use]
    pub fn key(&self) -> String {
        match self.instance_id.as_str() {
            "" => format!("/{}", self.worker_id),
            instance => instance.to_owned(),
        }
    }
}

impl Process {
    /// Whether this is the same process: an instance may have told several names.
    #[must_use]
    pub fn is_same(&self, worker_id: &WorkerName, instance_id: &InstanceId) -> bool {
        self.instance_id == *instance_id
            && (!instance_id.as_str().is_empty() || self.worker_id == *worker_id)
    }
}

/// The wish that a process leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Which process.
    pub process: Process,
    /// Since when.
    pub time: Timestamp,
    /// How long it may take to finish what it holds.
    pub grace: Duration,
    /// Why, in the asker's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
}

impl Drain {
    /// When it should be empty.
    #[must_use]
    pub fn end_time(&self) -> Timestamp {
        self.time.plus(self.grace)
    }

    /// When what it still holds is taken back: its own last words may take a moment.
    #[must_use]
    pub fn take_back_time(&self) -> Timestamp {
        self.end_time().plus(DRAIN_MARGIN)
    }

    /// Whether it is about this session. An instance has no successor; what a name got once the drain was in
    /// force no more was for one.
    #[must_use]
    pub fn concerns(&self, session: &Session) -> bool {
        self.process.is_same(&session.worker_id, &session.instance_id)
            && (!session.unary || self.is_in_force(session.connect_time))
    }

    /// Whether it takes no jobs at `now`. A process that is known by its name alone is held to it for the
    /// grace: then whoever comes under that name may be its successor.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        !self.process.instance_id.as_str().is_empty() || now < self.take_back_time()
    }

    /// When it may be forgotten, if the process is not there or it is in force no more.
    #[must_use]
    pub fn forget_time(&self) -> Timestamp {
        self.take_back_time().plus(DRAIN_KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(instance: &str) -> Drain {
        let process = Process {
            worker_id: WorkerName::new("w1").unwrap(),
            instance_id: InstanceId::new(instance).unwrap(),
        };
        let time = Timestamp::from_micros(1_000_000);
        let grace = Duration::from_secs(60);
        Drain { process, time, grace, reason: String::new(), requested_by: "ann".to_owned() }
    }

    #[test]
    fn a_process_is_held_to_it_and_a_name_for_the_grace_alone() {
        let instance = "0197ab1c-0000-7000-8000-000000000001";
        let (known, named) = (drain(instance), drain(""));
        assert_eq!((known.process.key().as_str(), named.process.key().as_str()), (instance, "/w1"));
        let late = known.take_back_time();
        assert!(known.is_in_force(late) && !named.is_in_force(late));
        assert!(named.is_in_force(named.end_time()));
        assert!(known.forget_time() > late);
    }

    #[test]
    fn an_instance_is_one_process_under_every_name_and_a_name_alone_is_not() {
        let of = |name: &str, drain: &Drain| {
            drain.process.is_same(&WorkerName::new(name).unwrap(), &drain.process.instance_id)
        };
        let (known, named) = (drain("0197ab1c-0000-7000-8000-000000000001"), drain(""));
        assert!(of("w1", &known) && of("w2", &known));
        assert!(of("w1", &named) && !of("w2", &named));
        assert!(!known.process.is_same(&known.process.worker_id, &named.process.instance_id));
        assert!(!named.process.is_same(&known.process.worker_id, &known.process.instance_id));
    }
}
