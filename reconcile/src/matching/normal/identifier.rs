//! Numbers that stand for a record: Salesforce ids, tax ids, customer numbers, codes.

use super::fold::fold;
use super::junk::says_nothing;

/// A Salesforce id in its 18-character form. None when it is not one, or when its checksum is wrong.
///
/// Each five characters give one of the last three: bit i is set when character i is an upper-case letter.
pub fn salesforce_id(text: &str) -> Option<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let text = text.trim();
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (id, given) = match text.len() {
        15 => (text, None),
        18 => (text.get(..15)?, text.get(15..)),
        _ => return None,
    };
    let mut full = id.to_owned();
    for chunk in id.as_bytes().chunks(5) {
        let bits = chunk.iter().enumerate().fold(0_usize, |bits, (at, byte)| bits | usize::from(byte.is_ascii_uppercase()) << at);
        full.push(char::from(*LETTERS.get(bits)?));
    }
    match given {
        // A system that folded the id's case cannot have it back; the checksum tells.
        Some(suffix) if !full.get(15..)?.eq_ignore_ascii_case(suffix) => None,
        _ => Some(full),
    }
}

/// Labels that are written before a tax id, without dots.
const LABELS: [&str; 17] = [
    "USTIDNR", "USTID", "UID", "VATNO", "VATNR", "VATID", "VATREG", "VAT", "TVA", "IVA", "PIVA", "BTWNR", "BTW", "NIP", "CIF", "NIF",
    "MOMS",
];

/// A tax id: letters and digits, upper case, without the label before it. None for fewer than five characters and for made-up ones.
pub fn tax_id(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    let plain = LABELS.iter().find_map(|label| plain.strip_prefix(label).filter(|rest| rest.len() >= 7)).unwrap_or(&plain).to_owned();
    let digits: String = plain.chars().filter(char::is_ascii_digit).collect();
    let first = plain.chars().next()?;
    let repeated = digits.chars().all(|digit| digits.starts_with(digit)) || plain.chars().all(|letter| letter == first);
    let sound = plain.chars().count() >= 5 && digits.len() >= 3 && !repeated && !says_nothing(&plain) && !says_nothing(&digits);
    sound.then_some(plain)
}

/// A tax id without the prefix of its country: `DE123456788` and `123456788` are one company's.
pub(crate) fn national_tax_id(normal: &str) -> &str {
    let letters = normal.chars().take_while(char::is_ascii_alphabetic).count();
    if letters == 2 { normal.get(2..).unwrap_or(normal) } else { normal }
}

/// A number that stands for a record elsewhere: letters and digits, lower case. None for fewer than three.
pub(crate) fn identifier(text: &str) -> Option<String> {
    let plain: String = fold(text).chars().filter(|letter| letter.is_alphanumeric()).collect();
    (plain.chars().count() >= 3).then_some(plain)
}

/// A code of a short list: letters and digits, lower case.
pub(crate) fn code(text: &str) -> Option<String> {
    let plain: String = fold(text).chars().filter(|letter| letter.is_alphanumeric()).collect();
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_and_eighteen_characters_are_one_id() {
        for (text, expected) in [
            ("001A0000006Vm9u", Some("001A0000006Vm9uIAC")),
            (" 001A0000006Vm9uIAC ", Some("001A0000006Vm9uIAC")),
            ("001A0000006Vm9uIAD", None),
            ("001a0000006vm9uIAC", None),
            ("0010000000", None),
        ] {
            assert_eq!(salesforce_id(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn tax_ids_are_plain() {
        for (text, expected) in [
            ("DE 123.456.788", Some("DE123456788")),
            ("de123456788", Some("DE123456788")),
            ("USt-IdNr. DE123456788", Some("DE123456788")),
            ("P.IVA 01234560157", Some("01234560157")),
            ("GB 999 9999 73", Some("GB999999973")),
            ("000000000", None),
            ("DE999999999", None),
            ("DE123456789", None),
            ("n/a", None),
        ] {
            assert_eq!(tax_id(text).as_deref(), expected, "{text}");
        }
        assert_eq!(national_tax_id("DE123456788"), "123456788");
        assert_eq!(national_tax_id("B12345678"), "B12345678");
    }
}
