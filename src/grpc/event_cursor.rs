//! How far events were read: opaque to callers, and good for the data of one server only.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::domain::event::Cursor;

use super::resume_token::{DIGEST_BYTES, STORE_BYTES, digest, from_hex};

/// How the bytes are laid out; another layout gets another number.
const LAYOUT: u8 = 1;

/// The id after which the next answer begins.
pub(super) fn to_id(cursor: &Cursor, store: Uuid) -> String {
    let mut bytes = vec![LAYOUT];
    bytes.extend_from_slice(store.as_bytes());
    bytes.extend_from_slice(&cursor.to_bytes());
    let check: [u8; DIGEST_BYTES] = digest(&[&bytes]);
    bytes.extend_from_slice(&check);
    let mut id = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// How far an id of this store leads; none if it is no such id.
pub(super) fn from_id(id: &str, store: Uuid) -> Option<Cursor> {
    let bytes = from_hex(id)?;
    let (content, check) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
    let (layout, rest) = content.split_first()?;
    let (of, cursor) = rest.split_first_chunk::<STORE_BYTES>()?;
    let is_ours = *check == digest(&[content]) && *layout == LAYOUT && of == store.as_bytes();
    if is_ours { Cursor::from_bytes(cursor) } else { None }
}

#[cfg(test)]
mod tests;
