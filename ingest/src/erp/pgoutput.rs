//! Decoding of pgoutput, protocol version 1: bytes in, messages out, nothing copied.
//!
//! Promises: never panics and never allocates more than the input could hold, whatever the bytes; a message that is
//! cut short, too long or of an unknown kind is a [`DecodeError`]. Layout: PostgreSQL documentation, "Logical
//! Replication Message Formats". Left out: streamed (version 2) and prepared (version 3) transactions.

use super::lsn::Lsn;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("the message ends inside {0}")]
    Truncated(&'static str),
    /// Bytes are left after the last field.
    #[error("{0} bytes are left after the message's last field")]
    Trailing(usize),
    /// The first byte names no message of this protocol version.
    #[error("message kind {0:#04x} is not known")]
    Kind(u8),
    /// A field has a value that the protocol does not allow.
    #[error("{0} has a value that the protocol does not know")]
    Invalid(&'static str),
    /// A name is not UTF-8.
    #[error("{0} is not UTF-8")]
    Text(&'static str),
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// A transaction's changes follow.
    Begin(Begin),
    /// They are all here.
    Commit(Commit),
    /// The transaction was replayed from elsewhere under this origin.
    Origin {
        /// Position at the origin.
        lsn: Lsn,
        /// Its name.
        name: &'a str,
    },
    /// How a table looks from here on.
    Relation(Relation),
    /// The name of a type that is not built in.
    Type {
        /// Its object id.
        oid: u32,
        /// Schema.
        namespace: &'a str,
        /// Name.
        name: &'a str,
    },
    /// A new row.
    Insert {
        /// Table.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A changed row.
    Update {
        /// Table.
        relation: u32,
        /// What is known of the row before.
        old: Old<'a>,
        /// The row after.
        new: Tuple<'a>,
    },
    /// A row that is gone.
    Delete {
        /// Table.
        relation: u32,
        /// What is known of it.
        old: Old<'a>,
    },
    /// Emptied tables.
    Truncate {
        /// Tables.
        relations: Vec<u32>,
        /// `CASCADE` was given.
        cascade: bool,
        /// `RESTART IDENTITY` was given.
        restart_identity: bool,
    },
    /// A message that `pg_logical_emit_message` put into the log.
    Logical {
        /// Belongs to the transaction around it.
        transactional: bool,
        /// Where it stands.
        lsn: Lsn,
        /// What it is for.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
}

/// The start of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Where its commit record starts.
    pub commit_lsn: Lsn,
    /// When it was committed, microseconds since 2000-01-01.
    pub committed_at: i64,
    /// Its id.
    pub xid: u32,
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Where its commit record starts.
    pub commit_lsn: Lsn,
    /// Where its commit record ends: what may be confirmed.
    pub end_lsn: Lsn,
    /// When it was committed, microseconds since 2000-01-01.
    pub committed_at: i64,
}

/// A table's columns as they are in the messages that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Object id.
    pub oid: u32,
    /// Schema; empty means `pg_catalog`.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `d`, `n`, `f` or `i`.
    pub replica_identity: u8,
    /// Columns in order.
    pub columns: Vec<RelationColumn>,
}

/// One column of a [`Relation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Part of the replica identity.
    pub key: bool,
    /// Name.
    pub name: String,
    /// Type's object id.
    pub type_oid: u32,
    /// Type modifier; -1 means none.
    pub type_modifier: i32,
}

/// What is known of a row before its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old<'a> {
    /// Nothing: the key did not change.
    None,
    /// Its key columns; the others read as null.
    Key(Tuple<'a>),
    /// All of it (replica identity full).
    Full(Tuple<'a>),
}

/// One column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Null.
    Null,
    /// A stored large value that the update did not touch, and that is not sent.
    Unchanged,
    /// Text form.
    Text(&'a [u8]),
    /// Binary form.
    Binary(&'a [u8]),
}

/// A row's values, checked, still as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    columns: u16,
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        usize::from(self.columns)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// The values in order.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let mut input = Input(self.bytes);
        // The bytes were checked when the tuple was made, so nothing is cut off here.
        (0..self.columns).map_while(move |_| input.cell().ok())
    }
}

/// Reads one message.
///
/// # Errors
/// [`DecodeError`] when the bytes are not exactly one message.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut input = Input(bytes);
    let message = match input.u8("message kind")? {
        b'B' => {
            Message::Begin(Begin { commit_lsn: input.lsn()?, committed_at: input.i64("commit time")?, xid: input.u32("transaction id")? })
        }
        b'C' => {
            input.u8("flags")?;
            Message::Commit(Commit { commit_lsn: input.lsn()?, end_lsn: input.lsn()?, committed_at: input.i64("commit time")? })
        }
        b'O' => Message::Origin { lsn: input.lsn()?, name: input.text("origin name")? },
        b'R' => Message::Relation(input.relation()?),
        b'Y' => Message::Type { oid: input.u32("type id")?, namespace: input.text("type schema")?, name: input.text("type name")? },
        b'I' => {
            let relation = input.u32("relation id")?;
            match input.u8("tuple kind")? {
                b'N' => Message::Insert { relation, new: input.tuple()? },
                _ => return Err(DecodeError::Invalid("tuple kind")),
            }
        }
        b'U' => {
            let relation = input.u32("relation id")?;
            let old = match input.u8("tuple kind")? {
                b'N' => Old::None,
                kind => {
                    let old = input.old(kind)?;
                    if input.u8("tuple kind")? != b'N' {
                        return Err(DecodeError::Invalid("tuple kind"));
                    }
                    old
                }
            };
            Message::Update { relation, old, new: input.tuple()? }
        }
        b'D' => {
            let relation = input.u32("relation id")?;
            let kind = input.u8("tuple kind")?;
            Message::Delete { relation, old: input.old(kind)? }
        }
        b'T' => input.truncate()?,
        b'M' => {
            let flags = input.u8("flags")?;
            let lsn = input.lsn()?;
            let prefix = input.text("message prefix")?;
            let length = input.u32("message length")?;
            Message::Logical { transactional: flags & 1 != 0, lsn, prefix, content: input.bytes(length as usize, "message content")? }
        }
        other => return Err(DecodeError::Kind(other)),
    };
    match input.0.len() {
        0 => Ok(message),
        left => Err(DecodeError::Trailing(left)),
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated(field))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Truncated(field))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        Ok(Lsn(u64::from_be_bytes(self.array("log position")?)))
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(DecodeError::Truncated(field))?;
        let text = self.bytes(end, field)?;
        self.u8(field)?;
        std::str::from_utf8(text).map_err(|_| DecodeError::Text(field))
    }

    fn relation(&mut self) -> Result<Relation, DecodeError> {
        let oid = self.u32("relation id")?;
        let namespace = self.text("relation schema")?.to_owned();
        let name = self.text("relation name")?.to_owned();
        let replica_identity = self.u8("replica identity")?;
        let count = usize::from(self.u16("number of columns")?);
        // A column takes at least ten bytes, so a short message cannot ask for much.
        let mut columns = Vec::with_capacity(count.min(self.0.len() / 10));
        for _ in 0..count {
            columns.push(RelationColumn {
                key: self.u8("column flags")? & 1 != 0,
                name: self.text("column name")?.to_owned(),
                type_oid: self.u32("column type")?,
                type_modifier: i32::from_be_bytes(self.array("column type modifier")?),
            });
        }
        Ok(Relation { oid, namespace, name, replica_identity, columns })
    }

    fn truncate(&mut self) -> Result<Message<'a>, DecodeError> {
        let count = self.u32("number of relations")? as usize;
        let options = self.u8("truncate options")?;
        let mut relations = Vec::with_capacity(count.min(self.0.len() / 4));
        for _ in 0..count {
            relations.push(self.u32("relation id")?);
        }
        Ok(Message::Truncate { relations, cascade: options & 1 != 0, restart_identity: options & 2 != 0 })
    }

    fn old(&mut self, kind: u8) -> Result<Old<'a>, DecodeError> {
        match kind {
            b'K' => Ok(Old::Key(self.tuple()?)),
            b'O' => Ok(Old::Full(self.tuple()?)),
            _ => Err(DecodeError::Invalid("tuple kind")),
        }
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, DecodeError> {
        let columns = self.u16("number of values")?;
        let start = self.0;
        for _ in 0..columns {
            self.cell()?;
        }
        Ok(Tuple { columns, bytes: &start[..start.len() - self.0.len()] })
    }

    fn cell(&mut self) -> Result<Cell<'a>, DecodeError> {
        Ok(match self.u8("value kind")? {
            b'n' => Cell::Null,
            b'u' => Cell::Unchanged,
            kind @ (b't' | b'b') => {
                let length = self.u32("value length")? as usize;
                let value = self.bytes(length, "value")?;
                if kind == b't' { Cell::Text(value) } else { Cell::Binary(value) }
            }
            _ => return Err(DecodeError::Invalid("value kind")),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn relation() -> Vec<u8> {
        let mut bytes = b"R".to_vec();
        bytes.extend(7u32.to_be_bytes());
        bytes.extend(b"public\0customers\0d");
        bytes.extend(2u16.to_be_bytes());
        for (flags, name, oid, modifier) in [(1u8, "id", 20u32, -1i32), (0, "name", 1043, 44)] {
            bytes.push(flags);
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.extend(oid.to_be_bytes());
            bytes.extend(modifier.to_be_bytes());
        }
        bytes
    }

    fn update() -> Vec<u8> {
        let mut bytes = b"U".to_vec();
        bytes.extend(7u32.to_be_bytes());
        bytes.extend(b"K\0\x02t\0\0\0\x011n");
        bytes.extend(b"N\0\x02t\0\0\0\x012u");
        bytes
    }

    #[test]
    fn a_relation_names_its_columns_and_key() {
        let bytes = relation();
        let Ok(Message::Relation(found)) = decode(&bytes) else { panic!("not a relation") };
        assert_eq!((found.oid, found.namespace.as_str(), found.name.as_str()), (7, "public", "customers"));
        assert_eq!(found.columns[0], RelationColumn { key: true, name: "id".into(), type_oid: 20, type_modifier: -1 });
        assert_eq!(found.columns[1], RelationColumn { key: false, name: "name".into(), type_oid: 1043, type_modifier: 44 });
    }

    #[test]
    fn an_update_of_the_key_carries_both_rows() {
        let bytes = update();
        let Ok(Message::Update { relation: 7, old: Old::Key(old), new }) = decode(&bytes) else { panic!("not a key update") };
        assert_eq!(old.cells().collect::<Vec<_>>(), [Cell::Text(b"1"), Cell::Null]);
        assert_eq!(new.cells().collect::<Vec<_>>(), [Cell::Text(b"2"), Cell::Unchanged]);
    }

    #[test]
    fn a_message_cut_anywhere_or_with_more_behind_it_is_refused() {
        for whole in [relation(), update(), [b"B".as_slice(), &[0; 20]].concat(), [b"C".as_slice(), &[0; 25]].concat()] {
            assert!(decode(&whole).is_ok());
            for cut in 0..whole.len() {
                assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
            }
            assert_eq!(decode(&[whole, vec![0]].concat()), Err(DecodeError::Trailing(1)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_damage_to_a_message_makes_it_panic(
            kind in prop::sample::select(b"BCORYIUDTM".to_vec()),
            body in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(b't'), Just(b'N'), Just(b'K'), any::<u8>()], 0..64),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut random = vec![kind];
            random.extend(&body);
            let _ = decode(&random);
            for mut whole in [relation(), update()] {
                let place = place.index(whole.len());
                whole[place] = byte;
                if let Ok(Message::Update { new, .. }) = decode(&whole) {
                    prop_assert_eq!(new.cells().count(), new.len());
                }
            }
        }
    }
}
