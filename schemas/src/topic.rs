//! The table of topics: the only place that spells a topic's name. `docs/topics.md` is generated from it.
//!
//! Topics keyed by entity id share one number of partitions and the murmur2 partitioner, so that changes,
//! outcomes and decisions of one entity meet in one task.

/// How a topic forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Keeps the latest record of each key.
    Compact,
    /// Keeps records for so many days.
    Delete {
        /// Days.
        days: u32,
    },
}

/// How many partitions a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// One partition.
    One,
    /// As many as configured for topics keyed by entity id; they are read together.
    Entity,
}

/// One row of the table. `<…>` in a name stands for a part that configuration fills in.
#[derive(Debug, Clone, Copy)]
pub struct TopicRow {
    /// Name without the prefix.
    pub name: &'static str,
    /// What the key is.
    pub key: &'static str,
    /// What the value is; the Avro name where it is one message.
    pub value: &'static str,
    /// How it forgets.
    pub cleanup: Cleanup,
    /// Partitions.
    pub spread: Spread,
    /// Who writes it.
    pub writer: &'static str,
    /// Who reads it.
    pub readers: &'static str,
}

const AUDIT_DAYS: u32 = 3650;
const COMMAND_DAYS: u32 = 7;
const DEAD_DAYS: u32 = 90;

const fn row(
    name: &'static str,
    key: &'static str,
    value: &'static str,
    cleanup: Cleanup,
    spread: Spread,
    writer: &'static str,
    readers: &'static str,
) -> TopicRow {
    TopicRow { name, key, value, cleanup, spread, writer, readers }
}

/// Every topic.
pub const TABLE: &[TopicRow] = &[
    row(
        "cdc.crm.<object>",
        "record id",
        "typed from the org's own event schema, in the change envelope",
        Cleanup::Compact,
        Spread::Entity,
        "ingest",
        "matcher, read model",
    ),
    row(
        "cdc.erp.<schema>.<table>",
        "primary key",
        "typed from the table, in the change envelope; a delete is followed by a tombstone",
        Cleanup::Compact,
        Spread::Entity,
        "ingest",
        "matcher, read model",
    ),
    row("ingest.checkpoint", "source name", "concord.Checkpoint", Cleanup::Compact, Spread::One, "ingest", "ingest, matcher"),
    row(
        "entity.changes",
        "entity id",
        "concord.EntityChange",
        Cleanup::Delete { days: COMMAND_DAYS },
        Spread::Entity,
        "matcher",
        "reconciler, aggregates",
    ),
    row("entity.links", "side:object:record id", "concord.EntityLink", Cleanup::Compact, Spread::Entity, "matcher", "read model"),
    row(
        "writes.crm",
        "entity id",
        "concord.Write",
        Cleanup::Delete { days: COMMAND_DAYS },
        Spread::Entity,
        "reconciler",
        "Salesforce sink, read model",
    ),
    row(
        "writes.erp",
        "entity id",
        "concord.Write",
        Cleanup::Delete { days: COMMAND_DAYS },
        Spread::Entity,
        "reconciler",
        "ERP sink, read model",
    ),
    row(
        "outcomes",
        "entity id",
        "concord.Outcome",
        Cleanup::Delete { days: COMMAND_DAYS },
        Spread::Entity,
        "sinks",
        "reconciler, read model",
    ),
    row("conflicts", "conflict id, placed by entity id", "concord.Conflict", Cleanup::Compact, Spread::Entity, "reconciler", "read model"),
    row("audit", "entity id", "concord.AuditEntry", Cleanup::Delete { days: AUDIT_DAYS }, Spread::Entity, "reconciler", "read model"),
    row("golden.<entity>", "entity id", "typed from the mapping", Cleanup::Compact, Spread::Entity, "reconciler", "data teams, read model"),
    row(
        "customer.financials",
        "customer entity id",
        "concord.CustomerFinancials",
        Cleanup::Compact,
        Spread::Entity,
        "aggregates",
        "data teams, read model",
    ),
    row("pipeline.summary", "stage", "concord.PipelineSummary", Cleanup::Compact, Spread::One, "aggregates", "data teams, read model"),
    row(
        "match.reviews",
        "left~right entity ids, placed by the left one",
        "concord.MatchReview",
        Cleanup::Compact,
        Spread::Entity,
        "matcher",
        "read model",
    ),
    row(
        "decisions",
        "entity id",
        "concord.Decision",
        Cleanup::Delete { days: AUDIT_DAYS },
        Spread::Entity,
        "dashboard, command line",
        "reconciler, matcher",
    ),
    row(
        "decision.outcomes",
        "entity id",
        "concord.DecisionOutcome",
        Cleanup::Delete { days: AUDIT_DAYS },
        Spread::Entity,
        "reconciler, matcher",
        "read model, command line",
    ),
    row("control", "setting", "concord.Setting", Cleanup::Compact, Spread::One, "dashboard, app", "everyone"),
    row("health", "component", "concord.Health", Cleanup::Compact, Spread::One, "everyone", "read model"),
    row(
        "<topic>.dlq",
        "as the input",
        "concord.DeadLetter",
        Cleanup::Delete { days: DEAD_DAYS },
        Spread::One,
        "whoever set it aside",
        "read model",
    ),
    row("<app>-<store>-changelog", "store key", "state store writes", Cleanup::Compact, Spread::Entity, "processors", "processors"),
    row(
        "_schemas",
        "subject and version",
        "registered schemas, when no registry is configured",
        Cleanup::Compact,
        Spread::One,
        "schema routes",
        "schema routes",
    ),
];

/// A topic with everything filled in, ready to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Full name, with prefix.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// How it forgets.
    pub cleanup: Cleanup,
}

/// Spells topic names with the configured prefix and sizes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
    entity_partitions: u32,
}

macro_rules! fixed {
    ($($(#[doc = $doc:literal])* $method:ident = $name:literal;)*) => {
        $($(#[doc = $doc])* pub fn $method(&self) -> String { self.full($name) })*
    };
}

impl Topics {
    /// Names start with `prefix` (often empty); topics keyed by entity id get so many partitions.
    pub fn new(prefix: impl Into<String>, entity_partitions: u32) -> Self {
        Self { prefix: prefix.into(), entity_partitions: entity_partitions.max(1) }
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A consumer group or transactional id of this installation. On a broker that several installations share, names
    /// without their prefix would make them fence one another.
    pub fn owned(&self, name: &str) -> String {
        self.full(name)
    }

    /// Partitions of topics keyed by entity id.
    pub fn entity_partitions(&self) -> u32 {
        self.entity_partitions
    }

    /// Changes of one CRM object.
    pub fn cdc_crm(&self, object: &str) -> String {
        self.full(&format!("cdc.crm.{}", word(object)))
    }

    /// Changes of one ERP table, named `schema.table`.
    pub fn cdc_erp(&self, table: &str) -> String {
        self.full(&format!("cdc.erp.{}", word(table)))
    }

    /// The merged record of one entity kind.
    pub fn golden(&self, kind: &str) -> String {
        self.full(&format!("golden.{}", word(kind)))
    }

    /// Writes to one side.
    pub fn writes(&self, side: crate::message::Side) -> String {
        self.full(&format!("writes.{side}"))
    }

    /// The dead-letter queue of a topic (full name in, full name out).
    pub fn dead_letters(&self, topic: &str) -> String {
        format!("{topic}.dlq")
    }

    /// The changelog of a processor's state store.
    pub fn changelog(&self, processor: &str, store: &str) -> String {
        self.full(&format!("{processor}-{store}-changelog"))
    }

    fixed! {
        /// Source positions.
        checkpoint = "ingest.checkpoint";
        /// Changes in canonical fields.
        entity_changes = "entity.changes";
        /// Which record belongs to which entity.
        entity_links = "entity.links";
        /// Answers to writes.
        outcomes = "outcomes";
        /// Conflicts, open and settled.
        conflicts = "conflicts";
        /// Confirmed writes.
        audit = "audit";
        /// What customers owe.
        customer_financials = "customer.financials";
        /// The pipeline by stage.
        pipeline_summary = "pipeline.summary";
        /// What people decided.
        decisions = "decisions";
        /// What became of them.
        decision_outcomes = "decision.outcomes";
        /// Possible matches.
        match_reviews = "match.reviews";
        /// Settings, flags, pause.
        control = "control";
        /// How each part is doing.
        health = "health";
        /// Registered schemas.
        schemas = "_schemas";
    }

    /// The configuration of a topic whose full name follows the table.
    pub fn config(&self, name: &str) -> Option<TopicConfig> {
        let bare = name.strip_prefix(self.prefix.as_str())?;
        let row = TABLE.iter().find(|row| matches(row.name, bare))?;
        let partitions = match row.spread {
            Spread::One => 1,
            Spread::Entity => self.entity_partitions,
        };
        Some(TopicConfig { name: name.to_owned(), partitions, cleanup: row.cleanup })
    }

    /// Every topic without a placeholder in its name.
    pub fn fixed(&self) -> Vec<TopicConfig> {
        TABLE.iter().filter(|row| !row.name.contains('<')).filter_map(|row| self.config(&self.full(row.name))).collect()
    }
}

/// Kafka accepts `[A-Za-z0-9._-]` in topic names; anything else in a source's name becomes an underscore.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
}

/// Whether a name fits a row's pattern; suffix patterns (`<topic>.dlq`) are looked at before prefixes.
fn matches(pattern: &str, name: &str) -> bool {
    let dead = name.ends_with(".dlq");
    let changelog = name.ends_with("-changelog");
    match pattern {
        "<topic>.dlq" => dead,
        "<app>-<store>-changelog" => changelog && !dead,
        _ if dead || changelog => false,
        _ => match pattern.split_once('<') {
            None => pattern == name,
            Some((head, _)) => name.len() > head.len() && name.starts_with(head),
        },
    }
}

/// Kafka's default partitioner for keyed records (murmur2, seed `0x9747b28c`), as Java clients compute it.
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, &byte) in tail.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_row() {
        let topics = Topics::new("acme.", 8);
        for name in [
            topics.cdc_erp("public.customers"),
            topics.cdc_crm("Account"),
            topics.golden("customer"),
            topics.writes(crate::message::Side::Crm),
        ] {
            assert_eq!(topics.config(&name).map(|config| config.partitions), Some(8), "{name}");
        }
        let changelog = topics.config(&topics.changelog("reconciler", "entities")).expect("in the table");
        assert_eq!((changelog.cleanup, changelog.partitions), (Cleanup::Compact, 8));
        let dead = topics.config(&topics.dead_letters(&topics.cdc_crm("Account"))).expect("in the table");
        assert_eq!(dead.partitions, 1);
        assert_eq!(topics.config("elsewhere"), None);
    }

    #[test]
    fn partitions_agree_with_java_clients() {
        // Vectors from Apache Kafka's own UtilsTest.testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
