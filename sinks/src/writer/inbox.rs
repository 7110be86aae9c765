//! Reads writes from the log into the window, and keeps the membership alive when there is no room for more.

use std::time::Duration;

use schemas::message::{Side, Write};
use stream::{Class, Codec, Member, MemberConfig, Membership, Offsets, Polled, Record, Sharing, Start};

use super::Shell;
use super::job::Job;
use super::outbox::Outbox;
use super::window::Window;
use crate::clock::Clock;
use crate::error::Error;
use crate::sync_id::sync_id;

pub(crate) struct Inbox {
    member: Box<dyn Member>,
    codec: Codec,
    clock: Clock,
    side: Side,
    most: usize,
    linger: Duration,
}

/// Records more than were asked for that a keepalive poll may bring.
const KEEPALIVE_RECORDS: usize = 1;

impl Inbox {
    pub(crate) async fn join(shell: &Shell, side: Side, component: &str) -> Result<Self, Error> {
        let topic = shell.topics.writes(side);
        let config = MemberConfig { group: shell.group.clone(), topics: vec![topic], sharing: Sharing::One, start: Start::Earliest };
        let member = shell.log.join(config).await?;
        tracing::info!(component, group = shell.group, "joined");
        Ok(Self { member, codec: shell.codec.clone(), clock: shell.clock.clone(), side, most: shell.pace.batch, linger: shell.pace.linger })
    }

    /// Commits offsets by themselves, which nothing but a planted bug does.
    pub(crate) async fn commit(&mut self, offsets: &Offsets) -> Result<(), Error> {
        Ok(self.member.commit(offsets).await?)
    }

    pub(crate) fn membership(&self) -> Result<Membership, Error> {
        Ok(self.member.membership()?)
    }

    /// Reads what is there, waiting up to `wait` for the first and a little for more while a batch is filling.
    /// While writing is held, a bounded number is read and the rest stays where it is.
    pub(crate) async fn read(&mut self, window: &mut Window, outbox: &mut Outbox, wait: Duration, held: bool) -> Result<(), Error> {
        let room = window.room();
        if room == 0 {
            // Nothing can be tried or nothing more fits: stay a member, and do not spin.
            self.keep_alive(window, outbox).await?;
            tokio::time::sleep(wait.min(Duration::from_millis(100))).await;
            return Ok(());
        }
        let mut read = self.poll(room.min(self.most), wait, window, outbox).await?;
        let until = (self.clock)() + crate::clock::micros(self.linger);
        // A lone write goes at once; several at a time mean that more are on their way.
        while !held && read >= 2 && window.waiting((self.clock)()) < self.most && window.room() > 0 {
            let left = until - (self.clock)();
            let Ok(left @ 1..) = u64::try_from(left) else { break };
            read = self.poll(window.room().min(self.most), Duration::from_micros(left), window, outbox).await?;
        }
        Ok(())
    }

    /// Polls without making room: what comes beyond it is put back.
    pub(crate) async fn keep_alive(&mut self, window: &mut Window, outbox: &mut Outbox) -> Result<(), Error> {
        if window.room() > KEEPALIVE_RECORDS {
            self.poll(window.room().min(self.most), Duration::ZERO, window, outbox).await?;
            return Ok(());
        }
        match self.member.poll(KEEPALIVE_RECORDS, Duration::ZERO).await? {
            Polled::Records(records) => {
                let mut put_back = Offsets::new();
                for record in records {
                    put_back.entry(record.partition).or_insert(record.offset);
                }
                for (partition, offset) in put_back {
                    self.member.seek(&partition, Start::Offset(offset)).await?;
                }
            }
            Polled::Assigned(_) => {}
            Polled::Revoked(partitions) => window.revoke(&partitions),
        }
        Ok(())
    }

    async fn poll(&mut self, most: usize, wait: Duration, window: &mut Window, outbox: &mut Outbox) -> Result<usize, Error> {
        match self.member.poll(most, wait).await? {
            Polled::Records(records) => {
                let count = records.len();
                for record in records {
                    self.take_in(record, window, outbox).await?;
                }
                Ok(count)
            }
            Polled::Assigned(partitions) => {
                tracing::info!(side = %self.side, count = partitions.len(), "partitions assigned");
                Ok(0)
            }
            Polled::Revoked(partitions) => {
                tracing::info!(side = %self.side, count = partitions.len(), "partitions revoked");
                window.revoke(&partitions);
                Ok(0)
            }
        }
    }

    async fn take_in(&mut self, record: Record, window: &mut Window, outbox: &mut Outbox) -> Result<(), Error> {
        let read_at = (self.clock)();
        if !window.is_new(&record.partition, record.offset) {
            // Delivered again while we still had it.
            return Ok(());
        }
        match self.codec.message::<Write>(&record).await {
            Ok(Some(write)) if write.side == self.side => {
                let sync = sync_id(&record);
                let Record { partition, offset, key, value, .. } = record;
                window.push(Job { write, partition, offset, key, value, sync, attempts: 0, read_at });
            }
            Ok(Some(write)) => {
                let reason = format!("a write to the {} stands among those to the {}", write.side, self.side);
                outbox
                    .set_aside(
                        &record,
                        reason,
                        "It was put there by a faulty program; look at who writes to this topic".to_owned(),
                        read_at,
                    )
                    .await?;
                window.pass(record.partition, record.offset);
            }
            Ok(None) => window.pass(record.partition, record.offset),
            Err(error) if error.class() == Class::Record => {
                let remedy = "It was written by another program or damaged; nothing was done with it".to_owned();
                outbox.set_aside(&record, error.to_string(), remedy, read_at).await?;
                window.pass(record.partition, record.offset);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
