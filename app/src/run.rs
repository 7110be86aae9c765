//! `concord run`: the roles, put together.
//!
//! Each part runs as a task of its own until shutdown. Parts hold themselves back while a fault outside lasts; a part
//! that ends with an error ends the process, with the reason, so that whoever supervises it knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use processors::{Environment, ProcessorName};
use reconcile::mapping::Mapping;
use schemas::topic::Topics;
use stream::{Codec, Log, Registry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::{self, Role};
use crate::config::Config;
use crate::demo::stop_on_signal;
use crate::print::Printer;

/// `concord run`: until a signal, or until standard input ends where that was asked for.
///
/// # Errors
/// What is wrong with the configuration or the systems, before anything is written; later, why a part stopped.
pub async fn run(options: cli::Run, printer: &Printer) -> anyhow::Result<()> {
    let config = Config::load(&options.file.config)?;
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone());
    let pipeline = start(config, &options.role, shutdown.clone()).await?;
    printer.raw(&format!("ready {}\n", pipeline.url().unwrap_or("without a dashboard")));
    if options.stop_with_stdin {
        tokio::spawn(async move {
            tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await.ok();
            shutdown.cancel();
        });
    }
    pipeline.wait().await
}

/// A running pipeline.
pub struct Pipeline {
    url: Option<String>,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
}

impl Pipeline {
    /// The dashboard's address, when this process has that role.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Whether every part has ended.
    pub fn has_ended(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Runs a part as a task of its own.
    fn part<F, E>(&mut self, name: &'static str, make: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let work = make(self.shutdown.clone());
        self.tasks.spawn(async move { (name, work.await.map_err(anyhow::Error::from)) });
    }

    /// Waits for shutdown, or for the first part that ends with an error; then stops the others in order.
    ///
    /// # Errors
    /// The first part's error.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let result = match ended {
                Ok((part, result)) => {
                    tracing::info!(part, "part ended");
                    result.with_context(|| format!("{part} stopped"))
                }
                Err(error) => Err(anyhow::anyhow!("a part ended badly: {error}")),
            };
            if result.is_err() {
                self.shutdown.cancel();
                if first.is_ok() {
                    first = result;
                }
            }
        }
        first
    }
}

/// What every part works with.
#[derive(Clone)]
struct Base {
    log: Arc<dyn Log>,
    registry: Arc<dyn Registry>,
    codec: Codec,
    topics: Topics,
}

/// Starts roles; all when none is named.
///
/// # Errors
/// What is wrong with the configuration or the systems, before anything is written.
pub async fn start(config: Config, roles: &[Role], shutdown: CancellationToken) -> anyhow::Result<Pipeline> {
    let roles: BTreeSet<Role> = if roles.is_empty() {
        [Role::Ingest, Role::Processors, Role::Sinks, Role::Dashboard].into()
    } else {
        roles.iter().copied().collect()
    };
    let mapping = Arc::new(
        processors::mapping_file::parse(&config.mapping.text)
            .map_err(|error| anyhow::anyhow!("in the mapping {}: {error}", config.mapping.path.display()))?,
    );
    let topics = Topics::new(config.log.prefix.clone(), config.log.partitions);
    crate::check::preflight(&config, &roles).await?;
    let (log, registry) = stream::open(&config.log).await.context("opening the log")?;
    let codec = Codec::new(registry.clone());
    let base = Base { log, registry, codec, topics };
    create_topics(&base, &mapping).await?;
    let control = crate::mapping::Control { log: base.log.clone(), codec: base.codec.clone(), topics: base.topics.clone() };
    let mapping = if roles.contains(&Role::Processors) { crate::mapping::at_start(&control, &config).await? } else { mapping };

    let mut pipeline = Pipeline { url: None, tasks: JoinSet::new(), shutdown: shutdown.clone() };
    if roles.contains(&Role::Sinks) {
        sinks(&mut pipeline, &config, &base)?;
    }
    if roles.contains(&Role::Dashboard) {
        // Data teams' clients take this as their registry's address.
        let routes = axum::Router::new().nest("/schema-registry", stream::registry_routes(&base.registry));
        let dashboard =
            dashboard::serve(config.dashboard.clone(), base.log.clone(), base.codec.clone(), base.topics.clone(), routes, shutdown.clone())
                .await?;
        pipeline.url = Some(format!("http://{}", dashboard.address()));
        pipeline.tasks.spawn(async move {
            dashboard.stopped().await;
            ("dashboard", Ok(()))
        });
    }
    if roles.contains(&Role::Processors) {
        processors(&mut pipeline, &config, &base, &mapping)?;
        let state_dir = config.state_dir.clone();
        pipeline.part("mapping", |shutdown| crate::mapping::inbox::serve(state_dir, control, shutdown));
    }
    if roles.contains(&Role::Ingest) {
        ingest(&mut pipeline, &config, &base)?;
    }
    Ok(pipeline)
}

/// Every topic that any role reads or writes, so that roles may start in any order.
async fn create_topics(base: &Base, mapping: &Mapping) -> anyhow::Result<()> {
    let mut configs = base.topics.fixed();
    configs.extend(processors::topic_configs(mapping, &base.topics));
    for side in [schemas::message::Side::Crm, schemas::message::Side::Erp] {
        let writes = base.topics.writes(side);
        configs.extend(base.topics.config(&base.topics.dead_letters(&writes)));
    }
    let mut seen = BTreeSet::new();
    configs.retain(|config| seen.insert(config.name.clone()));
    base.log.create_topics(&configs).await.context("creating topics")
}

fn sinks(pipeline: &mut Pipeline, config: &Config, base: &Base) -> anyhow::Result<()> {
    let metrics = sinks::Metrics::new(prometheus::default_registry()).context("registering metrics")?;
    let clock = sinks::clock::real();
    let erp = sinks::ErpSink::new(config.write_erp.clone(), clock.clone(), metrics.clone());
    pipeline.part("sink.erp", |shutdown| erp.run(base.log.clone(), base.codec.clone(), base.topics.clone(), shutdown));
    let crm = sinks::CrmSink::new(config.write_crm.clone(), clock.clone(), metrics.clone());
    pipeline.part("sink.crm", |shutdown| crm.run(base.log.clone(), base.codec.clone(), base.topics.clone(), shutdown));
    let read_model = sinks::ReadModelSink::new(config.read_model.clone(), clock, metrics);
    pipeline.part("sink.readmodel", |shutdown| read_model.run(base.log.clone(), base.codec.clone(), base.topics.clone(), shutdown));
    Ok(())
}

fn processors(pipeline: &mut Pipeline, config: &Config, base: &Base, mapping: &Arc<Mapping>) -> anyhow::Result<()> {
    let environment = Environment {
        log: base.log.clone(),
        codec: base.codec.clone(),
        topics: base.topics.clone(),
        mapping: mapping.clone(),
        mappings: processors::in_force::Mappings::default(),
        home: processors::store::Home::Disk(config.state_dir.clone()),
        clock: processors::real(),
        config: config.processors.clone(),
        metrics: processors::metrics::Metrics::new(prometheus::default_registry()).context("registering metrics")?,
        shutdown: pipeline.shutdown.clone(),
    };
    for name in ProcessorName::ALL {
        let environment = environment.clone();
        pipeline.part(name.as_str(), |shutdown| processors::run(name, Environment { shutdown, ..environment }));
    }
    Ok(())
}

fn ingest(pipeline: &mut Pipeline, config: &Config, base: &Base) -> anyhow::Result<()> {
    let erp = ingest::erp::ErpSource::new(config.capture_erp.clone(), base.log.clone(), base.codec.clone(), base.topics.clone())?;
    pipeline.part("ingest.erp", |shutdown| erp.run(shutdown));
    let crm = config.capture_crm.clone();
    pipeline.part("ingest.crm", |shutdown| ingest::crm::run(crm, base.log.clone(), base.codec.clone(), base.topics.clone(), shutdown));
    Ok(())
}
