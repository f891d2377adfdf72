//! What the tests of the parts share.

use prost::Message as _;

use crate::proto::v1::{Assignment, Job};

/// A job as it is handed out.
pub fn job(id: &str, lease_epoch: i64) -> Assignment {
    let job = Job { id: id.to_owned(), ..Job::default() };
    Assignment { job: Some(job.encode_to_vec().into()), lease_epoch, lease_ttl: None }
}
