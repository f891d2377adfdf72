//! Unique names: who asks for one in a batch, and who gets it.

use std::collections::HashMap;

use crate::domain::job::Job;
use crate::domain::{JobId, StateKind, Timestamp, UniquePolicy};

use super::{Batch, Committed, JobWrite, KeyChange, KeyKind, KeyName, NewJob, Written, holds_key};

/// Kind, scope and key.
pub(super) type Name<'a> = (KeyKind, &'a str, &'a str);

/// These, as they are asked for.
pub(super) fn borrowed(names: &[KeyName]) -> Vec<Name<'_>> {
    names.iter().map(|(kind, scope, key)| (*kind, scope.as_str(), key.as_str())).collect()
}

/// Those of them that have a holder.
pub(super) fn owned(holders: HashMap<Name<'_>, JobId>) -> HashMap<KeyName, JobId> {
    let holder = |((kind, scope, key), holder): (Name<'_>, _)| {
        ((kind, scope.to_owned(), key.to_owned()), holder)
    };
    holders.into_iter().map(holder).collect()
}

/// A job that gets a name.
pub(super) struct Claim<'a> {
    pub name: Name<'a>,
    pub job_id: JobId,
    pub fingerprint: Option<&'a [u8; 32]>,
    /// When it was asked for.
    pub time: Timestamp,
}

fn unique(job: &Job) -> Option<Name<'_>> {
    let spec = &job.spec;
    (!spec.unique_key.is_empty())
        .then(|| (KeyKind::Unique, spec.job_type.as_str(), spec.unique_key.as_str()))
}

/// Whether a request whose job was not made, its name of this kind being another's, is answered with that other one
/// from now on: sent again, it makes no job when that one is over.
pub(super) fn remembers_holder(new: &NewJob, kind: KeyKind) -> bool {
    kind == KeyKind::Unique
        && new.request.is_some()
        && new.job.spec.unique_policy == UniquePolicy::ReturnExisting
        && new.job.status.kind() == StateKind::Pending
}

fn of_create(new: &NewJob) -> impl Iterator<Item = (Name<'_>, Option<&[u8; 32]>)> {
    let request = new.request.as_ref().map(|key| {
        let name = (KeyKind::Request, key.caller.as_str(), key.request_id.as_str());
        (name, Some(&key.fingerprint))
    });
    let unique = unique(&new.job).filter(|_| holds_key(&new.job.status.state));
    let fire = new.fire.as_ref();
    let fire = fire.map(|at| (KeyKind::Fire, new.job.spec.job_type.as_str(), at.as_str()));
    request.into_iter().chain(unique.into_iter().chain(fire).map(|name| (name, None)))
}

fn of_write(write: &JobWrite) -> Option<Name<'_>> {
    match write.key {
        KeyChange::Take => unique(&write.job),
        KeyChange::None | KeyChange::Release => None,
    }
}

/// Every name that somebody in the batch asks for; the same one more than once if more than one does.
pub(super) fn asked(batch: &Batch) -> Vec<Name<'_>> {
    let of_creates = batch.creates.iter().flat_map(of_create).map(|(name, _)| name);
    of_creates.chain(batch.writes.iter().filter_map(of_write)).collect()
}

/// Gives names to those who ask, in the order of the batch, and marks in `committed` who came late.
/// What is given comes in the order of the names, as every store writes it: two servers cannot block
/// each other.
pub(super) fn give<'a>(
    batch: &'a Batch,
    committed: &mut Committed,
    mut holders: HashMap<Name<'a>, JobId>,
) -> Vec<Claim<'a>> {
    let mut claims: Vec<Claim<'a>> = Vec::new();
    for (new, written) in batch.creates.iter().zip(&mut committed.creates) {
        let taken = of_create(new).find_map(|(name, _)| Some((name.0, *holders.get(&name)?)));
        let (job_id, asked): (JobId, usize) = match taken {
            None => (new.job.id, usize::MAX),
            Some((kind, holder)) => {
                *written = Written::KeyTaken { kind, holder };
                (holder, usize::from(remembers_holder(new, kind)))
            }
        };
        // The id of the request comes first.
        for (name, fingerprint) in of_create(new).take(asked) {
            holders.insert(name, job_id);
            claims.push(Claim { name, job_id, fingerprint, time: new.job.status.create_time });
        }
    }
    for (write, written) in batch.writes.iter().zip(&mut committed.writes) {
        let Some(name) = of_write(write).filter(|_| *written == Written::Done) else {
            continue;
        };
        match holders.get(&name) {
            Some(holder) if *holder != write.job.id => {
                *written = Written::KeyTaken { kind: name.0, holder: *holder };
            }
            // It has it already.
            Some(_) => {}
            None => {
                holders.insert(name, write.job.id);
                let time = write.job.status.create_time;
                claims.push(Claim { name, job_id: write.job.id, fingerprint: None, time });
            }
        }
    }
    claims.sort_by_key(|claim| claim.name);
    claims
}
