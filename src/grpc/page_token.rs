//! Where a list goes on: opaque to callers, and good for one filter only.

use std::fmt::Write as _;

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use crate::domain::JobId;
use crate::proto::v1;

use super::status::invalid_page_token;

const ID_BYTES: usize = 16;
/// Enough of the digest to tell filters apart; it keeps no secret.
const DIGEST_BYTES: usize = 16;
const TOKEN_BYTES: usize = ID_BYTES + DIGEST_BYTES;

/// The token of the page after the job `last`.
pub(super) fn to_token(last: JobId, filter: &v1::JobFilter) -> String {
    let id = last.0.into_bytes();
    let mut token = String::with_capacity(2 * TOKEN_BYTES);
    for byte in id.iter().chain(&digest(id, filter)) {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// The job that the page before ended with; `None` for the first page.
///
/// # Errors
/// The token is none, or was made for another filter.
pub(super) fn from_token(token: &str, filter: &v1::JobFilter) -> Result<Option<JobId>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let malformed = || invalid_page_token("must be the next_page_token of the page before");
    let bytes = from_hex(token).ok_or_else(malformed)?;
    let (id, found) = bytes.split_first_chunk::<ID_BYTES>().ok_or_else(malformed)?;
    if found != digest(*id, filter) {
        return Err(invalid_page_token("was made for another filter"));
    }
    Ok(Some(JobId(Uuid::from_bytes(*id))))
}

/// Equal filters encode to equal bytes, for maps are sorted.
fn digest(id: [u8; ID_BYTES], filter: &v1::JobFilter) -> [u8; DIGEST_BYTES] {
    let whole: [u8; 32] =
        Sha256::new().chain_update(id).chain_update(filter.encode_to_vec()).finalize().into();
    std::array::from_fn(|at| whole[at])
}

fn from_hex(text: &str) -> Option<[u8; TOKEN_BYTES]> {
    if text.len() != 2 * TOKEN_BYTES {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
