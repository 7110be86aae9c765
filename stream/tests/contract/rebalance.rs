//! Rebalances under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stream::{Class, Error, Polled, Sharing};

use crate::support::*;

const INPUTS: u32 = 4000;
const PARTITIONS: u32 = 4;

/// Reads, writes one output per input, commits both; starts anew whenever something fails, as a processor does.
async fn work(f: Fixture, input: String, output: String, number: u32, stop: Arc<AtomicBool>) -> Result<(), Error> {
    let mut member = f.member("g", &[&input], Sharing::ByPartition).await;
    let mut producer = f.producer(&format!("worker-{number}")).await;
    while !stop.load(Ordering::Relaxed) {
        let Polled::Records(records) = member.poll(50, Duration::from_millis(20)).await? else { continue };
        if records.is_empty() {
            continue;
        }
        producer.begin().await?;
        producer.send(records.iter().map(|record| to(&output, record.partition.partition, &text(record))).collect()).await?;
        producer.commit(Some((member.membership()?, after(&records)))).await?;
    }
    Ok(())
}

pub(crate) async fn members_come_and_go_and_every_input_has_one_output(f: Fixture) {
    let (input, output) = (f.topic("in", PARTITIONS).await, f.topic("out", PARTITIONS).await);
    let mut workers: BTreeMap<u32, (Arc<AtomicBool>, tokio::task::JoinHandle<()>)> = BTreeMap::new();
    let start = |number: u32| {
        let stop = Arc::new(AtomicBool::new(false));
        let (f, input, output, stopped) = (f.clone(), input.clone(), output.clone(), stop.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                match work(f.clone(), input.clone(), output.clone(), number, stopped.clone()).await {
                    Ok(()) => {}
                    Err(error @ Error::Fenced(_)) => drop(error),
                    Err(error) => assert_eq!(error.class(), Class::Transient, "{error}"),
                }
            }
        });
        (stop, task)
    };
    workers.insert(0, start(0));
    for batch in 0..20 {
        let per_batch = INPUTS / 20;
        let records = (0..per_batch).map(|n| batch * per_batch + n).map(|n| to(&input, n % PARTITIONS, &n.to_string())).collect();
        f.log.publish(records).await.expect("publishes");
        match batch {
            2 | 6 => drop(workers.insert(batch, start(batch))),
            // One goes without a word, in the middle of whatever it was doing.
            9 => workers.remove(&2).into_iter().for_each(|(_, task)| task.abort()),
            12 => drop(workers.insert(batch, start(batch))),
            15 => workers.remove(&0).into_iter().for_each(|(stop, _)| stop.store(true, Ordering::Relaxed)),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let written = within(3 * PATIENCE, async {
        loop {
            let written = f.all(&output).await;
            if written.len() >= INPUTS as usize {
                return written;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    for (stop, task) in workers.into_values() {
        stop.store(true, Ordering::Relaxed);
        within(PATIENCE, task).await.expect("ends well");
    }
    let found = by_partition(&f.all(&output).await);
    for partition in 0..PARTITIONS {
        let expected: Vec<String> = (0..INPUTS).filter(|n| n % PARTITIONS == partition).map(|n| n.to_string()).collect();
        assert!(
            found[&partition] == expected,
            "partition {partition} has {} outputs for {} inputs",
            found[&partition].len(),
            expected.len()
        );
    }
    assert_eq!(written.len(), INPUTS as usize);
}
