//! A log in memory with processors on it, and the few words that stories are told in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use processors::store::{Home, MemoryStores};
use processors::{Config, Environment, ProcessorName};
use reconcile::mapping::Mapping;
use schemas::topic::Topics;
use schemas::{Decimal, Value};
use stream::{Codec, LocalRegistry, Log, MemoryLog, MemoryOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod columns;
mod systems;
mod watch;

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

    pub(crate) fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Lets time pass, for commit times and the log.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}
