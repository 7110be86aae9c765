//! The rows beside root rows as the matcher uses them: which tables, which of their columns, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reconcile::mapping::rows::{ROW_KEY, wide};
use reconcile::mapping::{Condition, OrderBy, RowLink, RowMapping, SideMapping};
use schemas::message::{Field, Side};
use schemas::topic::Topics;

use super::super::plan::Source;
use super::choose;

/// One row beside the root rows of a source.
#[derive(Debug)]
pub(crate) struct Join {
    /// Table.
    pub(crate) table: String,
    /// How it hangs on the root row.
    pub(crate) link: RowLink,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) order: Vec<OrderBy>,
    pub(crate) actor_column: Option<String>,
    /// The wide row's column that holds the key of the chosen row.
    pub(crate) key_name: String,
    /// Column of the wide row, and of the table.
    pub(crate) columns: Vec<(String, String)>,
}

impl Join {
    fn new(name: &str, row: &RowMapping, used: &BTreeSet<String>) -> Self {
        let prefix = wide(name, "");
        let columns = used.iter().filter_map(|column| Some((column.clone(), column.strip_prefix(&prefix)?.to_owned())));
        Self {
            table: row.table.clone(),
            link: row.link.clone(),
            conditions: row.conditions.clone(),
            order: row.order.clone(),
            actor_column: row.actor_column.clone(),
            key_name: wide(name, ROW_KEY),
            columns: columns.collect(),
        }
    }

    /// The root row's columns that the join looks at.
    pub(crate) fn root_columns(&self) -> &[String] {
        match &self.link {
            RowLink::Parent(columns) => columns,
            RowLink::Child(_) => &[],
        }
    }

    /// Whether a row holds what it must.
    pub(crate) fn meets(&self, columns: &[Field]) -> bool {
        choose::meets(&self.conditions, columns)
    }
}

/// The joins of one side, for the columns that are used.
pub(crate) fn joins(side: &SideMapping, used: &BTreeSet<String>) -> Vec<Join> {
    side.rows.iter().map(|(name, row)| Join::new(name, row, used)).collect()
}

/// A table with rows beside root rows.
#[derive(Debug)]
pub(crate) struct RowTable {
    pub(crate) object: String,
    pub(crate) topic: Arc<str>,
    /// Columns to remember.
    pub(crate) columns: BTreeSet<String>,
    /// Foreign keys that point at root rows, under which rows are listed.
    pub(crate) keys: BTreeSet<Vec<String>>,
    /// Sources whose root rows these rows stand beside: position in the plan, and in its joins.
    pub(crate) uses: Vec<(usize, usize)>,
}

/// All tables with rows beside root rows.
#[derive(Debug, Default)]
pub(crate) struct RowTables {
    pub(crate) all: Vec<RowTable>,
    by_topic: BTreeMap<Arc<str>, usize>,
}

impl RowTables {
    pub(crate) fn new(sources: &[Source], topics: &Topics) -> Self {
        let mut all: BTreeMap<&str, RowTable> = BTreeMap::new();
        for (source_place, source) in sources.iter().enumerate() {
            for (place, join) in source.joins.iter().enumerate() {
                let table = all.entry(&join.table).or_insert_with(|| RowTable {
                    object: join.table.clone(),
                    topic: topics.cdc_erp(&join.table).into(),
                    columns: BTreeSet::new(),
                    keys: BTreeSet::new(),
                    uses: Vec::new(),
                });
                table.columns.extend(join.columns.iter().map(|(_, column)| column.clone()));
                table.columns.extend(join.conditions.iter().map(|condition| condition.column.clone()));
                table.columns.extend(join.order.iter().map(|order| order.column.clone()));
                table.columns.extend(join.actor_column.clone());
                if let RowLink::Child(key) = &join.link {
                    table.columns.extend(key.iter().cloned());
                    table.keys.insert(key.clone());
                }
                table.uses.push((source_place, place));
            }
        }
        let all: Vec<RowTable> = all.into_values().collect();
        let by_topic = all.iter().enumerate().map(|(place, table)| (table.topic.clone(), place)).collect();
        Self { all, by_topic }
    }

    pub(crate) fn by_topic(&self, topic: &str) -> Option<&RowTable> {
        self.by_topic.get(topic).and_then(|place| self.all.get(*place))
    }

    pub(crate) fn find(&self, side: Side, object: &str) -> Option<&RowTable> {
        self.all.iter().find(|table| side == Side::Erp && table.object == object)
    }
}
