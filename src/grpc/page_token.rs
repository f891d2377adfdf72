//! Where a list goes on: opaque to callers, and good for one filter only.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use crate::domain::{JobId, Timestamp};
use crate::proto::v1;
use crate::store::AuditPlace;

use super::status::invalid_page_token;

const ID_BYTES: usize = 16;
/// Enough of the digest to tell filters apart; it keeps no secret.
const DIGEST_BYTES: usize = 16;
const TOKEN_BYTES: usize = ID_BYTES + DIGEST_BYTES;

/// The token of the page after the job `last`.
pub(super) fn to_token(last: JobId, filter: &v1::JobFilter) -> String {
    seal(last.0.into_bytes(), filter)
}

/// The token of the page after the deed at `last`.
pub(super) fn to_audit_token(last: AuditPlace, wanted: &v1::ListAuditEventsRequest) -> String {
    let (time, id) = (last.time.as_micros().cast_unsigned(), last.id.cast_unsigned());
    seal((u128::from(time) << 64 | u128::from(id)).to_be_bytes(), wanted)
}

fn seal(id: [u8; ID_BYTES], filter: &impl prost::Message) -> String {
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
    Ok(open(token, filter)?.map(|id| JobId(Uuid::from_bytes(id))))
}

/// Where the page before ended; `None` for the first page.
///
/// # Errors
/// As [`from_token`].
pub(super) fn from_audit_token(
    token: &str,
    wanted: &v1::ListAuditEventsRequest,
) -> Result<Option<AuditPlace>, Status> {
    let place = open(token, wanted)?.map(u128::from_be_bytes);
    Ok(place.map(|place| {
        let low = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let time = Timestamp::from_micros(low(place >> 64).cast_signed());
        AuditPlace { time, id: low(place).cast_signed() }
    }))
}

fn open(token: &str, filter: &impl prost::Message) -> Result<Option<[u8; ID_BYTES]>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let malformed = || invalid_page_token("must be the next_page_token of the page before");
    let bytes = from_hex(token).ok_or_else(malformed)?;
    let (id, found) = bytes.split_first_chunk::<ID_BYTES>().ok_or_else(malformed)?;
    if found != digest(*id, filter) {
        return Err(invalid_page_token("was made for another filter"));
    }
    Ok(Some(*id))
}

/// Equal filters encode to equal bytes, for maps are sorted.
fn digest(id: [u8; ID_BYTES], filter: &impl prost::Message) -> [u8; DIGEST_BYTES] {
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
