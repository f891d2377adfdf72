//! A file without a name, used page by page: it is gone with the process, however that ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::domain::limits::SPOOL_PAGE_BYTES;

/// Where a chunk is.
pub(super) struct Place {
    pages: Vec<u32>,
    bytes: usize,
}

/// The file, made when it is first needed.
pub(super) struct Pages {
    file: Option<File>,
    /// Pages that were used and are free again.
    free: Vec<u32>,
    /// Pages used so far.
    used: u32,
    most: u32,
}

impl Pages {
    /// So many bytes at most.
    pub(super) fn new(bytes: usize) -> Self {
        let most = u32::try_from(bytes / SPOOL_PAGE_BYTES).unwrap_or(u32::MAX);
        Self { file: None, free: Vec::new(), used: 0, most }
    }

    /// Writes a chunk.
    ///
    /// # Errors
    ///
    /// `StorageFull` if there is no room; whatever else the disk says. Nothing is taken then.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let wanted = bytes.len().div_ceil(SPOOL_PAGE_BYTES);
        let fresh = wanted.saturating_sub(self.free.len());
        if fresh > (self.most - self.used) as usize {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut place = Place { pages: Vec::with_capacity(wanted), bytes: bytes.len() };
        for _ in 0..wanted {
            let page = self.free.pop().unwrap_or_else(|| {
                self.used += 1;
                self.used - 1
            });
            place.pages.push(page);
        }
        match self.write_at(bytes, &place) {
            Ok(()) => Ok(place),
            Err(error) => {
                self.free(place);
                Err(error)
            }
        }
    }

    fn write_at(&mut self, bytes: &[u8], place: &Place) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        for (part, page) in bytes.chunks(SPOOL_PAGE_BYTES).zip(&place.pages) {
            file.write_all_at(part, offset(*page))?;
        }
        Ok(())
    }

    /// Reads a chunk, which stays where it is.
    pub(super) fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; place.bytes];
        for (part, page) in bytes.chunks_mut(SPOOL_PAGE_BYTES).zip(&place.pages) {
            file.read_exact_at(part, offset(*page))?;
        }
        Ok(bytes)
    }

    /// Gives the pages of a chunk back; with the last one the disk gets its room back.
    pub(super) fn free(&mut self, place: Place) {
        self.free.extend(place.pages);
        if self.free.len() == self.used as usize {
            self.free.clear();
            self.used = 0;
            if let Some(file) = &self.file {
                // A file that cannot be cut is used again as it is.
                let _ = file.set_len(0);
            }
        }
    }
}

fn offset(page: u32) -> u64 {
    u64::from(page) * SPOOL_PAGE_BYTES as u64
}
