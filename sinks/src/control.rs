//! Follows the setting `pause` on topic `control`, which holds both write sinks.

use std::sync::Arc;
use std::time::Duration;

use schemas::message::Setting;
use schemas::topic::Topics;
use stream::{Codec, Log, Start, TopicPartition};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who paused writing; none while it is not paused.
pub(crate) type Paused = Option<String>;

/// Follows the setting in a task that ends with `stop`.
pub(crate) fn follow(log: Arc<dyn Log>, codec: Codec, topics: &Topics, stop: CancellationToken) -> watch::Receiver<Paused> {
    let (sender, receiver) = watch::channel(None);
    let topic = topics.control();
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            let followed = tokio::select! {
                () = stop.cancelled() => return,
                followed = read(&log, &codec, &topic, &sender) => followed,
            };
            if let Err(error) = followed {
                tracing::warn!(topic, %error, "settings cannot be read; trying again");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    receiver
}

async fn read(log: &Arc<dyn Log>, codec: &Codec, topic: &str, paused: &watch::Sender<Paused>) -> stream::Result<()> {
    let mut reader = log.reader(vec![(TopicPartition::new(topic, 0), Start::Earliest)]).await?;
    loop {
        for record in reader.poll(100, Duration::from_secs(1)).await? {
            match codec.message::<Setting>(&record).await {
                Ok(Some(setting)) if setting.name == "pause" => {
                    let now = says_paused(&setting.value).then_some(setting.actor);
                    paused.send_if_modified(|was| std::mem::replace(was, now.clone()) != now);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(topic, offset = record.offset, %error, "a setting cannot be read and is passed over"),
            }
        }
    }
}

fn says_paused(json: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(json).is_ok_and(|value| value["paused"] == true)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_plain_true_pauses() {
        assert!(super::says_paused(r#"{"paused": true}"#));
        assert!(!super::says_paused(r#"{"paused": false}"#));
        assert!(!super::says_paused("nonsense"));
    }
}
