//! What can be asked of `concord` on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps Salesforce and an ERP in agreement, in both directions, and never loses an edit silently.
#[derive(Debug, Parser)]
#[command(name = "concord", version, about, propagate_version = true)]
pub struct Cli {
    /// Print machine-readable JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log on standard error: `warn`, `info`, `debug`, or `sinks=debug,info`. `info` unless said; `warn` for the demo.
    #[arg(long, global = true, env = "CONCORD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything on this machine: both systems with sample companies, the pipeline, live traffic, the dashboard.
    Demo(Demo),
    /// The pipeline: all roles in one process, or some.
    Run(Run),
    /// Look at both systems, permissions and settings, and write nothing.
    Check(ConfigFile),
    /// Create or upgrade the tables Concord needs: the read model, and the ledger inside the ERP.
    Migrate(ConfigFile),
    /// The mapping in force.
    Mapping(Mapping),
    /// Decide conflicts, one or many; restore what lost; make a record, or an order of an opportunity.
    Decide(crate::decide::Options),
    /// Take back a write, a decision, a settlement, or everything in a time range.
    Undo(crate::undo::Options),
    /// Try again what was refused for good, of one record or of all.
    Retry(crate::retry::Options),
    /// Possible matches: look at both records, say whether they are the same, take an answer back.
    Review(crate::review::Options),
    /// What agreement between records is worth when no key links them.
    Matching(Matching),
    /// Measure on a private stack that leaves nothing behind.
    Bench(Bench),
    /// The topics, their keys and values.
    Topics(Topics),
    /// The whole pipeline in this process under faults drawn from seeds, with an auditor for what Concord promises.
    Simulate(simulation::Options),
    /// A Salesforce org in a process, for development.
    Simulator(Simulator),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, env = "CONCORD_CONFIG", default_value = "concord.toml")]
    pub config: PathBuf,
}

/// `concord demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Sample companies.
    #[arg(long, default_value_t = 300)]
    pub companies: usize,
    /// Use this Kafka broker for the log instead of the embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Where the dashboard listens.
    #[arg(long, default_value = "127.0.0.1:4710")]
    pub listen: SocketAddr,
    /// Time between sample edits; 0s for none.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub traffic: std::time::Duration,
}

/// `concord run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Which roles this process has; all when none is named. May be given several times.
    #[arg(long, value_enum)]
    pub role: Vec<Role>,
    /// Stop in order when standard input ends (for whoever starts and watches this process).
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// A part of the pipeline that may run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Reads both systems' change streams.
    Ingest,
    /// Matches, reconciles, adds up.
    Processors,
    /// Writes to both systems and to the read model.
    Sinks,
    /// Pages, API, metrics, schema routes.
    Dashboard,
}

/// `concord mapping`.
#[derive(Debug, Args)]
pub struct Mapping {
    /// What to do.
    #[command(subcommand)]
    pub what: MappingWhat,
}

/// What can be done with the mapping.
#[derive(Debug, Subcommand)]
pub enum MappingWhat {
    /// Put a mapping in force while Concord runs, and say what is different.
    Apply {
        /// The mapping file; the configured one unless said.
        file: Option<PathBuf>,
        /// Only say what is different.
        #[arg(long)]
        dry_run: bool,
        /// The configuration file.
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// `concord bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What to measure.
    #[command(subcommand)]
    pub what: What,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Commit on one side to commit on the other, at a steady rate, half the edits on each side.
    Latency {
        /// Edits a second.
        #[arg(long, default_value_t = 200)]
        rate: u32,
        /// For so long.
        #[arg(long, default_value_t = 30)]
        seconds: u32,
        /// The stack to measure.
        #[command(flatten)]
        stack: StackChoice,
    },
    /// How well records without a common key are matched, on public labelled sets (fetched once), and what a look-up costs.
    Matching {
        /// Customers that a look-up searches.
        #[arg(long, default_value_t = 1_000_000)]
        customers: usize,
    },
    /// Changes made in the ERP as fast as it takes them, until both sides agree.
    Throughput {
        /// Changes in all.
        #[arg(long, default_value_t = 200_000)]
        changes: u64,
        /// The stack to measure.
        #[command(flatten)]
        stack: StackChoice,
    },
}

/// `concord matching`.
#[derive(Debug, Args)]
pub struct Matching {
    /// What to do.
    #[command(subcommand)]
    pub what: MatchingWhat,
}

/// What can be done about matching.
#[derive(Debug, Subcommand)]
pub enum MatchingWhat {
    /// Weights and thresholds from records without labels; precision and recall when some pairs have labels.
    Estimate(MatchingEstimate),
}

/// `concord matching estimate`.
#[derive(Debug, Args)]
pub struct MatchingEstimate {
    /// A file of records: comma-separated, with a heading. A second one is matched against the first; one alone against itself.
    #[arg(long, required = true, num_args = 1, value_name = "FILE")]
    pub records: Vec<PathBuf>,
    /// A compared field: NAME=KIND, NAME=KIND:COLUMN+COLUMN when the columns have other names, NAME=KIND~SIBLING when their values get
    /// swapped. By the names of the columns unless given.
    #[arg(long, value_name = "NAME=KIND", conflicts_with = "mapping")]
    pub field: Vec<String>,
    /// Take the fields from `match` in this mapping file; the first file then has the CRM's columns, the second the ERP's.
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// The entity in the mapping file.
    #[arg(long, default_value = "customer")]
    pub kind: String,
    /// The files are a sample of so many records: among more records, more agree by chance.
    #[arg(long, value_name = "RECORDS")]
    pub of: Option<usize>,
    /// Labelled pairs: two columns with ids, and a third with 1 or 0 when there are pairs of two entities as well.
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    /// The column with the ids that labelled pairs name; `id` or the first unless given.
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Write the weights here, as they stand in a mapping file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Which stack to measure.
#[derive(Debug, Clone, Args)]
pub struct StackChoice {
    /// The log: `embedded`, a broker's `HOST:PORT`, or `private` for an Apache Kafka started for this run.
    #[arg(long, default_value = "embedded", value_name = "embedded|private|HOST:PORT")]
    pub kafka: String,
    /// Sample companies; 2,000 for latency and 5,000 for throughput unless said.
    #[arg(long)]
    pub companies: Option<usize>,
}

/// `concord topics`.
#[derive(Debug, Args)]
pub struct Topics {
    /// Print the document `docs/topics.md`.
    #[arg(long)]
    pub markdown: bool,
}

/// `concord simulator`.
#[derive(Debug, Args)]
pub struct Simulator {
    /// Where REST and the page listen.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Where Pub/Sub listens (TLS).
    #[arg(long, default_value = "127.0.0.1:7443")]
    pub pubsub: SocketAddr,
    /// Host name by which clients reach it.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Write the certificate clients must trust to `ca.pem` in this folder.
    #[arg(long)]
    pub certificate_dir: Option<PathBuf>,
    /// Sample companies to begin with.
    #[arg(long, default_value_t = 300)]
    pub companies: usize,
    /// Consumer secret of its connected app.
    #[arg(long, env = "CONCORD_CRM_CLIENT_SECRET", default_value = "simulator-secret", hide_env_values = true)]
    pub client_secret: String,
}
