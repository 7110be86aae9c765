//! Transactions of our own: which write made each of their changes.
//!
//! The sink tells it in a message at the end of its transaction (`schemas::stamp`), so the changes of such a transaction are
//! held until its end. A transaction counts as ours by its replication origin alone, which not everybody may set; what others
//! write into messages is not looked at. One that grows beyond [`MOST_HELD`], because a trigger touches very many rows, goes
//! on without its stamps: that only takes longer to be understood, for the origin still says that it is ours.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use schemas::stamp::{self, Stamp};

use super::metrics;
use super::pgoutput::{self, Message};

/// At most so many bytes of one transaction are held. The sink's batches are far below it.
const MOST_HELD: usize = 32 << 20;

/// What stands between the stream and its decoding.
#[derive(Debug)]
pub(crate) struct Ours {
    /// The replication origin under which the sink writes.
    origin: String,
    most: usize,
    /// The transaction that is coming in is held.
    holding: bool,
    bytes: usize,
    held: VecDeque<Bytes>,
    /// Held messages that may go on now.
    released: VecDeque<Bytes>,
    /// Writes by table and record, in the order in which they were carried out.
    stamps: HashMap<String, HashMap<String, VecDeque<String>>>,
}

impl Ours {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            most: MOST_HELD,
            holding: false,
            bytes: 0,
            held: VecDeque::new(),
            released: VecDeque::new(),
            stamps: HashMap::new(),
        }
    }

    /// Whether this is the origin of our own writes.
    pub(crate) fn is_origin(&self, name: &str) -> bool {
        name == self.origin
    }

    /// Takes a message from the stream; gives it back unless it is held. Nothing may be pushed while something is released.
    pub(crate) fn pass(&mut self, message: Bytes) -> Option<Bytes> {
        let kind = message.first().copied();
        if !self.holding {
            match kind {
                Some(b'B') => self.stamps.clear(),
                Some(b'O') => {
                    self.holding = matches!(pgoutput::decode(&message), Ok(Message::Origin { name, .. }) if name == self.origin);
                }
                _ => {}
            }
            return Some(message);
        }
        if kind == Some(b'M')
            && let Ok(Message::Logical { transactional: true, prefix: stamp::PREFIX, content, .. }) = pgoutput::decode(&message)
        {
            match stamp::read(content) {
                Some(stamps) => self.learn(stamps),
                None => tracing::warn!("a transaction of ours carries a message about its writes that cannot be read"),
            }
            return None;
        }
        self.bytes += message.len();
        // A copy, so that a message does not keep the whole piece of the stream that it came in.
        self.held.push_back(Bytes::copy_from_slice(&message));
        if kind == Some(b'C') {
            self.release();
        } else if self.bytes > self.most {
            tracing::warn!(bytes = self.bytes, "a transaction of ours is too large to tell which write made which change");
            metrics::unstamped();
            self.release();
        }
        None
    }

    fn release(&mut self) {
        self.holding = false;
        self.bytes = 0;
        self.released = std::mem::take(&mut self.held);
    }

    fn learn(&mut self, stamps: Vec<Stamp>) {
        for Stamp { object, record, write } in stamps {
            self.stamps.entry(object).or_default().entry(record).or_default().push_back(write);
        }
    }

    /// Whether something waits to go on.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.released.is_empty()
    }

    /// The next message that may go on.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        self.released.pop_front()
    }

    /// Whether the transaction that goes on has stamps at all.
    pub(crate) fn has_stamps(&self) -> bool {
        !self.stamps.is_empty()
    }

    /// The write that made a change of this row. Of several that changed the row, each in its turn; a further change of the
    /// row, by a trigger, belongs to the last.
    pub(crate) fn write(&mut self, object: &str, record: &str) -> Option<String> {
        let writes = self.stamps.get_mut(object)?.get_mut(record)?;
        if writes.len() > 1 { writes.pop_front() } else { writes.front().cloned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Bytes {
        [b"B".as_slice(), &[0; 20]].concat().into()
    }

    fn origin(name: &str) -> Bytes {
        [b"O".as_slice(), &[0; 8], name.as_bytes(), b"\0"].concat().into()
    }

    fn commit() -> Bytes {
        [b"C".as_slice(), &[0; 25]].concat().into()
    }

    fn change() -> Bytes {
        Bytes::from_static(b"I a change, not looked at")
    }

    fn message(flags: u8, prefix: &str, text: &str) -> Bytes {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
        [b"M".as_slice(), &[flags], &[0; 8], prefix.as_bytes(), b"\0", &length, text.as_bytes()].concat().into()
    }

    /// Kinds of the messages that go on, in order, with a mark where the stream's next message came.
    fn through(ours: &mut Ours, messages: Vec<Bytes>) -> String {
        let mut out = String::new();
        for message in messages {
            let passed = ours.pass(message);
            for message in passed.into_iter().chain(std::iter::from_fn(|| ours.next())) {
                out.push(char::from(message[0]));
            }
            out.push('.');
        }
        out
    }

    #[test]
    fn only_a_transaction_of_ours_waits_for_its_end_and_has_stamps() {
        let mut ours = Ours::new("concord");
        let stamps = || message(1, stamp::PREFIX, r#"[["t","1","w1"],["t","1","w2"],["t","2","w2"]]"#);
        assert_eq!(through(&mut ours, vec![begin(), change(), stamps(), commit()]), "B.I.M.C.");
        assert_eq!(through(&mut ours, vec![begin(), origin("another"), change(), stamps(), commit()]), "B.O.I.M.C.");
        assert!(!ours.has_stamps());
        assert_eq!(through(&mut ours, vec![begin(), origin("concord"), change(), stamps(), change(), commit()]), "B.O....IIC.");
        let mut write = |record: &str| ours.write("t", record);
        let (first, second, third) = (write("1"), write("1"), write("1"));
        assert_eq!([first.as_deref(), second.as_deref(), third.as_deref()], [Some("w1"), Some("w2"), Some("w2")]);
        assert_eq!([write("2").as_deref(), write("2").as_deref(), write("3").as_deref()], [Some("w2"), Some("w2"), None]);
        assert_eq!(through(&mut ours, vec![begin(), change(), commit()]), "B.I.C.");
        assert!(!ours.has_stamps(), "the next transaction begins without");
    }

    #[test]
    fn other_messages_keep_their_place_and_what_cannot_be_read_says_nothing() {
        let mut ours = Ours::new("concord");
        let messages = vec![
            begin(),
            origin("concord"),
            message(1, "concord.actor", "Ada"),
            message(0, stamp::PREFIX, r#"[["t","1","w1"]]"#),
            message(1, stamp::PREFIX, "nonsense"),
            change(),
            commit(),
        ];
        assert_eq!(through(&mut ours, messages), "B.O.....MMIC.");
        assert!(!ours.has_stamps());
    }

    #[test]
    fn a_transaction_that_is_too_large_goes_on_without_stamps() {
        let mut ours = Ours { most: 30, ..Ours::new("concord") };
        let stamps = message(1, stamp::PREFIX, r#"[["t","1","w1"]]"#);
        assert_eq!(through(&mut ours, vec![begin(), origin("concord"), change(), change(), change(), stamps, commit()]), "B.O..II.I.M.C.");
        assert!(!ours.has_stamps());
    }
}
