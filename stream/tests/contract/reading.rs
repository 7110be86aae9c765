//! Order, starts, ends and the shapes of records.

use std::time::Duration;

use bytes::Bytes;
use schemas::topic::{Cleanup, TopicConfig};
use stream::{Error, NewRecord, Start, TopicPartition};

use crate::support::*;

pub(crate) async fn records_of_a_partition_keep_their_order(f: Fixture) {
    let topic = f.topic("order", 2).await;
    let mut producer = f.producer("p").await;
    for round in 0..5 {
        let values: Vec<String> = (0..50).map(|n| format!("{round}-{n}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        f.write(&mut producer, &topic, round % 2, &values).await;
    }
    let records = f.all(&topic).await;
    let expected = |rounds: &[u32]| rounds.iter().flat_map(|round| (0..50).map(move |n| format!("{round}-{n}"))).collect::<Vec<_>>();
    let found = by_partition(&records);
    assert_eq!(found[&0], expected(&[0, 2, 4]));
    assert_eq!(found[&1], expected(&[1, 3]));
    for partition in 0..2 {
        let offsets: Vec<u64> =
            records.iter().filter(|record| record.partition.partition == partition).map(|record| record.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b));
    }
}

pub(crate) async fn keys_choose_the_partition_that_java_clients_choose(f: Fixture) {
    let topic = f.topic("murmur", 5).await;
    let keys: Vec<String> = (0..40).map(|n| format!("entity-{n}")).collect();
    f.log.publish(keys.iter().map(|key| NewRecord::new(topic.as_str(), key.clone(), "v")).collect()).await.expect("publishes");
    f.log.publish(vec![NewRecord::new(topic.as_str(), "elsewhere", "v").placed_by(b"entity-3", 5)]).await.expect("publishes");
    let records = f.all(&topic).await;
    assert_eq!(records.len(), 41);
    for record in records {
        let key = record.key.expect("has a key");
        let placed_by: &[u8] = if &key[..] == b"elsewhere" { b"entity-3" } else { &key };
        assert_eq!(record.partition.partition, schemas::topic::partition(placed_by, 5));
    }
}

pub(crate) async fn a_start_is_an_offset_a_time_or_an_end(f: Fixture) {
    let topic = f.topic("start", 1).await;
    let at = TopicPartition::new(topic.as_str(), 0);
    f.log.publish(vec![to(&topic, 0, "a"), to(&topic, 0, "b")]).await.expect("publishes");
    let early = f.all(&topic).await;
    // A later millisecond than the first two have.
    tokio::time::sleep(Duration::from_millis(5)).await;
    f.log.publish(vec![to(&topic, 0, "c"), to(&topic, 0, "d")]).await.expect("publishes");
    let all = f.all(&topic).await;
    assert_eq!(texts(&all), ["a", "b", "c", "d"]);
    assert!(all[2].timestamp_ms > early[1].timestamp_ms, "the clock of this log moves");
    assert_eq!(texts(&f.from(&topic, Start::Offset(all[1].offset)).await), ["b", "c", "d"]);
    assert_eq!(texts(&f.from(&topic, Start::Time(all[2].timestamp_ms)).await), ["c", "d"]);
    assert_eq!(texts(&f.from(&topic, Start::Time(early[1].timestamp_ms + 1)).await), ["c", "d"]);
    assert_eq!(texts(&f.from(&topic, Start::Time(0)).await).len(), 4);
    assert_eq!(f.from(&topic, Start::Time(all[3].timestamp_ms + 1_000_000)).await.len(), 0);
    let mut latest = f.log.reader(vec![(at.clone(), Start::Latest)]).await.expect("opens");
    let mut offset = f.log.reader(vec![(at, Start::Offset(all[3].offset))]).await.expect("opens");
    f.log.publish(vec![to(&topic, 0, "e")]).await.expect("publishes");
    assert_eq!(texts(&next(&mut latest, 1).await), ["e"]);
    assert_eq!(texts(&next(&mut offset, 2).await), ["d", "e"]);
}

async fn next(reader: &mut Box<dyn stream::Reader>, count: usize) -> Vec<stream::Record> {
    let mut records = Vec::new();
    within(PATIENCE, async {
        while records.len() < count {
            records.extend(reader.poll(count, Duration::from_secs(1)).await.expect("reads"));
        }
    })
    .await;
    records
}

pub(crate) async fn large_empty_and_missing_values_come_back_as_they_were(f: Fixture) {
    let topic = f.topic("shapes", 1).await;
    let large = Bytes::from((0..f.large).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>());
    let record = |key: Option<&'static [u8]>, value: Option<Bytes>| NewRecord {
        topic: topic.as_str().into(),
        partition: Some(0),
        key: key.map(Bytes::from_static),
        value,
        headers: Vec::new(),
    };
    let written = vec![
        record(Some(b"k"), Some(large)),
        record(Some(b"k"), None),
        record(None, Some(Bytes::from_static(b"v"))),
        record(None, None),
        record(Some(b""), Some(Bytes::new())),
    ];
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    producer.send(written.clone()).await.expect("sends");
    producer.commit(None).await.expect("commits");
    f.log.publish(written.clone()).await.expect("publishes");
    let read = f.all(&topic).await;
    let shape = |key: &Option<Bytes>, value: &Option<Bytes>| (key.clone(), value.clone());
    let expected: Vec<_> = written.iter().chain(&written).map(|record| shape(&record.key, &record.value)).collect();
    let found: Vec<_> = read.iter().map(|record| shape(&record.key, &record.value)).collect();
    assert!(found == expected, "{} records differ", found.len());
}

pub(crate) async fn headers_come_back_in_order(f: Fixture) {
    let topic = f.topic("headers", 1).await;
    let record =
        to(&topic, 0, "x").header("sync.id", "0f1e").header("traceparent", "00-11-22-01").header("empty", "").header("sync.id", "again");
    f.log.publish(vec![record.clone()]).await.expect("publishes");
    let read = f.all(&topic).await;
    assert_eq!(read[0].headers, record.headers);
    assert_eq!(read[0].header("traceparent"), Some(&b"00-11-22-01"[..]));
}

pub(crate) async fn a_reader_waits_for_what_is_committed_next(f: Fixture) {
    let topic = f.topic("wait", 2).await;
    let starts = (0..2).map(|partition| (TopicPartition::new(topic.as_str(), partition), Start::Earliest)).collect();
    let mut reader = f.log.reader(starts).await.expect("opens");
    assert!(reader.poll(10, Duration::from_millis(10)).await.expect("reads").is_empty());
    let waiting = tokio::spawn(async move { next(&mut reader, 1).await });
    let mut producer = f.producer("p").await;
    f.write(&mut producer, &topic, 1, &["now"]).await;
    assert_eq!(texts(&within(PATIENCE, waiting).await.expect("ends well")), ["now"]);
}

pub(crate) async fn ends_are_reached_by_readers(f: Fixture) {
    let topic = f.topic("ends", 2).await;
    let (zero, one) = (TopicPartition::new(topic.as_str(), 0), TopicPartition::new(topic.as_str(), 1));
    let empty = f.log.ends(&topic).await.expect("has ends");
    assert_eq!((empty[&zero], empty[&one]), (0, 0));
    let mut producer = f.producer("p").await;
    let committed = f.write(&mut producer, &topic, 0, &["a", "b"]).await;
    let records = f.all(&topic).await;
    assert_eq!(committed.len(), 1);
    assert_eq!(committed[&zero], records[1].offset + 1);
    let ends = f.log.ends(&topic).await.expect("has ends");
    assert!(ends[&zero] >= committed[&zero]);
    assert_eq!(ends[&one], 0);
    // An aborted transaction must not keep a reader from reaching the end.
    producer.begin().await.expect("begins");
    producer.send(vec![to(&topic, 1, "gone")]).await.expect("sends");
    producer.abort().await.expect("aborts");
    assert_eq!(texts(&f.all(&topic).await), ["a", "b"]);
}

pub(crate) async fn what_is_published_stands_at_once(f: Fixture) {
    let topic = f.topic("publish", 3).await;
    let values: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    f.log.publish(values.iter().map(|value| to(&topic, 2, value)).collect()).await.expect("publishes");
    assert_eq!(texts(&f.all(&topic).await), values);
    f.log.publish(Vec::new()).await.expect("publishes nothing");
}

pub(crate) async fn unknown_topics_and_partitions_are_refused(f: Fixture) {
    let (missing, topic) = (f.name("missing"), f.topic("known", 2).await);
    assert!(matches!(f.log.partitions(&missing).await, Err(Error::UnknownTopic(name)) if name == missing));
    assert!(matches!(f.log.ends(&missing).await, Err(Error::UnknownTopic(_))));
    assert!(matches!(f.log.publish(vec![to(&missing, 0, "x")]).await, Err(Error::UnknownTopic(_))));
    assert!(f.log.reader(vec![(TopicPartition::new(missing.as_str(), 0), Start::Earliest)]).await.is_err());
    let config = stream::MemberConfig { group: f.name("g"), topics: vec![missing], sharing: stream::Sharing::One, start: Start::Earliest };
    assert!(matches!(f.log.join(config).await.err(), Some(Error::UnknownTopic(_))));
    assert!(f.log.publish(vec![to(&topic, 2, "x")]).await.is_err());
}

pub(crate) async fn a_topic_keeps_its_number_of_partitions(f: Fixture) {
    let name = f.topic("sized", 3).await;
    let config = |partitions| [TopicConfig { name: name.clone(), partitions, cleanup: Cleanup::Delete { days: 7 } }];
    f.log.create_topics(&config(3)).await.expect("is there already");
    assert!(matches!(f.log.create_topics(&config(4)).await, Err(Error::PartitionCount { found: 3, wanted: 4, .. })));
    assert_eq!(f.log.partitions(&name).await.expect("exists"), 3);
    assert!(f.log.topics().await.expect("has topics").contains(&name));
}

pub(crate) async fn compaction_keeps_the_newest_record_of_each_key(f: Fixture) {
    let topic = f.topic_with("compact", 1, Cleanup::Compact).await;
    let mut producer = f.producer("p").await;
    let value = "x".repeat(200);
    for round in 0..40 {
        producer.begin().await.expect("begins");
        let record = |n: usize| NewRecord::new(topic.as_str(), format!("key-{n}"), format!("{n} {round} {value}"));
        producer.send((0..500).map(record).collect()).await.expect("sends");
        if round == 39 {
            producer.send(vec![NewRecord::tombstone(topic.as_str(), "key-7")]).await.expect("sends");
        }
        producer.commit(None).await.expect("commits");
    }
    // Whenever it happens, and whatever it has got to, the newest of each key is there, in order.
    let compacted = within(PATIENCE, async {
        loop {
            let records = f.all(&topic).await;
            let mut newest = std::collections::BTreeMap::new();
            for record in &records {
                newest.insert(record.key.clone(), text(record));
            }
            assert_eq!(newest.len(), 500);
            for n in (0..500).filter(|n| *n != 7) {
                assert!(newest[&Some(Bytes::from(format!("key-{n}")))].starts_with(&format!("{n} 39 ")));
            }
            assert_eq!(newest[&Some(Bytes::from_static(b"key-7"))], "-");
            assert!(records.is_sorted_by(|a, b| a.offset < b.offset));
            if records.len() < 10_000 {
                return records.len();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            f.log.publish(vec![NewRecord::new(topic.as_str(), "key-0", format!("0 39 {value}"))]).await.expect("publishes");
        }
    })
    .await;
    assert!(compacted >= 500);
}
