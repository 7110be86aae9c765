//! Record ids: 15 case-sensitive characters, shown with 3 check characters.
//!
//! An id is a 3-character prefix that names the object, 3 that name the instance, and a counter of
//! 9 base-62 digits. The digits sort as ASCII does, so ids of one object sort by age.

use std::fmt;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
const INSTANCE: [u8; 3] = *b"Qy0";

/// A record id without its check characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId([u8; 15]);

impl RecordId {
    /// The id with this prefix (three ASCII letters or digits) and counter.
    #[must_use]
    pub fn new(prefix: [u8; 3], number: u64) -> Self {
        let mut id = [b'0'; 15];
        id[..3].copy_from_slice(&prefix);
        id[3..6].copy_from_slice(&INSTANCE);
        let mut rest = number;
        for slot in id[6..].iter_mut().rev() {
            *slot = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        Self(id)
    }

    /// Reads 15 or 18 characters; the check characters of the long form must fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !matches!(bytes.len(), 15 | 18) || !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut id = [0; 15];
        id.copy_from_slice(&bytes[..15]);
        let id = Self(id);
        (bytes.len() == 15 || id.check().eq_ignore_ascii_case(&bytes[15..])).then_some(id)
    }

    /// The three characters that name the object.
    #[must_use]
    pub fn prefix(&self) -> [u8; 3] {
        [self.0[0], self.0[1], self.0[2]]
    }

    /// The counter, if the id is of this instance.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        if self.0[3..6] != INSTANCE {
            return None;
        }
        let mut number = 0u64;
        for byte in &self.0[6..] {
            number = number * 62 + DIGITS.iter().position(|digit| digit == byte)? as u64;
        }
        Some(number)
    }

    /// The case-sensitive form.
    #[must_use]
    pub fn as_15(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> &[u8; 15] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 15]) -> Self {
        Self(bytes)
    }

    fn check(&self) -> [u8; 3] {
        let mut check = [0; 3];
        for (group, slot) in self.0.chunks(5).zip(check.iter_mut()) {
            let bits = group.iter().enumerate().fold(0, |bits, (k, byte)| bits | (usize::from(byte.is_ascii_uppercase()) << k));
            *slot = CHECK[bits];
        }
        check
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_15())?;
        f.write_str(std::str::from_utf8(&self.check()).unwrap_or_default())
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::RecordId;

    #[test]
    fn check_characters_agree_with_recorded_ids() {
        for (short, long) in [
            ("0015500001QdZPK", "0015500001QdZPKAA3"),
            ("0065500000KQ12X", "0065500000KQ12XAAT"),
            ("000000000000000", "000000000000000AAA"),
        ] {
            assert_eq!(RecordId::parse(short).map(|id| id.to_string()).as_deref(), Some(long));
            assert_eq!(RecordId::parse(long).map(|id| id.as_15().to_owned()).as_deref(), Some(short));
        }
        assert_eq!(RecordId::parse("0015500001QdZPKAA4"), None);
    }

    #[test]
    fn the_counter_comes_back_and_sorts() {
        let mut before = None;
        for number in [0, 1, 61, 62, 3843, 1_000_000, 123_456_789_012] {
            let id = RecordId::new(*b"001", number);
            assert_eq!(id.number(), Some(number));
            assert!(before < Some(id));
            before = Some(id);
        }
    }
}
