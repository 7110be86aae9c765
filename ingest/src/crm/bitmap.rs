//! The bitmaps of `changedFields`, `nulledFields` and `diffFields`.
//!
//! ```text
//! ["0x400000", "4-0x01"]     bit 22 of the event's fields, and bit 0 of the compound that is field 4
//! ```
//!
//! Hexadecimal of big-endian bytes; bit *i* is the field at place *i* of the schema, the header being 0. A compound
//! whose own bit is set is meant whole. Facts: Change Data Capture guide, section on Pub/Sub bitmap fields.

use std::collections::BTreeSet;

/// Which fields a bitmap names: whole top-level fields, and parts of compounds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    whole: BTreeSet<usize>,
    parts: BTreeSet<(usize, usize)>,
}

/// More bits than any object can have fields; a longer bitmap is not one.
const MAX_DIGITS: usize = 1024;

impl FieldSet {
    /// Reads the entries of one bitmap.
    pub(crate) fn decode<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut set = Self::default();
        for entry in entries {
            match entry.split_once('-') {
                None => set.whole.extend(bits(entry)?),
                Some((parent, map)) => {
                    let parent: usize = parent.parse().map_err(|_| format!("{entry:?} is not a bitmap"))?;
                    set.parts.extend(bits(map)?.into_iter().map(|bit| (parent, bit)));
                }
            }
        }
        Ok(set)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.parts.is_empty()
    }

    /// Whether it names a field, or the part of a compound.
    pub(crate) fn names(&self, field: usize, part: Option<usize>) -> bool {
        self.whole.contains(&field) || part.is_some_and(|part| self.parts.contains(&(field, part)))
    }
}

fn bits(map: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("{map:?} is not a bitmap");
    let digits = map.strip_prefix("0x").or_else(|| map.strip_prefix("0X")).ok_or_else(wrong)?;
    if digits.len() > MAX_DIGITS {
        return Err(format!("a bitmap of {} digits is longer than any object's", digits.len()));
    }
    let mut set = Vec::new();
    for (place, digit) in digits.chars().rev().enumerate() {
        let digit = digit.to_digit(16).ok_or_else(wrong)?;
        set.extend((0..4).filter(|bit| digit & (1 << bit) != 0).map(|bit| place * 4 + bit));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entries: &[&str], whole: &[usize], parts: &[(usize, usize)]) {
        let expected = FieldSet { whole: whole.iter().copied().collect(), parts: parts.iter().copied().collect() };
        assert_eq!(FieldSet::decode(entries.iter().copied()), Ok(expected), "{entries:?}");
    }

    #[test]
    fn the_published_examples_name_their_fields() {
        check(&["0x400800"], &[11, 22], &[]);
        check(&["0x400000", "4-0x01"], &[22], &[(4, 0)]);
        check(&["0x400080"], &[7, 22], &[]);
        check(&["0x410000"], &[16, 22], &[]);
        check(&["0x08F81000"], &[12, 19, 20, 21, 22, 23, 27], &[]);
        check(&["0x00", "2-0x06"], &[], &[(2, 1), (2, 2)]);
        check(&[], &[], &[]);
    }

    #[test]
    fn lower_case_is_read_too() {
        check(&["0x0f"], &[0, 1, 2, 3], &[]);
    }

    #[test]
    fn anything_else_is_an_error() {
        for entry in ["400800", "0xZZ", "x-0x01", "4-1", ""] {
            assert!(FieldSet::decode([entry]).is_err(), "{entry}");
        }
        assert!(FieldSet::decode([format!("0x{}", "F".repeat(5000)).as_str()]).is_err());
    }

    #[test]
    fn a_compound_named_whole_names_its_parts() {
        let set = FieldSet::decode(["0x10"]).unwrap_or_default();
        assert!(set.names(4, Some(7)) && set.names(4, None) && !set.names(5, Some(0)));
    }
}
