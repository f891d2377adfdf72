//! Opaque documents: encoded `google.protobuf.Struct`s, checked and never decoded into a tree.

use bytes::Bytes;

use crate::domain::limits::STRUCT_DEPTH_MAX;
use crate::domain::validate::Violations;

use super::path::Path;

/// Why bytes are not a document that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Flaw {
    #[error("must be an encoded google.protobuf.Struct")]
    Malformed,
    #[error("must have at most {STRUCT_DEPTH_MAX} levels")]
    TooDeep,
    #[error("must have finite numbers only: JSON knows no others")]
    NotFinite,
    #[error("must not have a Value of no kind: JSON knows no such value")]
    NoKind,
}

/// Notes what is wrong with a document: its size, its depth, or that it is none.
pub fn check(bytes: &Bytes, bytes_max: usize, field: &str, violations: &mut Violations) {
    check_at(bytes, bytes_max, Path::root(field), violations);
}

pub(super) fn check_at(bytes: &Bytes, bytes_max: usize, at: Path<'_>, violations: &mut Violations) {
    if bytes.len() > bytes_max {
        let found = bytes.len();
        at.wrong(violations, format!("must have at most {bytes_max} bytes encoded, has {found}"));
        return;
    }
    at.take(violations, object(bytes, 1));
}

/// `Struct { map<string, Value> fields = 1; }`, at `depth` levels below the top, which is 1.
fn object(mut bytes: &[u8], depth: usize) -> Result<(), Flaw> {
    if depth > STRUCT_DEPTH_MAX {
        return Err(Flaw::TooDeep);
    }
    while !bytes.is_empty() {
        match field(&mut bytes)? {
            (1, Content::Bytes(entry)) => member(entry, depth)?,
            _ => return Err(Flaw::Malformed),
        }
    }
    Ok(())
}

/// An entry of `fields`: `{ string key = 1; Value value = 2; }`.
fn member(mut bytes: &[u8], depth: usize) -> Result<(), Flaw> {
    let mut valued = false;
    while !bytes.is_empty() {
        match field(&mut bytes)? {
            (1, Content::Bytes(key)) => text(key)?,
            (2, Content::Bytes(inner)) => {
                value(inner, depth)?;
                valued = true;
            }
            _ => return Err(Flaw::Malformed),
        }
    }
    if valued { Ok(()) } else { Err(Flaw::NoKind) }
}

/// `ListValue { repeated Value values = 1; }`.
fn list(mut bytes: &[u8], depth: usize) -> Result<(), Flaw> {
    if depth > STRUCT_DEPTH_MAX {
        return Err(Flaw::TooDeep);
    }
    while !bytes.is_empty() {
        match field(&mut bytes)? {
            (1, Content::Bytes(inner)) => value(inner, depth)?,
            _ => return Err(Flaw::Malformed),
        }
    }
    Ok(())
}

/// `Value { oneof { null = 1, number = 2, string = 3, bool = 4, Struct = 5, ListValue = 6 } }`.
fn value(mut bytes: &[u8], depth: usize) -> Result<(), Flaw> {
    if bytes.is_empty() {
        return Err(Flaw::NoKind);
    }
    while !bytes.is_empty() {
        match field(&mut bytes)? {
            (1 | 4, Content::Varint) => {}
            (2, Content::Fixed64(number)) if number.is_finite() => {}
            (2, Content::Fixed64(_)) => return Err(Flaw::NotFinite),
            (3, Content::Bytes(inner)) => text(inner)?,
            (5, Content::Bytes(inner)) => object(inner, depth + 1)?,
            (6, Content::Bytes(inner)) => list(inner, depth + 1)?,
            _ => return Err(Flaw::Malformed),
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<(), Flaw> {
    std::str::from_utf8(bytes).map(|_| ()).map_err(|_| Flaw::Malformed)
}

/// What a field holds, as far as a Struct has such fields.
enum Content<'a> {
    Varint,
    Fixed64(f64),
    Bytes(&'a [u8]),
}

/// Takes the next field off the front: its number and content.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Content<'a>), Flaw> {
    let tag = varint(bytes)?;
    let content = match tag & 7 {
        0 => varint(bytes).map(|_| Content::Varint)?,
        1 => {
            let (number, rest) = bytes.split_first_chunk::<8>().ok_or(Flaw::Malformed)?;
            *bytes = rest;
            Content::Fixed64(f64::from_le_bytes(*number))
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| Flaw::Malformed)?;
            let (content, rest) = bytes.split_at_checked(length).ok_or(Flaw::Malformed)?;
            *bytes = rest;
            Content::Bytes(content)
        }
        // Groups and 32-bit fields: a Struct has none.
        _ => return Err(Flaw::Malformed),
    };
    Ok((tag >> 3, content))
}

/// Takes a number in base 128, lowest digits first, off the front.
fn varint(bytes: &mut &[u8]) -> Result<u64, Flaw> {
    const BYTES_MAX: usize = 10;
    let mut number = 0;
    for at in 0..BYTES_MAX {
        let (&byte, rest) = bytes.split_first().ok_or(Flaw::Malformed)?;
        *bytes = rest;
        // The tenth byte holds the one bit that is left.
        if at == BYTES_MAX - 1 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Flaw::Malformed)
}
