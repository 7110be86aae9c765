//! A transactional producer of one process: buffers, then hands over the whole transaction.

use std::sync::Arc;

use async_trait::async_trait;

use super::member::consumed;
use super::{Broker, Call, Placed, Transaction, answered};
use crate::error::Error;
use crate::log::{Membership, NewRecord, Offsets, Producer, Result};

/// A producer; a newer one of the same id fences it.
pub(crate) struct InProcessProducer {
    broker: Arc<Broker>,
    id: Arc<str>,
    epoch: u64,
    open: Option<Vec<Placed>>,
    bytes: usize,
}

impl InProcessProducer {
    pub(super) async fn open(broker: Arc<Broker>, id: &str) -> Result<Self> {
        let id: Arc<str> = id.into();
        loop {
            let settled = broker.state().settled.clone();
            let mut notified = std::pin::pin!(settled.notified());
            notified.as_mut().enable();
            let epoch = broker.state().open_producer(&id);
            if let Some(epoch) = epoch {
                return Ok(Self { broker, id, epoch, open: None, bytes: 0 });
            }
            notified.await;
        }
    }

    fn refused(&self, reason: &str) -> Error {
        Error::Refused { doing: format!("a transaction of {}", self.id), reason: reason.to_owned() }
    }
}

#[async_trait]
impl Producer for InProcessProducer {
    async fn begin(&mut self) -> Result<()> {
        self.broker.storage.gate(Call::Begin)?;
        self.broker.state().check_producer(&self.id, self.epoch)?;
        if self.open.is_some() {
            return Err(self.refused("the one before is neither committed nor aborted"));
        }
        self.open = Some(Vec::new());
        self.bytes = 0;
        Ok(())
    }

    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        self.broker.storage.gate(Call::Send)?;
        let Some(mut open) = self.open.take() else { return Err(self.refused("none is open")) };
        let before = open.len();
        let placed = self.broker.place(records, &mut open);
        if placed.is_err() {
            open.truncate(before);
        }
        self.open = Some(open);
        self.bytes += placed?;
        if self.bytes > self.broker.limits.transaction_bytes {
            return Err(self.refused(&format!("it is larger than {} bytes; commit more often", self.broker.limits.transaction_bytes)));
        }
        Ok(())
    }

    async fn commit(&mut self, offsets: Option<(Membership, Offsets)>) -> Result<Offsets> {
        let gate = self.broker.storage.gate(Call::Commit)?;
        let consumed = offsets.map(|(membership, offsets)| consumed(&self.broker, &membership, &offsets)).transpose()?;
        let Some(records) = self.open.take() else { return Err(self.refused("none is open")) };
        let transaction = Transaction { producer: Some((self.id.clone(), self.epoch)), records, consumed };
        let ends = self.broker.storage.commit(transaction).await?;
        answered(gate, "committing a transaction")?;
        let state = self.broker.state();
        Ok(ends.into_iter().map(|(pid, end)| (state.partitions[pid].at.clone(), end)).collect())
    }

    async fn abort(&mut self) -> Result<()> {
        self.broker.storage.gate(Call::Abort)?;
        self.open = None;
        self.broker.state().check_producer(&self.id, self.epoch)
    }
}
