//! The id that follows one edit from its source to its last effect, as sinks find it on records and hand it on.

use bytes::Bytes;
use schemas::message::SYNC_ID_HEADER;
use stream::{NewRecord, Record};

/// The id a record carries.
pub(crate) fn sync_id(record: &Record) -> Option<Bytes> {
    record.headers.iter().find(|(name, _)| &**name == SYNC_ID_HEADER).map(|(_, value)| value.clone())
}

/// An id for logs.
pub(crate) fn shown(id: Option<&Bytes>) -> Option<&str> {
    id.and_then(|id| std::str::from_utf8(id).ok())
}

/// The same record under an edit's id.
pub(crate) fn with_sync_id(record: NewRecord, id: Option<&Bytes>) -> NewRecord {
    match id {
        Some(id) => record.header(SYNC_ID_HEADER, id.clone()),
        None => record,
    }
}
