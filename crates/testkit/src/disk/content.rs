//! The bytes of a file, in pages that copies share.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Octets of a page.
pub(super) const PAGE: usize = 4096;

/// The bytes of a file; what was never written is zeros.
#[derive(Clone, Default)]
pub(super) struct Content {
    size: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Octets that take space.
    pub(super) fn space(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }

    pub(super) fn write(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (page, at) = (offset / PAGE as u64, (offset % PAGE as u64) as usize);
            let count = bytes.len().min(PAGE - at);
            let page = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[at..at + count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            offset += count as u64;
        }
        self.size = self.size.max(offset);
    }

    /// Cuts off or adds zeros.
    pub(super) fn resize(&mut self, size: u64) {
        let (page, at) = (size / PAGE as u64, (size % PAGE as u64) as usize);
        if size < self.size {
            self.pages.split_off(&(page + u64::from(at > 0)));
            if let Some(last) = self.pages.get_mut(&page) {
                Arc::make_mut(last)[at..].fill(0);
            }
        }
        self.size = size;
    }

    /// Up to `length` bytes; fewer only at the end.
    pub(super) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let length = (length as u64).min(self.size.saturating_sub(offset)) as usize;
        let mut out = vec![0; length];
        let mut done = 0;
        while done < length {
            let place = offset + done as u64;
            let (page, at) = (place / PAGE as u64, (place % PAGE as u64) as usize);
            let count = (length - done).min(PAGE - at);
            if let Some(page) = self.pages.get(&page) {
                out[done..done + count].copy_from_slice(&page[at..at + count]);
            }
            done += count;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        let mut content = Content::default();
        content.write(PAGE as u64 - 2, b"abcd");
        let copy = content.clone();
        content.resize(PAGE as u64 - 1);
        content.resize(PAGE as u64 + 2);
        assert_eq!(content.read(PAGE as u64 - 2, 100), b"a\0\0\0");
        assert_eq!(copy.read(PAGE as u64 - 2, 100), b"abcd");
        assert_eq!(copy.size(), PAGE as u64 + 2);
    }
}
