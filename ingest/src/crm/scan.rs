//! Carries out planned scans: a page, its rows as changes, and how far the scan has come, in one log transaction each.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use schemas::cdc::Op;
use schemas::message::{HealthState, SYNC_ID_HEADER};
use stream::NewRecord;

use super::batch::{Batch, Fact, dead_letter};
use super::catalog::Known;
use super::error::Result;
use super::metrics;
use super::progress::Which;
use super::reading::{self, Found};
use super::source::{Source, component};

/// The service gives at most so many rows a page.
const MAX_PAGE_ROWS: usize = 2_000;

/// Records kept in mind; beyond that they are repeated, which does no harm.
const MAX_FRESH: usize = 500_000;

/// Records as a first copy found them, by object and id, as hashes. Only for as long as the stream's first response is
/// waited for: what changed since the copy began is read once more then, and much of it is what was just copied.
#[derive(Default)]
pub(crate) struct Fresh {
    hasher: RandomState,
    seen: HashMap<(String, String), u64>,
}

impl Fresh {
    fn remember(&mut self, object: &str, found: &Found) {
        if self.seen.len() < MAX_FRESH {
            let hash = self.hasher.hash_one(serde_json::to_string(&found.record).unwrap_or_default());
            self.seen.insert((object.to_owned(), found.id.clone()), hash);
        }
    }

    fn has(&self, object: &str, found: &Found) -> bool {
        if self.seen.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(serde_json::to_string(&found.record).unwrap_or_default());
        self.seen.get(&(object.to_owned(), found.id.clone())) == Some(&hash)
    }
}

impl Source {
    /// Works off the planned scans.
    pub(crate) async fn scan(&mut self) -> Result<()> {
        let mut read = 0;
        while let Some(scan) = self.progress.scan().cloned() {
            let rows = self.config.page_rows.clamp(1, MAX_PAGE_ROWS);
            let known = self.catalog.current(&scan.object, &self.pubsub, &self.rest).await?;
            let page = reading::page(&self.rest, &known, &scan, rows).await?;
            read += page.len();
            self.status.fact("reading", format!("{} ({read} records)", scan.object));
            self.status.set(HealthState::Running, "", "");
            let mut progress = self.progress.clone();
            if let Some(last) = page.last() {
                let newest = page.iter().map(|found| found.modified_ms).max().unwrap_or(0);
                progress.scanned(last.id.clone(), newest);
            }
            if page.len() < rows {
                tracing::info!(crm.object = %scan.object, records = read, "records are read");
                progress.finish_scan();
                read = 0;
            }
            self.users.learn(page.iter().filter_map(|found| found.user.clone()).collect::<BTreeSet<_>>(), &self.rest).await?;
            let mut batch = Batch::default();
            for found in page {
                match scan.which {
                    Which::All if self.progress.position.is_none() => self.fresh.remember(&scan.object, &found),
                    Which::Changed if self.fresh.has(&scan.object, &found) => continue,
                    Which::All | Which::Changed | Which::Deleted => {}
                }
                self.found(&mut batch, &known, found).await?;
            }
            self.tell_usage();
            self.commit(batch, progress).await?;
            // A long copy keeps other tasks of this thread waiting otherwise.
            tokio::task::yield_now().await;
        }
        self.status.no_fact("reading");
        Ok(())
    }

    /// Adds a record as it was found: `r`, or `d` when it is in the recycle bin.
    pub(crate) async fn found(&mut self, batch: &mut Batch, known: &Known, found: Found) -> Result<()> {
        let sync_id = || format!("crm-read-{}-{}", found.id, found.modified_ms);
        let row = if found.deleted { Ok(known.layout.id_row(&found.id)) } else { known.layout.row_of(&found.record) };
        let position = self.progress.position.hex();
        // A record in the recycle bin need not name who put it there.
        let origin = self.users.origin(found.user.as_deref()).filter(|_| !found.deleted);
        let actor = found.user.as_deref().and_then(|user| self.users.name(user));
        let added = row.and_then(|row| {
            let fact = Fact {
                id: found.id.clone(),
                op: if found.deleted { Op::Delete } else { Op::Read },
                row,
                changed: None,
                position,
                transaction: String::new(),
                ordinal: 0,
                committed_ms: found.modified_ms,
                actor,
                origin,
                snapshot: true,
                sync_id: sync_id(),
                merged_into: found.merged_into.clone().filter(|_| found.deleted),
            };
            batch.change(&self.config.name, known, fact)
        });
        match added {
            Ok(()) => Ok(()),
            Err(reason) => {
                let bytes = serde_json::to_vec(&found.record).unwrap_or_default();
                self.set_aside(batch, &known.layout.object, &found.id, sync_id(), bytes, reason).await
            }
        }
    }

    /// Adds a dead letter.
    pub(crate) async fn set_aside(
        &mut self,
        batch: &mut Batch,
        object: &str,
        key: &str,
        sync_id: String,
        bytes: Vec<u8>,
        reason: String,
    ) -> Result<()> {
        tracing::warn!(sync.id = sync_id, crm.object = %object, crm.key = %key, error = %reason, "a record is set aside");
        metrics::events("dead", 1);
        let topic = self.topics.dead_letters(&self.topics.cdc_crm(object));
        let letter = dead_letter(&component(&self.config.name), &self.channel, key, bytes, reason);
        let value = self.codec.encode(&topic, &letter).await?;
        batch.records.push(NewRecord::new(topic, key.to_owned(), value).header(SYNC_ID_HEADER, sync_id));
        Ok(())
    }
}
