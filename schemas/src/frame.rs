//! The Confluent wire format: a zero byte, the schema id as four big-endian bytes, the Avro binary.

/// Why bytes are not a framed message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// Fewer than five bytes.
    #[error("the message has {0} bytes, but the wire format needs at least 5")]
    Short(usize),
    /// The first byte is not zero.
    #[error("the message starts with byte {0:#04x} instead of the wire format's zero")]
    Magic(u8),
}

/// Puts the five-byte head before a payload.
pub fn frame(schema_id: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + payload.len());
    out.push(0);
    out.extend_from_slice(&schema_id.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Takes the head off: schema id and payload.
///
/// # Errors
/// [`FrameError`] when the bytes are not framed.
pub fn unframe(bytes: &[u8]) -> Result<(u32, &[u8]), FrameError> {
    let (head, payload) = bytes.split_first_chunk::<5>().ok_or(FrameError::Short(bytes.len()))?;
    if head[0] != 0 {
        return Err(FrameError::Magic(head[0]));
    }
    Ok((u32::from_be_bytes([head[1], head[2], head[3], head[4]]), payload))
}
