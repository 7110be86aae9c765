//! Encoders for what a processor writes: topic and schema id looked up once, so that deciding awaits nothing.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use schemas::frame;
use schemas::message::Message;
use stream::{Codec, NewRecord};

/// Writes messages of one type to one topic.
#[derive(Debug, Clone)]
pub(crate) struct Channel<M> {
    topic: Arc<str>,
    id: u32,
    message: PhantomData<fn(M)>,
}

impl<M: Message> Channel<M> {
    /// Registers the message's schema for the topic.
    pub(crate) async fn open(codec: &Codec, topic: &str) -> stream::Result<Self> {
        let id = codec.message_id::<M>(topic).await?;
        Ok(Self { topic: topic.into(), id, message: PhantomData })
    }

    /// A record that carries the message.
    pub(crate) fn record(&self, key: impl Into<Bytes>, message: &M) -> NewRecord {
        NewRecord::new(self.topic.clone(), key, framed(self.id, |out| message.put(out)))
    }
}

/// A framed payload in one buffer.
pub(crate) fn framed(id: u32, put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = frame::frame(id, &[]);
    out.reserve(512);
    put(&mut out);
    out
}
