//! Which processors there are, what each reads, writes and keeps, and how one is run.

use std::sync::Arc;

use reconcile::mapping::Mapping;
use schemas::message::Side;
use schemas::topic::{TopicConfig, Topics};
use stream::{Codec, Log, Sharing};
use tokio_util::sync::CancellationToken;

use crate::aggregates::{self, Aggregates};
use crate::clock::Clock;
use crate::config::Config;
use crate::convert;
use crate::error::{Error, Result};
use crate::health::{self, Report};
use crate::in_force::Mappings;
use crate::matcher::{self, Matcher};
use crate::metrics::Metrics;
use crate::reconciler::{self, Reconciler};
use crate::store::{Home, Stores};
use crate::task::Task;

/// A processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessorName {
    /// Which record is which entity.
    Matcher,
    /// What should follow from changes, answers and decisions.
    Reconciler,
    /// What customers owe, and the pipeline.
    Aggregates,
}

impl ProcessorName {
    /// All, in the order of the data.
    pub const ALL: [Self; 3] = [Self::Matcher, Self::Reconciler, Self::Aggregates];

    /// The word used in topics, metrics, health and folders.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matcher => matcher::NAME,
            Self::Reconciler => reconciler::NAME,
            Self::Aggregates => aggregates::NAME,
        }
    }
}

/// One processor in the topology. Topic names are full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub name: ProcessorName,
    /// Topics it reads.
    pub inputs: Vec<String>,
    /// Topics it writes, changelog and dead letters aside.
    pub outputs: Vec<String>,
    /// Its store's changelog.
    pub changelog: String,
    /// Dead letters of its inputs.
    pub dead_letters: Vec<String>,
    /// How its members share the inputs.
    pub sharing: Sharing,
}

/// Every processor: one row each.
pub fn topology(mapping: &Mapping, topics: &Topics) -> Vec<Node> {
    ProcessorName::ALL.into_iter().map(|name| node(name, mapping, topics)).collect()
}

fn node(name: ProcessorName, mapping: &Mapping, topics: &Topics) -> Node {
    let (store, sharing, inputs, outputs) = match name {
        ProcessorName::Matcher => (
            "links",
            Sharing::One,
            captured(mapping, topics),
            vec![topics.entity_changes(), topics.entity_links(), topics.match_reviews(), topics.decision_outcomes()],
        ),
        ProcessorName::Reconciler => {
            let decided =
                [topics.writes(Side::Crm), topics.writes(Side::Erp), topics.conflicts(), topics.audit(), topics.decision_outcomes()];
            let golden = mapping.entities.iter().map(|entity| topics.golden(&entity.kind));
            (
                "entities",
                Sharing::ByPartition,
                vec![topics.entity_changes(), topics.outcomes(), topics.decisions()],
                decided.into_iter().chain(golden).collect(),
            )
        }
        ProcessorName::Aggregates => {
            ("totals", Sharing::One, vec![topics.entity_changes()], vec![topics.customer_financials(), topics.pipeline_summary()])
        }
    };
    Node {
        name,
        changelog: topics.changelog(name.as_str(), store),
        dead_letters: inputs.iter().map(|topic| topics.dead_letters(topic)).collect(),
        inputs,
        outputs,
        sharing,
    }
}

/// What was captured of both systems, and what is said of it.
fn captured(mapping: &Mapping, topics: &Topics) -> Vec<String> {
    let mut cdc: Vec<String> = Vec::new();
    for entity in &mapping.entities {
        cdc.extend([topics.cdc_crm(&entity.sides.crm.object), topics.cdc_erp(&entity.sides.erp.object)]);
        for row in entity.sides.erp.rows.values() {
            let topic = topics.cdc_erp(&row.table);
            if !cdc.contains(&topic) {
                cdc.push(topic);
            }
        }
    }
    cdc.extend(mapping.captured.iter().map(|captured| match convert::wire_side(captured.side) {
        Side::Crm => topics.cdc_crm(&captured.object),
        Side::Erp => topics.cdc_erp(&captured.object),
    }));
    cdc.extend([topics.checkpoint(), topics.control(), topics.decisions()]);
    cdc
}

/// Every topic that processors read or write, ready to be created.
pub fn topic_configs(mapping: &Mapping, topics: &Topics) -> Vec<TopicConfig> {
    let mut names: Vec<String> = vec![topics.health()];
    for node in topology(mapping, topics) {
        names.extend(node.inputs);
        names.extend(node.outputs);
        names.push(node.changelog);
        names.extend(node.dead_letters);
    }
    names.sort();
    names.dedup();
    names.iter().filter_map(|name| topics.config(name)).collect()
}

/// What a processor runs with. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Encodes and decodes what stands on it.
    pub codec: Codec,
    /// Topic names.
    pub topics: Topics,
    /// What corresponds to what.
    pub mapping: Arc<Mapping>,
    /// What was read of other versions of it.
    pub mappings: Mappings,
    /// Where state is kept.
    pub home: Home,
    /// The time.
    pub clock: Clock,
    /// Settings.
    pub config: Config,
    /// Metrics.
    pub metrics: Metrics,
    /// Ends the run in order.
    pub shutdown: CancellationToken,
}

/// Runs one processor until shutdown, or until something that neither waiting nor joining again can mend.
///
/// All topics of [`topic_configs`] must exist.
///
/// # Errors
/// What cannot be mended; its text says what may help, and so does the health message.
pub async fn run(name: ProcessorName, environment: Environment) -> Result<()> {
    let Environment { log, codec, topics, mapping, mappings, home, clock, config, metrics, shutdown } = environment;
    let node = node(name, &mapping, &topics);
    let component = name.as_str();
    let reread_after_us = i64::try_from(config.reread_after_ms).unwrap_or(i64::MAX).saturating_mul(1000);
    let remembered = u64::from(config.remembered_per_record);
    let parent_wait_us = i64::try_from(config.parent_wait_ms).unwrap_or(i64::MAX).saturating_mul(1000);
    let health = topics.health();
    let group = topics.owned(component);
    let task = Task {
        name: component,
        group: group.clone(),
        transactional_id: topics.owned(&format!("{component}-{}", config.instance)),
        inputs: node.inputs,
        changelog: node.changelog,
        sharing: node.sharing,
        stores: Stores::open(&home, component, &config)?,
        report: Arc::new(Report::new(component, clock.clone())),
        log: log.clone(),
        codec: codec.clone(),
        config,
        clock,
        metrics: metrics.clone(),
        shutdown,
    };
    let work = async {
        match name {
            ProcessorName::Matcher => {
                let given = (&mapping, &mappings);
                task.run(|| Matcher::open(log.clone(), codec.clone(), &topics, given, &group, metrics.clone(), parent_wait_us)).await
            }
            ProcessorName::Reconciler => {
                let given = (&mapping, &mappings);
                let open = || Reconciler::open(codec.clone(), &topics, given, metrics.clone(), reread_after_us, remembered);
                task.run(open).await
            }
            ProcessorName::Aggregates => task.run(|| Aggregates::open(codec.clone(), &topics, mapping.clone())).await,
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = health::keep_publishing(&task, &health) => Ok(()),
    };
    match &ended {
        Ok(()) => task.report.stopped(),
        Err(error) => task.report.failing(error),
    }
    // The last word, if the log still takes it.
    let _told: std::result::Result<Result<()>, _> =
        tokio::time::timeout(std::time::Duration::from_secs(2), health::publish(&task, &health)).await;
    ended.inspect_err(|error: &Error| tracing::error!(processor = component, %error, remedy = error.remedy(), "processor stopped"))
}
