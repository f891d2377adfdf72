//! Reads a tick from its bytes, or leaves it to the generated code: whatever is unusual, wrong or cut off is `None`.

use uuid::Uuid;

use super::Tick;

/// Wire types of the encoding: <https://protobuf.dev/programming-guides/encoding>.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

const fn key(field: u64, wire_type: u64) -> u64 {
    field << 3 | wire_type
}

/// Fields of `ReportProgressRequest`.
const RECEIVED_THROUGH: u64 = key(1, VARINT);
const UPDATE: u64 = key(4, BYTES);

/// Fields of its `Update`.
const SEQ: u64 = key(1, VARINT);
const JOB_ID: u64 = key(2, BYTES);
const LEASE_EPOCH: u64 = key(3, VARINT);
const PROGRESS: u64 = key(10, BYTES);

/// Fields of its `Progress`.
const TOTAL: u64 = key(1, VARINT);
const COMPLETED: u64 = key(2, VARINT);
const SUCCEEDED: u64 = key(3, VARINT);
const FAILED: u64 = key(4, VARINT);
const UNIT: u64 = key(5, BYTES);
const PERCENT: u64 = key(6, FIXED64);
const STEP_NUMBER: u64 = key(10, VARINT);
const STEP_COUNT: u64 = key(11, VARINT);
const CURRENT_STEP: u64 = key(12, BYTES);
const MESSAGE: u64 = key(13, BYTES);
const SEQUENCE: u64 = key(16, VARINT);

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        if let [byte, rest @ ..] = self.0
            && *byte < 0x80
        {
            self.0 = rest;
            return Some(u64::from(*byte));
        }
        let (mut value, mut shift) = (0_u64, 0_u32);
        for (at, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                // The tenth byte has room for one bit.
                if at == 9 && *byte > 1 {
                    return None;
                }
                self.0 = self.0.get(at + 1..)?;
                return Some(value);
            }
            shift += 7;
        }
        None
    }

    #[inline]
    fn int64(&mut self) -> Option<i64> {
        self.varint().map(u64::cast_signed)
    }

    /// As the encoding has it, what does not fit is cut off.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an int32 is the low half of its varint")]
    fn int32(&mut self) -> Option<i32> {
        self.varint().map(|value| value as i32)
    }

    #[inline]
    fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    #[inline]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }
}

/// The tick that `bytes` are, all of them.
pub(super) fn tick(bytes: &[u8]) -> Option<Tick> {
    let mut reader = Reader(bytes);
    let mut tick = Tick::default();
    let mut is_update = false;
    while !reader.is_at_end() {
        match reader.varint()? {
            RECEIVED_THROUGH => tick.received_through = reader.int64()?,
            // A second one would be merged into the first.
            UPDATE if !is_update => {
                is_update = true;
                update(reader.bytes()?, &mut tick)?;
            }
            _ => return None,
        }
    }
    is_update.then_some(tick)
}

fn update(bytes: &[u8], tick: &mut Tick) -> Option<()> {
    let mut reader = Reader(bytes);
    let (mut has_job, mut has_progress) = (false, false);
    while !reader.is_at_end() {
        match reader.varint()? {
            SEQ => tick.seq = reader.int64()?,
            JOB_ID => {
                has_job = true;
                tick.job_id = job_id(reader.bytes()?)?;
            }
            LEASE_EPOCH => tick.lease_epoch = reader.int64()?,
            PROGRESS if !has_progress => {
                has_progress = true;
                progress(reader.bytes()?, tick)?;
            }
            _ => return None,
        }
    }
    (has_job && has_progress).then_some(())
}

fn progress(bytes: &[u8], tick: &mut Tick) -> Option<()> {
    let mut reader = Reader(bytes);
    while !reader.is_at_end() {
        match reader.varint()? {
            TOTAL => tick.total = Some(reader.int64()?),
            COMPLETED => tick.completed = reader.int64()?,
            SUCCEEDED => tick.succeeded = reader.int64()?,
            FAILED => tick.failed = reader.int64()?,
            UNIT => tick.texts.get_or_insert_default().unit = reader.text()?,
            PERCENT => tick.percent = Some(reader.double()?),
            STEP_NUMBER => tick.step_number = reader.int32()?,
            STEP_COUNT => tick.step_count = reader.int32()?,
            CURRENT_STEP => tick.texts.get_or_insert_default().current_step = reader.text()?,
            MESSAGE => tick.texts.get_or_insert_default().message = reader.text()?,
            SEQUENCE => tick.sequence = reader.int64()?,
            _ => return None,
        }
    }
    Some(())
}

/// An id with hyphens and small letters: written back it is the same text.
#[inline]
fn job_id(text: &[u8]) -> Option<Uuid> {
    /// Where a group of digits begins, two to a byte.
    const BYTES_AT: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != *b"----" {
        return None;
    }
    let mut id = [0; 16];
    for (byte, at) in id.iter_mut().zip(BYTES_AT) {
        let (high, low) = (DIGITS[usize::from(text[at])], DIGITS[usize::from(text[at + 1])]);
        if high | low > 0xf {
            return None;
        }
        *byte = high << 4 | low;
    }
    Some(Uuid::from_bytes(id))
}

/// What a digit stands for; of what is none, more than any.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let (mut at, mut value) = (0, 0);
    while at < 16 {
        digits[b"0123456789abcdef"[at] as usize] = value;
        (at, value) = (at + 1, value + 1);
    }
    digits
};
