//! The id under which one change of the ERP can be followed from here to its last effect.
//!
//! It is made of the change's place at the source, so that a change that is read again has the same one: `erp-0-1A2B3C8-4`
//! is the fifth change of the transaction committed at `0/1A2B3C8`, `erp-read-public.customers-0-1A2B3C8-4` the fifth row
//! of a first copy at that point. All records of one change (a delete and its tombstone) share it.

use std::fmt;
use std::io::Write as _;

use bytes::Bytes;

use super::lsn::Lsn;

/// One change's id, not yet as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncId<'a> {
    /// Set for a row of a first copy: positions of copies are those of no transaction, and tables share them.
    pub(crate) copied: Option<&'a str>,
    pub(crate) position: Lsn,
    pub(crate) ordinal: u64,
}

/// Longest id of a change: `erp-`, two halves of eight digits, twenty digits, two hyphens.
const LONGEST: usize = 4 + 8 + 1 + 8 + 1 + 20;

impl SyncId<'_> {
    /// As header bytes, in one allocation: this runs for every change.
    pub(crate) fn bytes(&self) -> Bytes {
        let mut room = [0; LONGEST];
        let mut rest = room.as_mut_slice();
        if self.copied.is_none() && write!(rest, "{self}").is_ok() {
            let length = LONGEST - rest.len();
            return Bytes::copy_from_slice(&room[..length]);
        }
        self.to_string().into()
    }
}

impl fmt::Display for SyncId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("erp-")?;
        if let Some(table) = self.copied {
            write!(f, "read-{table}-")?;
        }
        write!(f, "{:X}-{:X}-{}", self.position.0 >> 32, self.position.0 & 0xffff_ffff, self.ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_the_change_stands() {
        let check = |copied, position, ordinal, expected: &str| {
            let id = SyncId { copied, position: Lsn(position), ordinal };
            assert_eq!((id.to_string().as_str(), &id.bytes()[..]), (expected, expected.as_bytes()));
        };
        check(None, 0x16_b374_d848, 0, "erp-16-B374D848-0");
        check(Some("public.customers"), 0x16_b374_d848, 3, "erp-read-public.customers-16-B374D848-3");
        check(None, u64::MAX, u64::MAX, "erp-FFFFFFFF-FFFFFFFF-18446744073709551615");
    }
}
