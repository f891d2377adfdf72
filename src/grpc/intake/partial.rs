//! How much of a message is there that is not whole yet.

/// A flag and the length in four bytes stand before each message.
const HEADER_BYTES: usize = 5;

/// Follows the messages of a call through the bytes that come, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Partial {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that are there.
    headed: usize,
    /// Bytes of the message that are there.
    there: usize,
    /// Bytes of the message that are to come.
    missing: usize,
}

impl Partial {
    /// Takes note of bytes that came; whether a message became whole with them.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut whole = false;
        while !bytes.is_empty() {
            if self.headed < HEADER_BYTES {
                let length = bytes.len().min(HEADER_BYTES - self.headed);
                let (now, later) = bytes.split_at(length);
                self.header[self.headed..self.headed + length].copy_from_slice(now);
                self.headed += length;
                bytes = later;
                if self.headed < HEADER_BYTES {
                    break;
                }
                let [_, length @ ..] = self.header;
                self.missing = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            }
            let length = bytes.len().min(self.missing);
            bytes = &bytes[length..];
            self.there += length;
            self.missing -= length;
            if self.missing == 0 {
                whole = true;
                (self.headed, self.there) = (0, 0);
            }
        }
        whole
    }

    /// Bytes that are there of a message that is not whole, its header included.
    pub(super) const fn bytes(&self) -> usize {
        self.headed + self.there
    }
}

#[cfg(test)]
mod tests;
