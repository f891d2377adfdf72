//! Where a watch of many jobs goes on: opaque to callers, and good for one filter, view and server's
//! data only. The text needs no escaping in URLs.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use crate::domain::{JobFilter, Origin, Position};
use crate::engine::Resume;

use super::convert::View;
use super::status::invalid_resume_token;

/// How the bytes are laid out; another layout gets another number.
const LAYOUT: u8 = 1;
pub(super) const STORE_BYTES: usize = 16;
const TIMELINE_BYTES: usize = 8;
/// Enough of a digest to tell filters, and whole tokens from broken ones; it keeps no secret.
pub(super) const DIGEST_BYTES: usize = 8;
/// A position of any store; what is longer was not made here.
const TOKEN_BYTES_MAX: usize = 4_096;

/// What a token is good for: equal wishes have equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope([u8; DIGEST_BYTES]);

impl Scope {
    /// Of a normalized filter and a view.
    pub(super) fn of(filter: &JobFilter, view: View) -> Self {
        // Names and numbers: there is nothing in a filter that JSON could not say.
        let filter = serde_json::to_vec(filter).unwrap_or_default();
        let full = [u8::from(view == View::Full)];
        Self(digest(&[&full, &filter]))
    }
}

/// The token of a place.
pub(super) fn to_token(resume: &Resume, scope: Scope) -> String {
    let mut bytes = vec![LAYOUT];
    bytes.extend_from_slice(resume.origin.store.as_bytes());
    bytes.extend_from_slice(&resume.origin.timeline.to_be_bytes());
    bytes.extend_from_slice(&scope.0);
    bytes.extend_from_slice(&resume.position.to_bytes());
    let check: [u8; DIGEST_BYTES] = digest(&[&bytes]);
    bytes.extend_from_slice(&check);
    let mut token = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// The place that a token of the same wish tells.
///
/// # Errors
/// The token is none, or was made for another filter or view.
pub(super) fn from_token(token: &str, scope: Scope) -> Result<Resume, Status> {
    let malformed = || invalid_resume_token("must be a token that a watch sent, whole");
    let bytes = from_hex(token).ok_or_else(malformed)?;
    let (content, check) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or_else(malformed)?;
    if *check != digest(&[content]) {
        return Err(malformed());
    }
    let (layout, content) = content.split_first().ok_or_else(malformed)?;
    if *layout != LAYOUT {
        return Err(invalid_resume_token("was made by another version of the server"));
    }
    let (store, content) = content.split_first_chunk::<STORE_BYTES>().ok_or_else(malformed)?;
    let (timeline, content) =
        content.split_first_chunk::<TIMELINE_BYTES>().ok_or_else(malformed)?;
    let (made_for, position) = content.split_first_chunk().ok_or_else(malformed)?;
    if Scope(*made_for) != scope {
        return Err(invalid_resume_token("was made for another filter or view"));
    }
    let origin =
        Origin { store: Uuid::from_bytes(*store), timeline: i64::from_be_bytes(*timeline) };
    let position = Position::from_bytes(position).ok_or_else(malformed)?;
    Ok(Resume { origin, position })
}

pub(super) fn digest(parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let whole: [u8; 32] = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize().into();
    std::array::from_fn(|at| whole[at])
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() > 2 * TOKEN_BYTES_MAX || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect()
}

#[cfg(test)]
mod tests;
