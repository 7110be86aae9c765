//! Ids as Salesforce writes them: record ids of 15 or 18 characters, and replay ids, which are opaque bytes.

use super::error::Error;

const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18-character form of a record id: each check character says which of five characters are capitals, so that
/// ids may be compared without regard to case. Anything that is not 15 characters long is returned as it is.
pub(crate) fn long_id(id: &str) -> String {
    let mut out = id.to_owned();
    if id.len() == 15 && id.is_ascii() {
        for group in id.as_bytes().chunks(5) {
            let bits =
                group.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase()).fold(0usize, |bits, (place, _)| bits | (1 << place));
            out.push(CHECK[bits] as char);
        }
    }
    out
}

/// Whether a text can stand in a query as a record id.
pub(crate) fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether change events use this id for "no record in particular".
pub(crate) fn is_wildcard(id: &str) -> bool {
    !is_id(id) || id.bytes().take(15).all(|byte| byte == b'0')
}

/// A place in the stream. Only ever stored, shown and sent back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReplayId(Vec<u8>);

impl ReplayId {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Self::hex`] wrote.
    pub(crate) fn parse(hex: &str) -> Result<Self, Error> {
        let wrong = || Error::ReadCheckpoint { name: String::new(), reason: format!("{hex:?} is not a replay id") };
        if !hex.is_ascii() || hex.len() % 2 == 1 {
            return Err(wrong());
        }
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_ids_get_their_check_characters() {
        assert_eq!(long_id("0015500001QdZPK"), "0015500001QdZPKAA3");
        assert_eq!(long_id("0065500000KQ12X"), "0065500000KQ12XAAT");
        assert_eq!(long_id("0065500000KQ12XAAT"), "0065500000KQ12XAAT");
    }

    #[test]
    fn dummy_and_wildcard_ids_name_no_record() {
        assert!(is_wildcard("000000000000000AAA"));
        assert!(is_wildcard("001*"));
        assert!(!is_wildcard("0015500001QdZPKAA3"));
    }

    #[test]
    fn a_replay_id_survives_being_written_down() {
        let id = ReplayId::new([0, 0, 0, 0, 0, 0x10, 0xdb, 0x4d, 0, 0]);
        assert_eq!(id.hex(), "0000000000 10db4d0000".replace(' ', ""));
        assert_eq!(ReplayId::parse(&id.hex()).ok(), Some(id));
        assert!(ReplayId::parse("xyz").is_err());
        assert!(ReplayId::parse("é0").is_err());
    }
}
