//! The records of one object, in id order, with the look-ups that writes and queries need.

use std::collections::{BTreeMap, BTreeSet};

use super::id::RecordId;
use super::schema::{MODSTAMP, Object};
use super::value::{Row, Value};

/// Rows by id counter. Records in the recycle bin stay, but are out of the value and parent indexes.
#[derive(Default)]
pub(crate) struct Table {
    rows: BTreeMap<u64, Row>,
    by_value: BTreeSet<(u16, Box<str>, u64)>,
    by_parent: BTreeSet<(u16, RecordId, u64)>,
    by_modstamp: BTreeSet<(i64, u64)>,
    pub(crate) next_number: u64,
    pub(crate) live: usize,
}

impl Table {
    /// An empty table whose first record gets `first` as its counter.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { next_number: first, ..Self::default() }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Row> {
        self.rows.get(&number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Row)> {
        self.rows.iter().map(|(number, row)| (*number, row))
    }

    /// Rows, the last changed first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = (u64, &Row)> {
        self.by_modstamp.iter().rev().filter_map(|(_, number)| self.rows.get(number).map(|row| (*number, row)))
    }

    /// Replaces or removes a row and gives back what was there.
    pub(crate) fn put(&mut self, object: &Object, number: u64, row: Option<Row>) -> Option<Row> {
        if let Some(row) = &row {
            self.index(object, number, row);
        }
        let before = match row {
            Some(row) => {
                let (stamp, live) = (row.get(MODSTAMP).datetime(), !row.deleted);
                self.live += usize::from(live);
                let before = self.rows.insert(number, row);
                if let Some(before) = &before {
                    self.live -= usize::from(!before.deleted);
                    let old_stamp = before.get(MODSTAMP).datetime();
                    if old_stamp != stamp
                        && let Some(old) = old_stamp
                    {
                        self.by_modstamp.remove(&(old, number));
                    }
                }
                before
            }
            None => {
                let before = self.rows.remove(&number);
                if let Some(before) = &before {
                    self.live -= usize::from(!before.deleted);
                    if let Some(old) = before.get(MODSTAMP).datetime() {
                        self.by_modstamp.remove(&(old, number));
                    }
                }
                before
            }
        };
        if let Some(before) = &before {
            self.unindex(object, number, before);
        }
        before
    }

    fn index(&mut self, object: &Object, number: u64, row: &Row) {
        if let Some(stamp) = row.get(MODSTAMP).datetime() {
            self.by_modstamp.insert((stamp, number));
        }
        if row.deleted {
            return;
        }
        for (field, key) in keys(object, row) {
            match key {
                Key::Text(text) => self.by_value.insert((field, text, number)),
                Key::Parent(id) => self.by_parent.insert((field, id, number)),
            };
        }
    }

    fn unindex(&mut self, object: &Object, number: u64, before: &Row) {
        if before.deleted {
            return;
        }
        let now: Vec<_> = match self.rows.get(&number) {
            Some(row) if !row.deleted => keys(object, row).collect(),
            _ => Vec::new(),
        };
        for (field, key) in keys(object, before) {
            if now.iter().any(|(other, kept)| *other == field && *kept == key) {
                continue;
            }
            match key {
                Key::Text(text) => self.by_value.remove(&(field, text, number)),
                Key::Parent(id) => self.by_parent.remove(&(field, id, number)),
            };
        }
    }

    /// Live records whose indexed text field has this value, ignoring case.
    pub(crate) fn find(&self, field: usize, text: &str) -> Vec<u64> {
        let (field, key): (_, Box<str>) = (field as u16, text.to_lowercase().into());
        self.by_value.range((field, key.clone(), 0)..=(field, key, u64::MAX)).map(|(_, _, number)| *number).collect()
    }

    /// Live records whose reference field names `parent`.
    pub(crate) fn children(&self, field: usize, parent: RecordId) -> Vec<u64> {
        self.by_parent.range((field as u16, parent, 0)..=(field as u16, parent, u64::MAX)).map(|(_, _, number)| *number).collect()
    }

    /// Records whose SystemModstamp is at least `from_ms`, deleted ones too, in no useful order.
    pub(crate) fn modified_since(&self, from_ms: i64) -> Vec<u64> {
        let mut found: Vec<_> = self.by_modstamp.range((from_ms, 0)..).map(|(_, number)| *number).collect();
        found.sort_unstable();
        found
    }
}

#[derive(PartialEq)]
enum Key {
    Text(Box<str>),
    Parent(RecordId),
}

fn keys<'a>(object: &'a Object, row: &'a Row) -> impl Iterator<Item = (u16, Key)> + 'a {
    object.keyed.iter().filter_map(|index| {
        let key = match row.get(*index) {
            Value::Text(text) => Key::Text(text.to_lowercase().into()),
            Value::Id(id) => Key::Parent(id),
            _ => return None,
        };
        Some((*index as u16, key))
    })
}
