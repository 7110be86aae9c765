//! Who reads what, and from where.

use std::collections::BTreeSet;
use std::time::Duration;

use stream::{Error, Member, Polled, Sharing, Start, TopicPartition};

use crate::support::*;

/// Polls all members in turn until the condition on what they own holds.
async fn settle(members: &mut [&mut Box<dyn Member>], done: impl Fn(&[BTreeSet<TopicPartition>]) -> bool) -> Vec<BTreeSet<TopicPartition>> {
    let mut owned = vec![BTreeSet::new(); members.len()];
    within(PATIENCE, async {
        while !done(&owned) {
            for (index, member) in members.iter_mut().enumerate() {
                match member.poll(100, Duration::from_millis(20)).await.expect("polls") {
                    Polled::Assigned(partitions) => owned[index].extend(partitions),
                    Polled::Revoked(partitions) => owned[index].retain(|at| !partitions.contains(at)),
                    Polled::Records(_) => {}
                }
            }
        }
    })
    .await;
    owned
}

pub(crate) async fn partitions_of_the_same_number_meet_in_one_member(f: Fixture) {
    let (left, right) = (f.topic("left", 4).await, f.topic("right", 4).await);
    let mut a = f.member("g", &[&left, &right], Sharing::ByPartition).await;
    let mut b = f.member("g", &[&left, &right], Sharing::ByPartition).await;
    let owned = settle(&mut [&mut a, &mut b], |owned| owned.iter().all(|owned| owned.len() == 4)).await;
    for owned in &owned {
        let numbers = |topic: &str| owned.iter().filter(|at| *at.topic == *topic).map(|at| at.partition).collect::<BTreeSet<_>>();
        assert_eq!(numbers(&left), numbers(&right));
        assert_eq!(numbers(&left).len(), 2);
    }
    assert!(owned[0].is_disjoint(&owned[1]));
}

pub(crate) async fn a_stale_member_cannot_commit(f: Fixture) {
    let (input, output) = (f.topic("in", 1).await, f.topic("out", 1).await);
    f.log.publish(vec![to(&input, 0, "1")]).await.expect("publishes");
    let mut old = f.member("g", &[&input], Sharing::ByPartition).await;
    let mut producer = f.producer("p").await;
    let records = gather(&mut old, 1).await;
    let stale = old.membership().expect("is a member");
    drop(old);
    let mut new = f.member("g", &[&input], Sharing::ByPartition).await;
    assert_eq!(gather(&mut new, 1).await.len(), 1);
    producer.begin().await.expect("begins");
    producer.send(vec![to(&output, 0, "stale")]).await.expect("sends");
    let error = producer.commit(Some((stale, after(&records)))).await.expect_err("is refused");
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    drop(producer);
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    producer.send(vec![to(&output, 0, "sound")]).await.expect("sends");
    producer.commit(Some((new.membership().expect("is a member"), after(&records)))).await.expect("commits");
    assert_eq!(texts(&f.all(&output).await), ["sound"]);
}

pub(crate) async fn a_member_resumes_where_the_group_committed(f: Fixture) {
    let topic = f.topic("resume", 1).await;
    f.log.publish((0..10).map(|n| to(&topic, 0, &n.to_string())).collect()).await.expect("publishes");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    let records = gather(&mut member, 10).await;
    member.commit(&after(&records[..4])).await.expect("commits");
    drop(member);
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    assert_eq!(texts(&gather(&mut member, 6).await), ["4", "5", "6", "7", "8", "9"]);
}

pub(crate) async fn one_member_owns_everything_and_the_next_takes_over(f: Fixture) {
    let (left, right) = (f.topic("left", 3).await, f.topic("right", 1).await);
    let mut a = f.member("g", &[&left, &right], Sharing::One).await;
    let mut b = f.member("g", &[&left, &right], Sharing::One).await;
    let owned = settle(&mut [&mut a, &mut b], |owned| owned.iter().any(|owned| owned.len() == 4)).await;
    assert_eq!(owned.iter().filter(|owned| !owned.is_empty()).count(), 1);
    f.log.publish(vec![to(&left, 0, "1"), to(&left, 2, "2"), to(&right, 0, "3")]).await.expect("publishes");
    let (mut owner, mut stand_by) = if owned[0].is_empty() { (b, a) } else { (a, b) };
    let records = gather(&mut owner, 3).await;
    let mut producer = f.producer("p").await;
    producer.begin().await.expect("begins");
    producer.commit(Some((owner.membership().expect("is a member"), after(&records)))).await.expect("commits");
    assert!(matches!(stand_by.poll(10, Duration::from_millis(50)).await.expect("polls"), Polled::Records(records) if records.is_empty()));
    drop(owner);
    assert_eq!(assigned(&mut stand_by).await.len(), 4);
    f.log.publish(vec![to(&left, 1, "4")]).await.expect("publishes");
    let records = gather(&mut stand_by, 1).await;
    assert_eq!(texts(&records), ["4"]);
    producer.begin().await.expect("begins");
    producer.commit(Some((stand_by.membership().expect("is a member"), after(&records)))).await.expect("commits");
}

pub(crate) async fn a_member_may_move_its_position(f: Fixture) {
    let topic = f.topic("seek", 1).await;
    let at = TopicPartition::new(topic.as_str(), 0);
    f.log.publish((0..10).map(|n| to(&topic, 0, &n.to_string())).collect()).await.expect("publishes");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    assert_eq!(assigned(&mut member).await, std::slice::from_ref(&at));
    member.seek(&at, Start::Offset(7)).await.expect("seeks");
    assert_eq!(texts(&gather(&mut member, 3).await), ["7", "8", "9"]);
    member.seek(&at, Start::Earliest).await.expect("seeks");
    assert_eq!(gather(&mut member, 10).await.len(), 10);
    member.seek(&at, Start::Latest).await.expect("seeks");
    f.log.publish(vec![to(&topic, 0, "new")]).await.expect("publishes");
    assert_eq!(texts(&gather(&mut member, 1).await), ["new"]);
}

pub(crate) async fn a_member_that_writes_nothing_commits_alone(f: Fixture) {
    let topic = f.topic("alone", 2).await;
    f.log.publish(vec![to(&topic, 0, "a"), to(&topic, 1, "b")]).await.expect("publishes");
    let mut member = f.member("g", &[&topic], Sharing::ByPartition).await;
    let records = gather(&mut member, 2).await;
    assert!(f.log.committed(&f.name("g"), std::slice::from_ref(&topic)).await.expect("has offsets").is_empty());
    member.commit(&after(&records)).await.expect("commits");
    assert_eq!(f.log.committed(&f.name("g"), &[topic]).await.expect("has offsets"), after(&records));
}

pub(crate) async fn uncommitted_records_come_again_after_a_revoke(f: Fixture) {
    let topic = f.topic("again", 2).await;
    f.log.publish((0..20).map(|n| to(&topic, n % 2, &n.to_string())).collect()).await.expect("publishes");
    let mut a = f.member("g", &[&topic], Sharing::ByPartition).await;
    let first = gather(&mut a, 20).await;
    let of_zero: Vec<_> = first.iter().filter(|record| record.partition.partition == 0).cloned().collect();
    a.commit(&after(&of_zero[..5])).await.expect("commits");
    // A second member takes one of the two partitions, and both read on from what is committed.
    let mut b = f.member("g", &[&topic], Sharing::ByPartition).await;
    let mut latest: std::collections::BTreeMap<u32, Vec<String>> = std::collections::BTreeMap::new();
    within(PATIENCE, async {
        let mut revoked = BTreeSet::new();
        let (mut a_has, mut b_has) = (BTreeSet::from([0, 1]), BTreeSet::new());
        let mut counts = [10usize, 10];
        while a_has.len() != 1 || b_has.len() != 1 || revoked.iter().any(|p: &u32| counts[*p as usize] < if *p == 0 { 5 } else { 10 }) {
            for (member, has) in [(&mut a, &mut a_has), (&mut b, &mut b_has)] {
                match member.poll(100, Duration::from_millis(20)).await.expect("polls") {
                    Polled::Assigned(partitions) => has.extend(partitions.iter().map(|at| at.partition)),
                    Polled::Revoked(partitions) => {
                        for at in partitions {
                            has.remove(&at.partition);
                            revoked.insert(at.partition);
                            counts[at.partition as usize] = 0;
                            latest.remove(&at.partition);
                        }
                    }
                    Polled::Records(records) => {
                        for record in records {
                            counts[record.partition.partition as usize] += 1;
                            latest.entry(record.partition.partition).or_default().push(text(&record));
                        }
                    }
                }
            }
        }
        assert!(!revoked.is_empty());
        for partition in revoked {
            let expected: Vec<String> = (if partition == 0 { 5..10 } else { 0..10 }).map(|n| (2 * n + partition).to_string()).collect();
            assert_eq!(latest[&partition], expected);
        }
    })
    .await;
}
