//! Who a worker is and what it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::Lease;
use crate::cli::client::Address;
use crate::domain::limits::{LEASE_TTL_DEFAULT, NAME_BYTES_MAX, SPOOL_BYTES_MAX};

/// Who a worker is and what it takes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server is.
    pub address: Address,
    /// Its name, for people.
    pub worker_id: String,
    /// Its process: the same for all its streams and for jobs that it starts itself.
    pub instance_id: String,
    /// Queues it takes from; empty = `default`.
    pub queues: Vec<String>,
    /// Types it takes; empty = all.
    pub types: Vec<String>,
    /// Free tags, for people.
    pub labels: BTreeMap<String, String>,
    /// Jobs it may hold at a time; 0 = it is given none.
    pub slots: u32,
    /// Memory of the machine, in bytes; 0 = not known.
    pub memory_bytes: i64,
    /// Without a message for this long its jobs are lost.
    pub lease_ttl: Duration,
    /// Jobs that it has from the start (by a call to `StartJob`), and takes into its session.
    pub holding: Vec<Lease>,
    /// What may wait on disk for a server that is away, in bytes.
    pub spool_bytes: usize,
}

impl Settings {
    /// A worker of one slot for the queue `default`.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            worker_id: default_worker_id(),
            instance_id: own_instance_id(),
            queues: Vec::new(),
            types: Vec::new(),
            labels: BTreeMap::new(),
            slots: 1,
            memory_bytes: 0,
            lease_ttl: LEASE_TTL_DEFAULT,
            holding: Vec::new(),
            spool_bytes: SPOOL_BYTES_MAX,
        }
    }
}

/// A new process: names are reused, this is not.
#[must_use]
pub fn own_instance_id() -> String {
    Uuid::new_v4().to_string()
}

/// The name of a worker that was given none: `user/host`, as far as they are known and make a name.
#[must_use]
pub fn default_worker_id() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let host = sysinfo::System::host_name().unwrap_or_default();
    name_of(user.as_deref().unwrap_or_default(), &host)
}

/// Names hold letters, digits and `._:/-`, and begin with a letter or digit.
fn name_of(user: &str, host: &str) -> String {
    let parts = [user, host].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._:/-".contains(letter);
    let name: String = parts
        .join("/")
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(NAME_BYTES_MAX)
        .collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() || name.starts_with("jobplane.") {
        return format!("worker-{}", name.trim_start_matches("jobplane."));
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_user_and_host() {
        assert_eq!(name_of("alice", "db-1.example"), "alice/db-1.example");
        assert_eq!(name_of("-", "ä b"), "b");
        assert_eq!(name_of("", ""), "worker-");
        assert_eq!(name_of("jobplane.x", ""), "worker-x");
        assert_eq!(name_of("u", &"x".repeat(300)).len(), NAME_BYTES_MAX);
    }
}
