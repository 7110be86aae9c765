//! A log in memory with processors on it, and the few words that stories are told in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use processors::store::{Home, MemoryStores};
use processors::{Config, Environment, ProcessorName};
use reconcile::mapping::Mapping;
use schemas::cdc::{Change, ChangeSchema, Column, ColumnType, Op, Source};
use schemas::message::{Action, Checkpoint, Choice, Decision, EntityChange, Message, Outcome, OutcomeResult, Side, Write};
use schemas::topic::Topics;
use schemas::{Decimal, Value};
use stream::{Codec, LocalRegistry, Log, MemoryLog, MemoryOptions, NewRecord, Record, Start, TopicPartition};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u32 = 2;
pub(crate) const MAPPING: &str = include_str!("mapping.toml");
/// 2026-11-22T00:00:00Z.
pub(crate) const START: i64 = 1_795_305_600_000_000;

pub(crate) fn text(text: &str) -> Value {
    Value::text(text)
}

pub(crate) fn money(text: &str) -> Value {
    Value::Decimal(Decimal(text.to_owned()))
}

/// A machine with processors, a log, and two systems whose changes the test writes.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) log: MemoryLog,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) stores: MemoryStores,
    pub(crate) clock: Arc<AtomicI64>,
    registry: prometheus::Registry,
    metrics: processors::metrics::Metrics,
    position: Arc<AtomicI64>,
}

/// Processors that run.
pub(crate) struct Running {
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<processors::Result<()>>>,
}

impl Running {
    /// Ends them in order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            task.await.expect("no panic").expect("no error");
        }
    }

    /// Ends them wherever they are.
    pub(crate) async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(MAPPING).await
    }

    /// A world with another mapping.
    pub(crate) async fn with(mapping: &str) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let tick = clock.clone();
        // With gaps between offsets, as Kafka has them.
        // A schema must fit into a record, too.
        let options = MemoryOptions {
            markers: true,
            max_record_bytes: 64 << 10,
            ..MemoryOptions::with_clock(move || tick.load(Ordering::Relaxed) / 1000)
        };
        let log = MemoryLog::new(options);
        let topics = Topics::new("", PARTITIONS);
        let mapping = Arc::new(processors::mapping_file::parse(mapping).expect("the mapping is right"));
        let configs = processors::topic_configs(&mapping, &topics);
        log.create_topics(&configs).await.expect("topics");
        let registry = LocalRegistry::open(Arc::new(log.clone()), &topics).await.expect("a registry");
        let codec = Codec::new(Arc::new(registry));
        let registry_of_metrics = prometheus::Registry::new();
        let metrics = processors::metrics::Metrics::new(&registry_of_metrics).expect("metrics");
        Self {
            log,
            codec,
            topics,
            mapping,
            stores: MemoryStores::default(),
            clock,
            registry: registry_of_metrics,
            metrics,
            position: Arc::new(AtomicI64::new(100)),
        }
    }

    /// A world whose first copies are done, with all processors running.
    pub(crate) async fn copied() -> (Self, Running) {
        let world = Self::new().await;
        world.checkpoint("crm", &["Account", "Contact"]).await;
        world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
        let running = world.start();
        world.quiet().await;
        (world, running)
    }

    pub(crate) fn environment(&self, shutdown: CancellationToken) -> Environment {
        let clock = self.clock.clone();
        Environment {
            log: Arc::new(self.log.clone()),
            codec: self.codec.clone(),
            topics: self.topics.clone(),
            mapping: self.mapping.clone(),
            mappings: processors::in_force::Mappings::default(),
            home: Home::Memory(self.stores.clone()),
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
            config: Config { batch_records: 50, backoff_ms: 10, backoff_max_ms: 50, ..Config::default() },
            metrics: self.metrics.clone(),
            shutdown,
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_on(Arc::new(self.log.clone()))
    }

    /// Starts all processors on a log that stands before the world's.
    pub(crate) fn start_on(&self, log: Arc<dyn Log>) -> Running {
        let shutdown = CancellationToken::new();
        let environment = || Environment { log: log.clone(), ..self.environment(shutdown.clone()) };
        let tasks = ProcessorName::ALL.iter().map(|name| tokio::spawn(processors::run(*name, environment()))).collect();
        Running { shutdown, tasks }
    }

    /// What a counter of the processors has come to.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let found = self.registry.gather().into_iter().find(|family| family.name() == name);
        found.map_or(0, |family| family.get_metric().iter().map(|metric| metric.get_counter().get_value() as u64).sum())
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Lets time pass, for commit times and the log.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// What a look finds, soon. It looks again and again: the log and what the processors say of themselves have no one
    /// notification, and a look is cheap.
    ///
    /// # Panics
    /// When it is not there in half a minute.
    pub(crate) async fn found<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        for _ in 0..6_000 {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what} never came: {}", self.show().await);
    }

    /// Waits until every processor has read everything and nothing more is written.
    pub(crate) async fn quiet(&self) {
        let mut before = None;
        let mut same = 0;
        for _ in 0..20_000 {
            let now = self.progress().await;
            same = if now.is_some() && now == before { same + 1 } else { 0 };
            if same > 5 {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        panic!("the processors never came to rest");
    }

    /// Ends of all topics but health, once every input is read; none before.
    async fn progress(&self) -> Option<Vec<(TopicPartition, u64)>> {
        let mut ends = Vec::new();
        for node in processors::topology(&self.mapping, &self.topics) {
            let committed = self.log.committed(node.name.as_str(), &node.inputs).await.ok()?;
            for topic in &node.inputs {
                for record in self.try_records(topic).await.ok()? {
                    if committed.get(&record.partition).copied().unwrap_or(0) <= record.offset {
                        return None;
                    }
                }
            }
            for topic in node.outputs.iter().chain([&node.changelog]) {
                ends.extend(self.log.ends(topic).await.ok()?);
            }
        }
        Some(ends)
    }

    /// Everything that processors wrote, for a person who reads a failed test.
    pub(crate) async fn show(&self) -> String {
        let mut out = String::new();
        for change in self.changes().await {
            out += &format!(
                "change {} {} {} {:?} {:?} refs {:?} may_create {}\n",
                change.side, change.object, change.record, change.op, change.fields, change.references, change.may_create
            );
        }
        for side in [Side::Crm, Side::Erp] {
            for write in self.writes(side).await {
                out += &format!(
                    "write {side} {} {:?} {:?} {:?} expecting {:?}\n",
                    write.object, write.op, write.record, write.values, write.expected
                );
            }
        }
        for conflict in self.messages::<schemas::message::Conflict>(&self.topics.conflicts()).await {
            out += &format!("{conflict:?}\n");
        }
        for node in processors::topology(&self.mapping, &self.topics) {
            for topic in node.dead_letters {
                for letter in self.messages::<schemas::message::DeadLetter>(&topic).await {
                    out += &format!("dead letter of {topic} by {}: {}\n", letter.component, letter.reason);
                }
            }
        }
        out
    }

    /// All records of a topic.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Record> {
        self.try_records(topic).await.expect("records")
    }

    async fn try_records(&self, topic: &str) -> stream::Result<Vec<Record>> {
        let mut found = Vec::new();
        for (partition, end) in self.log.ends(topic).await? {
            let mut reader = self.log.reader(vec![(partition.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&partition).copied().unwrap_or(end) < end {
                found.extend(reader.poll(1000, Duration::from_millis(10)).await?);
            }
        }
        found.sort_by_key(|record| record.timestamp_ms);
        Ok(found)
    }

    /// All messages of a topic, oldest first.
    pub(crate) async fn messages<M: Message>(&self, topic: &str) -> Vec<M> {
        let mut found = Vec::new();
        for record in self.records(topic).await {
            found.extend(self.codec.message::<M>(&record).await.expect("a message"));
        }
        found
    }

    pub(crate) async fn writes(&self, side: Side) -> Vec<Write> {
        self.messages(&self.topics.writes(side)).await
    }

    pub(crate) async fn changes(&self) -> Vec<EntityChange> {
        self.messages(&self.topics.entity_changes()).await
    }

    pub(crate) async fn publish<M: Message>(&self, topic: &str, key: &str, message: &M) {
        let value = self.codec.encode(topic, message).await.expect("encodes");
        self.log.publish(vec![NewRecord::new(topic, key.to_owned(), value)]).await.expect("publishes");
    }

    pub(crate) async fn checkpoint(&self, source: &str, copied: &[&str]) {
        let checkpoint = Checkpoint {
            source: source.to_owned(),
            position: String::new(),
            ordinal: 0,
            copied: copied.iter().map(|object| (*object).to_owned()).collect(),
            resume: String::new(),
            committed_at: self.now(),
        };
        self.publish(&self.topics.checkpoint(), source, &checkpoint).await;
    }

    /// A change at a source. `values` are the columns it carries; at the ERP that is the whole row.
    pub(crate) async fn change(&self, side: Side, object: &str, id: &str, op: Op, values: &[(&str, Value)]) {
        self.change_by(side, object, id, op, values, None).await;
    }

    /// The same, made through a named origin.
    pub(crate) async fn change_by(&self, side: Side, object: &str, id: &str, op: Op, values: &[(&str, Value)], origin: Option<&str>) {
        let record = self.cdc(side, object, id, op, values, origin).await;
        self.log.publish(vec![record]).await.expect("publishes");
    }

    pub(crate) async fn cdc(
        &self,
        side: Side,
        object: &str,
        id: &str,
        op: Op,
        values: &[(&str, Value)],
        origin: Option<&str>,
    ) -> NewRecord {
        self.cdc_of(side, object, id, op, values, (origin, None)).await
    }

    /// A change that a write of ours made, as the ERP's ledger says it. The CRM has the write's id in a column.
    pub(crate) async fn change_of(&self, write: &Write, object: &str, id: &str, op: Op, values: &[(&str, Value)]) {
        let named = (write.side == Side::Erp).then_some(write.id.as_str());
        let record = self.cdc_of(write.side, object, id, op, values, (Some("concord"), named)).await;
        self.log.publish(vec![record]).await.expect("publishes");
    }

    /// A change, with the origin and the write of ours that its source names.
    async fn cdc_of(
        &self,
        side: Side,
        object: &str,
        id: &str,
        op: Op,
        values: &[(&str, Value)],
        (origin, write): (Option<&str>, Option<&str>),
    ) -> NewRecord {
        let schema = schema(side, object);
        let topic = match side {
            Side::Crm => self.topics.cdc_crm(object),
            Side::Erp => self.topics.cdc_erp(object),
        };
        let row: Vec<Value> = schema
            .columns
            .iter()
            .map(|column| values.iter().find(|(name, _)| *name == column.name).map_or(Value::Null, |(_, value)| fit(&column.kind, value)))
            .collect();
        let changed = (side == Side::Crm && op == Op::Update).then(|| values.iter().filter_map(|(name, _)| schema.column(name)).collect());
        let position = self.position.fetch_add(1, Ordering::Relaxed);
        let change = Change {
            before: None,
            after: (!matches!(op, Op::Delete | Op::Truncate)).then_some(row),
            op,
            changed,
            source: Source {
                side,
                name: side.to_string(),
                object: object.to_owned(),
                position: format!("0/{position:X}"),
                transaction: String::new(),
                ordinal: 0,
                committed_at: self.now(),
                actor: None,
                origin: origin.map(str::to_owned),
                write: write.map(str::to_owned),
                snapshot: op == Op::Read,
            },
            ts_ms: self.now() / 1000,
        };
        let value = self.codec.encode_change(&topic, &schema, &change).await.expect("encodes");
        NewRecord::new(topic, id.to_owned(), value)
    }

    /// Answers a write.
    pub(crate) async fn answer(&self, write: &Write, result: OutcomeResult, record: Option<&str>, actual: &[(&str, Value)]) {
        let outcome = Outcome {
            write: write.id.clone(),
            entity: write.entity.clone(),
            kind: write.kind.clone(),
            side: write.side,
            object: write.object.clone(),
            record: record.map(str::to_owned).or_else(|| write.record.clone()),
            result,
            actual: actual.iter().map(|(name, value)| schemas::message::Field { name: (*name).to_owned(), value: value.clone() }).collect(),
            code: None,
            message: None,
            attempts: 1,
            caused_at: write.caused_at,
            at: self.now(),
        };
        self.publish(&self.topics.outcomes(), &write.entity, &outcome).await;
    }

    /// What a person decides.
    pub(crate) async fn decide(&self, entity: &str, conflict: &str, choice: Choice, value: Value) {
        let decision = Decision {
            conflict: conflict.to_owned(),
            choice,
            value,
            ..Decision::new(format!("d-{conflict}"), entity, Action::Settle, "ana", self.now())
        };
        self.publish(&self.topics.decisions(), entity, &decision).await;
    }

    /// Does what a write says and shows it in the target's stream under our name, then answers it.
    pub(crate) async fn carry_out(&self, write: &Write, row: &BTreeMap<String, Value>, new_id: &str) {
        let mut values: Vec<(&str, Value)> = match write.side {
            Side::Erp => row.iter().map(|(name, value)| (name.as_str(), value.clone())).collect(),
            Side::Crm => Vec::new(),
        };
        for field in &write.values {
            values.retain(|(name, _)| *name != field.name);
            values.push((&field.name, field.value.clone()));
        }
        if let Some(column) = &write.id_column {
            values.push((column, text(&write.entity)));
        }
        if let Some(column) = &write.write_column {
            values.push((column, text(&write.id)));
        }
        let id = write.record.clone().unwrap_or_else(|| new_id.to_owned());
        let op = if write.record.is_some() { Op::Update } else { Op::Create };
        self.answer(write, OutcomeResult::Applied, Some(&id), &[]).await;
        self.change_of(write, &write.object, &id, op, &values).await;
    }
}

/// A value as a system's column takes it.
fn fit(kind: &ColumnType, value: &Value) -> Value {
    match (kind, value) {
        (ColumnType::Double, Value::Decimal(Decimal(text))) => Value::Double(text.parse().expect("a number")),
        (ColumnType::Double, Value::Int(number)) => Value::Double(*number as f64),
        (ColumnType::Int, Value::Text(text)) => Value::Int(text.parse().expect("a number")),
        (ColumnType::Decimal { scale, .. }, Value::Decimal(Decimal(text))) => {
            let scale = *scale as usize;
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            money(&format!("{whole}.{fraction:0<scale$}"))
        }
        _ => value.clone(),
    }
}

/// The columns of the two systems.
pub(crate) fn schema(side: Side, object: &str) -> ChangeSchema {
    let money = || ColumnType::Decimal { precision: 18, scale: 2 };
    let columns: Vec<(&str, ColumnType)> = match (side, object) {
        (Side::Crm, "Account") => vec![
            ("Name", ColumnType::Text),
            ("Credit_Limit__c", ColumnType::Double),
            ("Payment_Terms__c", ColumnType::Text),
            ("Rating__c", ColumnType::Double),
            ("Tax_Id__c", ColumnType::Text),
            ("ERP_Id__c", ColumnType::Text),
            ("Email__c", ColumnType::Text),
            ("Phone", ColumnType::Text),
            ("BillingStreet", ColumnType::Text),
            ("BillingCity", ColumnType::Text),
            ("Description", ColumnType::Text),
            ("ParentId", ColumnType::Text),
            ("Concord_Id__c", ColumnType::Text),
            ("Concord_Write__c", ColumnType::Text),
        ],
        (Side::Erp, "public.customers") => vec![
            ("id", ColumnType::Int),
            ("name", ColumnType::Text),
            ("credit_limit", money()),
            ("payment_terms", ColumnType::Text),
            ("rating", ColumnType::Int),
            ("tax_id", ColumnType::Text),
            ("status", ColumnType::Text),
            ("priority", ColumnType::Int),
            ("credit_checked", ColumnType::Boolean),
            ("concord_id", ColumnType::Text),
            ("updated_by", ColumnType::Text),
            ("parent_id", ColumnType::Int),
        ],
        (Side::Crm, "Contact") => {
            vec![
                ("LastName", ColumnType::Text),
                ("Email", ColumnType::Text),
                ("AccountId", ColumnType::Text),
                ("Concord_Id__c", ColumnType::Text),
                ("Concord_Write__c", ColumnType::Text),
            ]
        }
        (Side::Erp, "public.contacts") => {
            vec![
                ("last_name", ColumnType::Text),
                ("email", ColumnType::Text),
                ("customer_id", ColumnType::Int),
                ("concord_id", ColumnType::Text),
            ]
        }
        (Side::Crm, "Opportunity") => vec![
            ("Name", ColumnType::Text),
            ("StageName", ColumnType::Text),
            ("Amount", ColumnType::Double),
            ("Probability", ColumnType::Double),
            ("IsClosed", ColumnType::Boolean),
            ("IsWon", ColumnType::Boolean),
            ("AccountId", ColumnType::Text),
        ],
        (Side::Erp, "public.orders") => {
            vec![("number", ColumnType::Text), ("status", ColumnType::Text), ("total", money()), ("customer_id", ColumnType::Int)]
        }
        (Side::Erp, "public.invoices") => vec![
            ("number", ColumnType::Text),
            ("amount", money()),
            ("due_date", ColumnType::Date),
            ("status", ColumnType::Text),
            ("customer_id", ColumnType::Int),
        ],
        (Side::Erp, "public.payments") => vec![("invoice_id", ColumnType::Int), ("amount", money())],
        (side, object) => crate::tables::columns(side, object),
    };
    let columns = columns.into_iter().map(|(name, kind)| Column { name: name.to_owned(), kind }).collect();
    ChangeSchema { side, object: object.to_owned(), columns }
}
