//! Whatever is done in whatever order, the log on disk and the log in memory give the same answers.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use schemas::topic::{Cleanup, TopicConfig};
use stream::{
    EmbeddedLog, Error, Fsync, Log, Member, MemberConfig, MemoryLog, MemoryOptions, NewRecord, Offsets, Polled, Producer, Sharing, Start,
    TopicPartition,
};

use crate::embedded::small;
use crate::memory::wall_clock;

const PARTITIONS: u32 = 2;

#[derive(Debug, Clone)]
enum Step {
    Open(usize),
    Begin(usize),
    Send(usize, u32, u8),
    Commit(usize, bool),
    Abort(usize),
    Publish(u32, u8),
    Join(usize),
    Leave(usize),
    Poll(usize, usize),
    Seek(usize, u32, u64),
    CommitAlone(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (two, partition) = (0..2usize, 0..PARTITIONS);
    prop_oneof![
        2 => two.clone().prop_map(Step::Open),
        4 => two.clone().prop_map(Step::Begin),
        6 => (two.clone(), partition.clone(), any::<u8>()).prop_map(|(who, at, value)| Step::Send(who, at, value)),
        5 => (two.clone(), any::<bool>()).prop_map(|(who, consumed)| Step::Commit(who, consumed)),
        1 => two.clone().prop_map(Step::Abort),
        3 => (partition.clone(), any::<u8>()).prop_map(|(at, value)| Step::Publish(at, value)),
        2 => two.clone().prop_map(Step::Join),
        1 => two.clone().prop_map(Step::Leave),
        8 => (two.clone(), 1..5usize).prop_map(|(who, max)| Step::Poll(who, max)),
        1 => (two.clone(), partition, 0..6u64).prop_map(|(who, at, offset)| Step::Seek(who, at, offset)),
        1 => two.prop_map(Step::CommitAlone),
        1 => Just(Step::Restart),
    ]
}

/// A log with everything that is open on it.
struct World {
    log: Box<dyn Log>,
    producers: [Option<Box<dyn Producer>>; 2],
    members: [Option<Box<dyn Member>>; 2],
    consumed: [Offsets; 2],
}

fn kind(error: &Error) -> String {
    format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

fn shown<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => kind(&error),
    }
}

impl World {
    fn new(log: Box<dyn Log>) -> Self {
        Self { log, producers: [None, None], members: [None, None], consumed: [Offsets::new(), Offsets::new()] }
    }

    async fn take(&mut self, step: &Step) -> String {
        let at = |partition: u32| TopicPartition::new("t", partition);
        let new = |partition: u32, value: u8| NewRecord {
            partition: Some(partition),
            ..NewRecord::new("t", vec![value % 4], vec![value; usize::from(value) * 9])
        };
        match step {
            Step::Open(who) => {
                self.producers[*who] = Some(self.log.producer("p").await.expect("opens"));
                String::new()
            }
            Step::Begin(who) => match &mut self.producers[*who] {
                Some(producer) => shown(producer.begin().await),
                None => String::new(),
            },
            Step::Send(who, partition, value) => match &mut self.producers[*who] {
                Some(producer) => shown(producer.send(vec![new(*partition, *value); 3]).await),
                None => String::new(),
            },
            Step::Commit(who, with) => {
                let Some(producer) = &mut self.producers[*who] else { return String::new() };
                let consumed = match (&self.members[*who], with) {
                    (Some(member), true) => Some((member.membership().expect("is a member"), self.consumed[*who].clone())),
                    _ => None,
                };
                shown(producer.commit(consumed).await)
            }
            Step::Abort(who) => match &mut self.producers[*who] {
                Some(producer) => shown(producer.abort().await),
                None => String::new(),
            },
            Step::Publish(partition, value) => shown(self.log.publish(vec![new(*partition, *value)]).await),
            Step::Join(who) => {
                let config =
                    MemberConfig { group: "g".into(), topics: vec!["t".into()], sharing: Sharing::ByPartition, start: Start::Earliest };
                self.members[*who] = None;
                self.consumed[*who].clear();
                self.members[*who] = Some(self.log.join(config).await.expect("joins"));
                String::new()
            }
            Step::Leave(who) => {
                self.members[*who] = None;
                String::new()
            }
            Step::Poll(who, max) => {
                let Some(member) = &mut self.members[*who] else { return String::new() };
                match member.poll(*max, Duration::ZERO).await {
                    Ok(Polled::Records(records)) => {
                        for record in &records {
                            self.consumed[*who].insert(record.partition.clone(), record.offset + 1);
                        }
                        format!(
                            "{:?}",
                            records
                                .iter()
                                .map(|record| (record.partition.partition, record.offset, record.key.clone(), record.value.clone()))
                                .collect::<Vec<_>>()
                        )
                    }
                    Ok(other) => {
                        self.consumed[*who].clear();
                        format!("{other:?}")
                    }
                    Err(error) => kind(&error),
                }
            }
            Step::Seek(who, partition, offset) => match &mut self.members[*who] {
                Some(member) => shown(member.seek(&at(*partition), Start::Offset(*offset)).await),
                None => String::new(),
            },
            Step::CommitAlone(who) => match &mut self.members[*who] {
                Some(member) => shown(member.commit(&self.consumed[*who]).await),
                None => String::new(),
            },
            Step::Restart => String::new(),
        }
    }

    fn close(&mut self) {
        self.producers = [None, None];
        self.members = [None, None];
        self.consumed = [Offsets::new(), Offsets::new()];
    }

    /// Everything that can be seen from outside.
    async fn summary(&self) -> (Offsets, Offsets, BTreeMap<u32, Vec<(u64, Vec<u8>)>>) {
        let ends = self.log.ends("t").await.expect("has ends");
        let committed = self.log.committed("g", &["t".into()]).await.expect("has offsets");
        let mut reader = self.log.reader(ends.keys().map(|at| (at.clone(), Start::Earliest)).collect()).await.expect("opens");
        let mut found: BTreeMap<u32, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        loop {
            let records = reader.poll(7, Duration::ZERO).await.expect("reads");
            if records.is_empty() {
                break;
            }
            for record in records {
                found.entry(record.partition.partition).or_default().push((record.offset, record.value.unwrap_or_default().to_vec()));
            }
        }
        assert_eq!(reader.position().await.expect("has a position"), ends);
        (ends, committed, found)
    }
}

async fn agree(steps: Vec<Step>) {
    let dir = tempfile::tempdir().expect("makes a folder");
    let open = || {
        // Tiny files, so that every few records begin another.
        let options = stream::EmbeddedOptions { segment_bytes: 2000, journal_bytes: 3000, ..small(Fsync::Never) };
        Box::new(EmbeddedLog::open(dir.path(), options).expect("opens"))
    };
    let mut memory = World::new(Box::new(MemoryLog::new(MemoryOptions::with_clock(wall_clock))));
    let mut disk = World::new(open());
    let topic = [TopicConfig { name: "t".into(), partitions: PARTITIONS, cleanup: Cleanup::Delete { days: 7 } }];
    memory.log.create_topics(&topic).await.expect("creates");
    disk.log.create_topics(&topic).await.expect("creates");
    for (index, step) in steps.iter().enumerate() {
        if matches!(step, Step::Restart) {
            // The disk's log is closed and opened; in memory, everybody just leaves.
            memory.close();
            disk.close();
            disk = World::new(Box::new(MemoryLog::new(MemoryOptions::with_clock(wall_clock))));
            disk = World { log: open(), ..disk };
        }
        assert_eq!(disk.take(step).await, memory.take(step).await, "step {index} {step:?} of {steps:?}");
    }
    assert_eq!(disk.summary().await, memory.summary().await, "after {steps:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_on_disk_and_the_log_in_memory_give_the_same_answers(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
        runtime.block_on(agree(steps));
    }
}
