//! All or nothing, and only for those who may.

use std::time::Duration;

use stream::{Error, Polled, Sharing, Start, TopicPartition};

use crate::support::*;

pub(crate) async fn outputs_and_offsets_take_effect_together(f: Fixture) {
    let (input, left, right) = (f.topic("in", 1).await, f.topic("left", 2).await, f.topic("right", 1).await);
    f.log.publish(vec![to(&input, 0, "1"), to(&input, 0, "2")]).await.expect("publishes");
    let mut member = f.member("g", &[&input], Sharing::ByPartition).await;
    let mut producer = f.producer("p").await;
    let records = gather(&mut member, 2).await;
    producer.begin().await.expect("begins");
    producer.send(vec![to(&left, 0, "l0"), to(&left, 1, "l1")]).await.expect("sends");
    producer.send(vec![to(&right, 0, "r")]).await.expect("sends");
    let ends = producer.commit(Some((member.membership().expect("is a member"), after(&records)))).await.expect("commits");
    assert_eq!(ends.len(), 3);
    assert_eq!(f.all(&left).await.len(), 2);
    assert_eq!(texts(&f.all(&right).await), ["r"]);
    let committed = f.log.committed(&f.name("g"), std::slice::from_ref(&input)).await.expect("has offsets");
    assert_eq!(committed[&TopicPartition::new(input.as_str(), 0)], records[1].offset + 1);
    // Offsets alone are a transaction too.
    f.log.publish(vec![to(&input, 0, "3")]).await.expect("publishes");
    let records = gather(&mut member, 1).await;
    producer.begin().await.expect("begins");
    producer.commit(Some((member.membership().expect("is a member"), after(&records)))).await.expect("commits");
    let committed = f.log.committed(&f.name("g"), std::slice::from_ref(&input)).await.expect("has offsets");
    assert_eq!(committed, after(&records));
}

pub(crate) async fn an_aborted_transaction_leaves_nothing(f: Fixture) {
    let (input, output) = (f.topic("in", 1).await, f.topic("out", 1).await);
    f.log.publish(vec![to(&input, 0, "1")]).await.expect("publishes");
    let mut member = f.member("g", &[&input], Sharing::ByPartition).await;
    let mut producer = f.producer("p").await;
    gather(&mut member, 1).await;
    producer.begin().await.expect("begins");
    producer.send(vec![to(&output, 0, "gone")]).await.expect("sends");
    producer.abort().await.expect("aborts");
    f.write(&mut producer, &output, 0, &["kept"]).await;
    assert_eq!(texts(&f.all(&output).await), ["kept"]);
    assert!(f.log.committed(&f.name("g"), &[input]).await.expect("has offsets").is_empty());
}

pub(crate) async fn open_transactions_are_invisible_to_running_readers_and_members(f: Fixture) {
    let topic = f.topic("open", 1).await;
    let mut reader = f.log.reader(vec![(TopicPartition::new(topic.as_str(), 0), Start::Earliest)]).await.expect("opens");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    assigned(&mut member).await;
    let mut producer = f.producer("p").await;
    let (mut read, mut polled) = (Vec::new(), Vec::new());
    for round in 0..6 {
        producer.begin().await.expect("begins");
        producer.send((0..20).map(|n| to(&topic, 0, &format!("{round}-{n}"))).collect()).await.expect("sends");
        // Everybody looks while it is open: nothing of this round may show.
        for _ in 0..2 {
            read.extend(texts(&reader.poll(100, Duration::from_millis(30)).await.expect("reads")));
            if let Polled::Records(records) = member.poll(100, Duration::from_millis(30)).await.expect("polls") {
                polled.extend(texts(&records));
            }
        }
        let open = format!("{round}-");
        assert!(!read.iter().chain(&polled).any(|value| value.starts_with(&open)), "round {round} showed while open");
        if round % 2 == 0 { producer.abort().await.expect("aborts") } else { producer.commit(None).await.map(|_| ()).expect("commits") }
    }
    within(PATIENCE, async {
        while read.len() < 60 || polled.len() < 60 {
            read.extend(texts(&reader.poll(100, Duration::from_millis(30)).await.expect("reads")));
            if let Polled::Records(records) = member.poll(100, Duration::from_millis(30)).await.expect("polls") {
                polled.extend(texts(&records));
            }
        }
    })
    .await;
    let expected: Vec<String> = [1, 3, 5].iter().flat_map(|round| (0..20).map(move |n| format!("{round}-{n}"))).collect();
    assert_eq!(read, expected);
    assert_eq!(polled, expected);
}

pub(crate) async fn a_newer_producer_fences_the_older(f: Fixture) {
    let topic = f.topic("fence", 1).await;
    let mut old = f.producer("p").await;
    f.write(&mut old, &topic, 0, &["before"]).await;
    old.begin().await.expect("begins");
    old.send(vec![to(&topic, 0, "zombie")]).await.expect("sends");
    let mut new = f.producer("p").await;
    f.write(&mut new, &topic, 0, &["after"]).await;
    let error = old.commit(None).await.expect_err("is fenced");
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    // It stays dead, and the newer one goes on.
    let again = async {
        old.begin().await?;
        old.send(vec![to(&topic, 0, "zombie again")]).await?;
        old.commit(None).await
    };
    assert!(again.await.is_err());
    f.write(&mut new, &topic, 0, &["on"]).await;
    assert_eq!(texts(&f.all(&topic).await), ["before", "after", "on"]);
}

pub(crate) async fn a_new_producer_aborts_what_the_older_left_open(f: Fixture) {
    let topic = f.topic("left", 1).await;
    let mut old = f.producer("p").await;
    old.begin().await.expect("begins");
    old.send(vec![to(&topic, 0, "open")]).await.expect("sends");
    drop(old);
    let mut new = f.producer("p").await;
    assert!(f.all(&topic).await.is_empty());
    f.write(&mut new, &topic, 0, &["new"]).await;
    assert_eq!(texts(&f.all(&topic).await), ["new"]);
}

pub(crate) async fn a_failed_commit_can_be_aborted_and_repeated(f: Fixture) {
    let topic = f.topic("again", 1).await;
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    producer.send(vec![to(&topic, 0, "x")]).await.expect("sends");
    assert!(producer.begin().await.is_err(), "a transaction is open already");
    producer.abort().await.expect("aborts");
    f.write(&mut producer, &topic, 0, &["x"]).await;
    assert_eq!(texts(&f.all(&topic).await), ["x"]);
}
