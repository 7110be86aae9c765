//! Reads a source's checkpoint back from the log.

use std::time::Duration;

use schemas::message::Checkpoint;
use stream::{Codec, Log, Start};

use super::error::{Error, Result};
use super::progress::Progress;

const POLL: Duration = Duration::from_millis(200);

/// The source's last checkpoint, or its beginning. The source's producer must be open already, so that nothing older
/// can still commit.
pub(crate) async fn load(log: &dyn Log, codec: &Codec, topic: &str, name: &str) -> Result<Progress> {
    let ends = log.ends(topic).await?;
    let mut reader = log.reader(ends.keys().map(|partition| (partition.clone(), Start::Earliest)).collect()).await?;
    let mut progress = Progress::new(name);
    loop {
        let at = reader.position().await?;
        if ends.iter().all(|(partition, end)| at.get(partition).is_some_and(|offset| offset >= end)) {
            return Ok(progress);
        }
        for record in reader.poll(1000, POLL).await? {
            if record.key.as_deref() != Some(name.as_bytes()) {
                continue;
            }
            progress = match codec.message::<Checkpoint>(&record).await {
                Ok(Some(checkpoint)) => Progress::parse(checkpoint)?,
                Ok(None) => Progress::new(name),
                Err(stream::Error::Decode { reason, .. }) => return Err(Error::ReadCheckpoint { name: name.to_owned(), reason }),
                Err(error) => return Err(error.into()),
            };
        }
    }
}
