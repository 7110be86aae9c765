//! Rows of captured objects: folds the changes of a batch into one row each.

use std::collections::BTreeMap;

use schemas::cdc::{Change, ChangeSchema, Op};
use schemas::message::Side;
use serde_json::{Map, Value as Json};

use super::json::{clean, plain};

/// What a batch knows of one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Whether `data` is the whole row; otherwise it is laid over what is there.
    pub(crate) whole: bool,
    pub(crate) data: Map<String, Json>,
    pub(crate) deleted: bool,
    pub(crate) committed_at: i64,
}

type Key = (Side, String, String);

/// Steps in order: rows, with whole tables emptied in between.
#[derive(Debug)]
pub(crate) enum Step {
    Rows(BTreeMap<Key, Row>),
    Emptied { side: Side, object: String, at: i64 },
}

#[derive(Debug, Default)]
pub(crate) struct Source(pub(crate) Vec<Step>);

impl Source {
    pub(crate) fn take(&mut self, key: &[u8], schema: &ChangeSchema, change: &Change) {
        let (side, object, at) = (change.source.side, change.source.object.clone(), change.source.committed_at);
        if change.op == Op::Truncate {
            self.0.push(Step::Emptied { side, object, at });
            return;
        }
        let data: Map<String, Json> = change
            .after
            .iter()
            .flatten()
            .enumerate()
            .filter(|(index, _)| change.changed.as_ref().is_none_or(|changed| changed.contains(index)))
            .filter_map(|(index, value)| Some((clean(&schema.columns.get(index)?.name), plain(value))))
            .collect();
        let deleted = change.op == Op::Delete;
        let row = Row { whole: change.changed.is_none() && !deleted, data, deleted, committed_at: at };
        let rows = match self.0.last_mut() {
            Some(Step::Rows(rows)) => rows,
            _ => {
                self.0.push(Step::Rows(BTreeMap::new()));
                match self.0.last_mut() {
                    Some(Step::Rows(rows)) => rows,
                    _ => return,
                }
            }
        };
        let key = (side, object, clean(&String::from_utf8_lossy(key)));
        match rows.get_mut(&key) {
            Some(known) if !row.whole => {
                known.data.extend(row.data);
                known.deleted = row.deleted;
                known.committed_at = row.committed_at;
            }
            _ => {
                rows.insert(key, row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::Value;
    use schemas::cdc::{self, Column, ColumnType};
    use serde_json::json;

    use super::*;

    fn change(op: Op, after: Option<Vec<Value>>, changed: Option<Vec<usize>>) -> Change {
        let source = cdc::Source {
            side: Side::Crm,
            name: "crm".to_owned(),
            object: "Opportunity".to_owned(),
            position: String::new(),
            transaction: String::new(),
            ordinal: 0,
            committed_at: 7,
            actor: None,
            origin: None,
            write: None,
            snapshot: false,
        };
        Change { before: None, after, op, changed, source, ts_ms: 0 }
    }

    #[test]
    fn changes_of_one_row_are_laid_over_each_other() {
        let column = |name: &str| Column { name: name.to_owned(), kind: ColumnType::Text };
        let schema = ChangeSchema { side: Side::Crm, object: "Opportunity".to_owned(), columns: vec![column("Name"), column("Stage")] };
        let mut source = Source::default();
        source.take(b"006", &schema, &change(Op::Create, Some(vec!["a".into(), "open".into()]), None));
        source.take(b"006", &schema, &change(Op::Update, Some(vec![Value::Null, "won".into()]), Some(vec![1])));
        source.take(b"007", &schema, &change(Op::Update, Some(vec!["b".into(), Value::Null]), Some(vec![0])));
        source.take(b"007", &schema, &change(Op::Delete, None, None));
        let [Step::Rows(rows)] = source.0.as_slice() else { panic!("one step") };
        let rows: Vec<&Row> = rows.values().collect();
        assert_eq!(
            (rows[0].whole, Json::Object(rows[0].data.clone()), rows[0].deleted),
            (true, json!({"Name": "a", "Stage": "won"}), false)
        );
        assert_eq!((rows[1].whole, Json::Object(rows[1].data.clone()), rows[1].deleted), (false, json!({"Name": "b"}), true));
        source.take(b"", &schema, &change(Op::Truncate, None, None));
        assert_eq!(source.0.len(), 2);
    }
}
