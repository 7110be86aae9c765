//! `kill -9` in the middle of commits, many times, on one folder.
//!
//! The test runs this binary again as a child, which writes transactions in a loop and says which were acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use schemas::topic::{Cleanup, TopicConfig};
use stream::{EmbeddedLog, Error, Fsync, MemberConfig, Sharing, Start};

use crate::embedded::small;
use crate::support::*;

const FOLDER: &str = "STREAM_CRASH_FOLDER";
const POLICY: &str = "STREAM_CRASH_FSYNC";
const PARTITIONS: u32 = 3;
const ROUNDS: u64 = 12;

fn policy(name: &str) -> Fsync {
    match name {
        "every" => Fsync::EveryCommit,
        "interval" => Fsync::Interval(Duration::from_millis(3)),
        _ => Fsync::Never,
    }
}

fn topics() -> Vec<TopicConfig> {
    let config = |name: &str, cleanup| TopicConfig { name: name.into(), partitions: PARTITIONS, cleanup };
    vec![config("in", Cleanup::Delete { days: 7 }), config("out", Cleanup::Delete { days: 7 }), config("state", Cleanup::Compact)]
}

/// The log of a child and of its judge.
async fn open(place: &str, policy_name: &str) -> Fixture {
    if policy_name == "kafka" {
        let options = crate::kafka::options(place.to_owned());
        return Fixture::new(std::sync::Arc::new(stream::KafkaLog::connect(options).await.expect("connects")), 0);
    }
    Fixture::new(std::sync::Arc::new(EmbeddedLog::open(place, small(policy(policy_name))).expect("opens")), 0)
}

/// What a child does: transaction after transaction, each with a record in every partition of two topics and an offset.
#[expect(clippy::disallowed_macros, reason = "this is how the child tells what was acknowledged")]
async fn child(place: &str, policy_name: &str) {
    let f = open(place, policy_name).await;
    f.log.create_topics(&topics()).await.expect("creates");
    let mut producer = f.log.producer("writer").await.expect("opens");
    let done = f.all("out").await.iter().map(|record| text(record).parse::<u64>().expect("a number") + 1).max().unwrap_or(0);
    let config = MemberConfig { group: "g".into(), topics: vec!["in".into()], sharing: Sharing::ByPartition, start: Start::Earliest };
    let mut member = f.log.join(config).await.expect("joins");
    let owned = assigned(&mut member).await;
    for number in done.. {
        producer.begin().await.expect("begins");
        let filler = "x".repeat((number % 7 * 300) as usize);
        for partition in 0..PARTITIONS {
            let state = stream::NewRecord {
                partition: Some(partition),
                ..stream::NewRecord::new("state", format!("key-{}", number % 5), format!("{number} {filler}"))
            };
            producer.send(vec![to("out", partition, &number.to_string()), state]).await.expect("sends");
        }
        let offsets = owned.iter().map(|at| (at.clone(), number + 1)).collect();
        producer.commit(Some((member.membership().expect("is a member"), offsets))).await.expect("commits");
        println!("acknowledged {number}");
    }
}

#[test]
fn a_child_writes_until_it_is_killed() {
    // Without a folder this is not a child, and there is nothing to do.
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    runtime.block_on(child(&folder, &std::env::var(POLICY).unwrap_or_default()));
}

async fn whole_transactions_are_left(place: &str, policy_name: &str, rounds: u64) {
    let mut acknowledged: Option<u64> = None;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().expect("runs"))
            .args(["--exact", "crash::a_child_writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, place)
            .env(POLICY, policy_name)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts");
        // Killed after another number of acknowledgements each time, wherever it happens to be then.
        let wanted = 3 + (round * 7919) % 400;
        let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            if let Some(number) = line.split("acknowledged ").nth(1).and_then(|number| number.parse().ok()) {
                acknowledged = Some(number);
                seen += 1;
                if seen == wanted {
                    child.kill().expect("is killed");
                }
            }
        }
        child.wait().expect("ends");
        assert!(seen >= wanted, "the child ended by itself after {seen} transactions");
        check(&open(place, policy_name).await, acknowledged).await;
    }
}

/// Everything acknowledged is there; the last transaction is there in all partitions or in none; offsets go with it.
async fn check(f: &Fixture, acknowledged: Option<u64>) {
    // What the killed one left open is aborted.
    drop(f.log.producer("writer").await.expect("opens"));
    let out = by_partition(&f.all("out").await);
    let count = out[&0].len() as u64;
    assert!(Some(count) > acknowledged, "{count} transactions are left of {acknowledged:?} acknowledged");
    let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    for partition in 0..PARTITIONS {
        assert!(out[&partition] == expected, "partition {partition} has {} of {count}", out[&partition].len());
    }
    let mut state: BTreeMap<(u32, String), u64> = BTreeMap::new();
    for record in f.all("state").await {
        let number = text(&record).split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
        state.insert((record.partition.partition, String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()), number);
    }
    for number in count.saturating_sub(5)..count {
        for partition in 0..PARTITIONS {
            assert_eq!(state[&(partition, format!("key-{}", number % 5))], number);
        }
    }
    let committed = f.log.committed("g", &["in".into()]).await.expect("has offsets");
    assert_eq!(committed.len() as u32, PARTITIONS);
    assert!(committed.values().all(|offset| *offset == count), "{committed:?} after {count} transactions");
}

async fn in_a_folder(policy_name: &str) {
    let dir = tempfile::tempdir().expect("makes a folder");
    whole_transactions_are_left(&dir.path().to_string_lossy(), policy_name, ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_a_prefix_of_whole_transactions_is_left_on_kafka() {
    whole_transactions_are_left(&crate::kafka::bootstrap().await, "kafka", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_a_prefix_of_whole_transactions_is_left_without_fsync() {
    in_a_folder("never").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_a_prefix_of_whole_transactions_is_left_with_fsync_now_and_then() {
    in_a_folder("interval").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_a_prefix_of_whole_transactions_is_left_with_fsync_at_every_commit() {
    in_a_folder("every").await;
}

#[tokio::test]
async fn a_journal_cut_anywhere_leaves_a_prefix_of_whole_transactions() {
    let dir = tempfile::tempdir().expect("makes a folder");
    {
        let f = Fixture::new(std::sync::Arc::new(EmbeddedLog::open(dir.path(), stream::EmbeddedOptions::default()).expect("opens")), 0);
        f.log.create_topics(&topics()).await.expect("creates");
        let mut producer = f.log.producer("p").await.expect("opens");
        for number in 0..8 {
            producer.begin().await.expect("begins");
            for partition in 0..PARTITIONS {
                producer.send(vec![to("out", partition, &format!("{number}"))]).await.expect("sends");
            }
            producer.commit(None).await.expect("commits");
        }
    }
    let name = std::fs::read_dir(dir.path())
        .expect("lists")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains("journal-"));
    let journal = name.expect("has a journal");
    let whole = std::fs::read(&journal).expect("reads");
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=whole.len()).rev().step_by(13) {
        let copy = tempfile::tempdir().expect("makes a folder");
        let mut bytes = whole[..cut].to_vec();
        // What a power loss leaves behind the last whole frame is anything.
        bytes.extend_from_slice(&[0xA5; 11]);
        std::fs::write(copy.path().join(journal.file_name().expect("has a name")), bytes).expect("writes");
        let f = Fixture::new(std::sync::Arc::new(EmbeddedLog::open(copy.path(), stream::EmbeddedOptions::default()).expect("opens")), 0);
        if !f.log.topics().await.expect("lists").contains(&"out".to_owned()) {
            continue;
        }
        let found = by_partition(&f.all("out").await);
        let count = found.get(&0).map_or(0, Vec::len);
        assert!((0..PARTITIONS).all(|partition| found.get(&partition).map_or(0, Vec::len) == count));
        seen.insert(count);
        // And it goes on from there.
        f.log.create_topics(&topics()).await.expect("creates");
        f.log.publish(vec![to("out", 0, "on")]).await.expect("publishes");
        assert_eq!(by_partition(&f.all("out").await)[&0].len(), count + 1);
    }
    assert_eq!(seen, (0..=8).collect());
}

#[tokio::test]
async fn a_second_opener_is_refused_and_told_why() {
    let dir = tempfile::tempdir().expect("makes a folder");
    let first = EmbeddedLog::open(dir.path(), stream::EmbeddedOptions::default()).expect("opens");
    let Err(error) = EmbeddedLog::open(dir.path(), stream::EmbeddedOptions::default()) else { panic!("opened twice") };
    assert!(matches!(error, Error::Refused { .. }));
    assert!(error.to_string().contains("another process has this log open"), "{error}");
    drop(first);
    EmbeddedLog::open(dir.path(), stream::EmbeddedOptions::default()).expect("opens once the first is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_log_opens_with_everything_and_time_still_finds_its_place() {
    let dir = tempfile::tempdir().expect("makes a folder");
    let (mut all, mut value) = (Vec::new(), 0);
    for _ in 0..4 {
        let f = Fixture::new(std::sync::Arc::new(EmbeddedLog::open(dir.path(), small(Fsync::Never)).expect("opens")), 0);
        f.log.create_topics(&topics()).await.expect("creates");
        let mut producer = f.log.producer("p").await.expect("opens");
        for _ in 0..60 {
            let values: Vec<String> = (value..value + 100).map(|n| format!("{n} {}", "y".repeat(90))).collect();
            value += 100;
            f.write(&mut producer, "out", 1, &values.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
        all = f.all("out").await;
        assert_eq!(all.len(), value);
    }
    let f = Fixture::new(std::sync::Arc::new(EmbeddedLog::open(dir.path(), small(Fsync::Never)).expect("opens")), 0);
    assert_eq!(f.all("out").await, all);
    for at in [0, 1, 99, 4321, 12_345, 20_001, value - 1] {
        assert_eq!(f.from("out", Start::Offset(all[at].offset)).await, all[at..]);
        let ms = all[at].timestamp_ms;
        let first = all.iter().position(|record| record.timestamp_ms >= ms).expect("is there");
        assert_eq!(f.from("out", Start::Time(ms)).await.len(), all.len() - first);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_records_go_and_reading_begins_with_what_is_kept() {
    let dir = tempfile::tempdir().expect("makes a folder");
    let f = Fixture::new(std::sync::Arc::new(EmbeddedLog::open(dir.path(), small(Fsync::Never)).expect("opens")), 0);
    let topic = f.topic_with("short", 1, Cleanup::Delete { days: 0 }).await;
    let value = "z".repeat(10_000);
    let mut written = 0;
    let left = within(PATIENCE, async {
        loop {
            f.log.publish((0..20).map(|_| to(&topic, 0, &value)).collect()).await.expect("publishes");
            written += 20;
            let left = f.all(&topic).await;
            if left.first().is_none_or(|record| record.offset > 200) {
                return left;
            }
        }
    })
    .await;
    assert!(left.len() < written);
    // Whoever had committed what has expired goes on with the oldest that is kept.
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    let owned = assigned(&mut member).await;
    member.commit(&owned.iter().map(|at| (at.clone(), 3)).collect()).await.expect("commits");
    drop(member);
    f.log.publish(vec![to(&topic, 0, "newest")]).await.expect("publishes");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    assert!(gather(&mut member, 1).await[0].offset > 3);
    // Their files go as soon as a checkpoint no longer names them.
    let folder = dir.path().join("topics").join(format!("{topic}-0"));
    within(PATIENCE, async {
        while std::fs::read_dir(&folder).expect("lists").count() > 6 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_segment_is_an_error_that_names_the_place_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().expect("makes a folder");
    let f = Fixture::new(std::sync::Arc::new(EmbeddedLog::open(dir.path(), stream::EmbeddedOptions::default()).expect("opens")), 0);
    let topic = f.topic("damaged", 2).await;
    f.log.publish((0..10).map(|n| to(&topic, n % 2, &format!("value {n}"))).collect()).await.expect("publishes");
    let folder = dir.path().join("topics").join(format!("{topic}-0"));
    let file = std::fs::read_dir(folder).expect("lists").filter_map(|entry| Some(entry.ok()?.path())).next().expect("has a segment");
    let mut bytes = std::fs::read(&file).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("writes");
    let reader = async |partition| {
        f.log.reader(vec![(stream::TopicPartition::new(topic.as_str(), partition), Start::Earliest)]).await.expect("opens")
    };
    let mut damaged = reader(0).await;
    assert_eq!(texts(&damaged.poll(100, Duration::ZERO).await.expect("reads")), ["value 0", "value 2"]);
    let error = damaged.poll(100, Duration::ZERO).await.expect_err("is damaged");
    assert!(matches!(&error, Error::Storage { reason, .. } if reason.contains("checksum") && reason.contains(".log")), "{error}");
    assert_eq!(reader(1).await.poll(100, Duration::ZERO).await.expect("reads").len(), 5);
}
