//! COPY's text form: rows by lines, columns by tabs, with backslash escapes.

use bytes::{Buf as _, BytesMut};

/// Cuts whole rows off a stream of COPY data and unescapes their values.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    received: BytesMut,
}

/// One row's values; none is null.
pub(crate) type CopyRow = Vec<Option<Vec<u8>>>;

impl Rows {
    /// Adds what was received.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next whole row.
    pub(crate) fn next(&mut self) -> Option<CopyRow> {
        // A newline inside a value is escaped, so a bare one always ends a row.
        let end = self.received.iter().position(|byte| *byte == b'\n')?;
        let row = self.received[..end].split(|byte| *byte == b'\t').map(value).collect();
        self.received.advance(end + 1);
        Some(row)
    }
}

fn value(escaped: &[u8]) -> Option<Vec<u8>> {
    if escaped == b"\\N" {
        return None;
    }
    let mut text = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        text.push(match bytes.next() {
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'v') => 11,
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(&other) => other,
            None => b'\\',
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_whole_however_they_are_cut() {
        let all = b"1\ta\\tb\\\\\t\\N\n2\t\\n\t\n";
        for cut in 0..all.len() {
            let mut rows = Rows::default();
            let mut found = Vec::new();
            for part in [&all[..cut], &all[cut..]] {
                rows.extend(part);
                while let Some(row) = rows.next() {
                    found.push(row);
                }
            }
            let text = |text: &str| Some(text.as_bytes().to_vec());
            assert_eq!(found, [vec![text("1"), text("a\tb\\"), None], vec![text("2"), text("\n"), text("")]]);
        }
    }
}
