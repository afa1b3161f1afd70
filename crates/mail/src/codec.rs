//! Small binary encoding for everything the engine stores: LEB128 integers, length-prefixed bytes.

use crate::MailError;

/// Appends values to a buffer.
#[derive(Default)]
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Zigzag: small numbers of either sign are short.
    pub(crate) fn int(&mut self, value: i64) {
        self.uint(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.uint(value.len() as u64);
        self.0.extend_from_slice(value);
    }
}

/// Takes values from a buffer; every shortage is `Corrupt`.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// A decoder over `bytes`; `what` names the record in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn damaged(&self) -> MailError {
        MailError::corrupt(format!("damaged {}", self.what))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, MailError> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, MailError> {
        // One byte is by far the commonest length.
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(self.damaged());
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MailError> {
        u32::try_from(self.uint()?).map_err(|_| self.damaged())
    }

    pub(crate) fn int(&mut self) -> Result<i64, MailError> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of items of which each takes at least one byte: never larger than what is left.
    pub(crate) fn count(&mut self) -> Result<usize, MailError> {
        match usize::try_from(self.uint()?) {
            Ok(n) if n <= self.rest.len() => Ok(n),
            _ => Err(self.damaged()),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], MailError> {
        let len = self.count()?;
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MailError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, MailError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.damaged())
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A value through its checked constructor.
    pub(crate) fn checked<T, U>(
        &self,
        make: impl FnOnce(T) -> Option<U>,
        raw: T,
    ) -> Result<U, MailError> {
        make(raw).ok_or_else(|| self.damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_survive_the_round_trip(
            a: u64,
            b: i64,
            c in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut e = Encoder::default();
            e.uint(a);
            e.int(b);
            e.bytes(&c);
            let mut d = Decoder::new(&e.0, "test");
            prop_assert_eq!(d.uint().unwrap(), a);
            prop_assert_eq!(d.int().unwrap(), b);
            prop_assert_eq!(d.bytes().unwrap(), &c[..]);
            prop_assert!(d.byte().is_err());
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut d = Decoder::new(&bytes, "test");
            while d.uint().is_ok() && d.bytes().is_ok() {}
        }
    }
}
