//! What the log in memory can be made to do wrong.

use std::sync::Arc;
use std::time::Duration;

use stream::memory::Call;
use stream::{Class, Error, Log as _, MemoryLog, MemoryOptions, Polled, Sharing, Start, TopicPartition};

use crate::support::*;

fn broken() -> (MemoryLog, Fixture) {
    let log = MemoryLog::new(MemoryOptions { seed: 11, member_timeout: Duration::from_secs(30), ..MemoryOptions::with_clock(|| 1_000) });
    (log.clone(), Fixture::new(Arc::new(log), 0))
}

#[tokio::test]
async fn refused_calls_have_no_effect_and_then_it_works_again() {
    let (log, f) = broken();
    let topic = f.topic("t", 1).await;
    log.faults().refuse_next(Call::Publish, 2);
    for _ in 0..2 {
        assert_eq!(f.log.publish(vec![to(&topic, 0, "no")]).await.expect_err("fails").class(), Class::Transient);
    }
    f.log.publish(vec![to(&topic, 0, "yes")]).await.expect("publishes");
    assert_eq!(texts(&f.all(&topic).await), ["yes"]);
    log.faults().disconnect(true);
    assert!(f.log.topics().await.is_err());
    log.faults().disconnect(false);
    assert_eq!(log.faults().injected(), 3);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_has_taken_effect() {
    let (log, f) = broken();
    let topic = f.topic("t", 1).await;
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    producer.send(vec![to(&topic, 0, "there")]).await.expect("sends");
    log.faults().lose_next_answer(Call::Commit, 1);
    assert!(matches!(producer.commit(None).await, Err(Error::Unavailable { .. })));
    producer.abort().await.expect("answers");
    assert_eq!(texts(&f.all(&topic).await), ["there"]);
    f.write(&mut producer, &topic, 0, &["on"]).await;
}

#[tokio::test]
async fn a_full_disk_refuses_commits_until_there_is_room() {
    let (log, f) = broken();
    let topic = f.topic("t", 1).await;
    log.faults().disk_full(true);
    assert!(matches!(f.log.publish(vec![to(&topic, 0, "x")]).await, Err(Error::Storage { .. })));
    log.faults().disk_full(false);
    f.log.publish(vec![to(&topic, 0, "y")]).await.expect("publishes");
    assert_eq!(texts(&f.all(&topic).await), ["y"]);
}

#[tokio::test]
async fn held_visibility_shows_commits_later_and_in_order() {
    let (log, f) = broken();
    let topic = f.topic("t", 1).await;
    log.faults().hold_visibility(true);
    f.log.publish(vec![to(&topic, 0, "a")]).await.expect("publishes");
    f.log.publish(vec![to(&topic, 0, "b")]).await.expect("publishes");
    let start = TopicPartition::new(topic.as_str(), 0);
    let mut reader = log.reader(vec![(start.clone(), Start::Earliest)]).await.expect("opens a reader");
    assert!(reader.poll(10, Duration::from_millis(10)).await.expect("reads").is_empty());
    assert_eq!(log.ends(&topic).await.expect("has ends").get(&start), Some(&2));
    log.faults().hold_visibility(false);
    assert_eq!(texts(&f.all(&topic).await), ["a", "b"]);
}

#[tokio::test]
async fn a_forced_rebalance_takes_and_gives_again() {
    let (log, f) = broken();
    let topic = f.topic("t", 2).await;
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    let owned = assigned(&mut member).await;
    log.faults().rebalance(&f.name("g"));
    let Polled::Revoked(gone) = member.poll(1, Duration::ZERO).await.expect("polls") else { panic!("nothing was revoked") };
    assert_eq!(gone, owned);
    assert_eq!(assigned(&mut member).await, owned);
}

#[tokio::test]
async fn an_evicted_member_and_a_fenced_producer_cannot_commit() {
    let (log, f) = broken();
    let topic = f.topic("t", 1).await;
    f.log.publish(vec![to(&topic, 0, "a")]).await.expect("publishes");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    let records = gather(&mut member, 1).await;
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    log.faults().evict(&f.name("g"));
    let error = producer.commit(Some((member.membership().expect("was one"), after(&records)))).await.expect_err("is refused");
    assert!(matches!(error, Error::Fenced(_)));
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    log.faults().fence(&f.name("p"));
    assert!(matches!(producer.commit(None).await, Err(Error::Fenced(_))));
}

#[tokio::test]
async fn a_repeated_delivery_happens_once_and_only_when_asked_for() {
    let (log, f) = broken();
    let topic = f.topic("t", 1).await;
    f.log.publish(vec![to(&topic, 0, "a")]).await.expect("publishes");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    assigned(&mut member).await;
    log.faults().repeat_next_delivery(1);
    assert_eq!(texts(&gather(&mut member, 2).await), ["a", "a"]);
}

#[tokio::test]
async fn who_does_not_poll_in_time_loses_its_partitions_to_who_waits() {
    let log = MemoryLog::new(MemoryOptions { member_timeout: Duration::from_millis(60), ..MemoryOptions::with_clock(|| 1_000) });
    let f = Fixture::new(Arc::new(log), 0);
    let topic = f.topic("t", 1).await;
    let mut silent = f.member("g", &[&topic], Sharing::One).await;
    assigned(&mut silent).await;
    let mut waiting = f.member("g", &[&topic], Sharing::One).await;
    let begun = std::time::Instant::now();
    assert!(matches!(waiting.poll(1, PATIENCE).await.expect("polls"), Polled::Assigned(_)));
    assert!(begun.elapsed() >= Duration::from_millis(40), "{:?}", begun.elapsed());
    assert!(matches!(silent.poll(1, Duration::ZERO).await.expect("polls"), Polled::Revoked(_)));
}
