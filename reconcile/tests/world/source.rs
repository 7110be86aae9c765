//! A system as a source: what it commits, and how its stream says so.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::Side;
use reconcile::merge::{SideChange, WriteNumber};

use super::{Commit, World, canonical};

impl World {
    pub(super) fn change(&self, side: Side, record: &str, deleted: bool, columns: Vec<String>, write: Option<u64>) -> SideChange {
        let system = &self.systems[side];
        let mut fields = BTreeMap::new();
        let mut values = BTreeMap::new();
        for name in columns {
            let value = system.row.get(&name).cloned().unwrap_or_default();
            fields.insert(canonical(side, &name), value.clone());
            values.insert(name, value);
        }
        SideChange {
            side,
            record: record.to_owned(),
            deleted,
            unlinked: false,
            joined: false,
            returned: false,
            foreign: false,
            fields,
            columns: values,
            references: BTreeMap::new(),
            may_create: true,
            snapshot: false,
            released: false,
            at: self.clock,
            actor: Some(if write.is_some() { "Concord".to_owned() } else { format!("{} user", side.as_str()) }),
            ours: write.is_some() && !system.manner.nameless,
            write: write.map(WriteNumber),
        }
    }

    pub(super) fn push(&mut self, side: Side, change: SideChange) {
        let system = &mut self.systems[side];
        if system.manner.coalesces
            && let Some(last) = system.stream.back_mut()
            && !last.deleted
            && !change.deleted
        {
            last.fields.extend(change.fields.clone());
            last.columns.extend(change.columns.clone());
            last.at = change.at;
            last.actor = change.actor;
            last.ours = change.ours;
            last.write = change.write;
            return;
        }
        system.stream.push_back(change);
    }

    /// A transaction at a side: the row changes, the stream says so.
    pub(super) fn commit(&mut self, side: Side, changes: Vec<(String, Value)>, write: Option<u64>) {
        let clock = self.clock;
        let system = &mut *self.systems[side];
        let Some(record) = system.record.clone() else { return };
        let mut all = changes;
        let count = all.len();
        if write.is_some()
            && let Some((from, to)) = &system.manner.trigger
            && let Some((_, value)) = all.iter().find(|(name, value)| name == from && system.row.get(from) != Some(value))
        {
            let text = format!("({})", value.as_text().unwrap_or_default());
            let follow = (to.clone(), Value::text(text));
            if !all.iter().any(|(name, _)| name == to) {
                all.push(follow);
            }
        }
        let asked = write.is_some();
        if asked {
            let history = self.past.history.len();
            let carried = all.iter().take(count).map(|(name, value)| (side, canonical(side, name), value.clone(), history));
            self.past.carried.extend(carried);
        }
        let wanted: Vec<String> = all.iter().map(|(name, _)| name.clone()).take(if asked { count } else { 0 }).collect();
        let mut changed = Vec::new();
        for (name, mut value) in all {
            if asked && let (Some(cut), Value::Text(text)) = (system.manner.cut, &value) {
                value = Value::Text(text.chars().take(cut).collect());
            }
            if system.row.get(&name) != Some(&value) {
                changed.push(name.clone());
                if asked {
                    let field = canonical(side, &name);
                    let asked = wanted.contains(&name);
                    self.past.history.push(Commit { side, field, value: value.clone(), at: clock, write, asked });
                }
                system.row.insert(name, value);
            }
        }
        system.by_us = asked;
        system.bears = write.or(system.bears);
        let columns = if system.manner.whole_rows { system.row.keys().cloned().collect() } else { changed };
        if columns.is_empty() && !asked {
            return;
        }
        let change = self.change(side, &record, false, columns, write);
        self.push(side, change);
    }

    /// The side is read; the row goes through its stream like a change.
    pub(crate) fn read_again(&mut self, side: Side) {
        let Some(record) = self.systems[side].record.clone() else { return };
        let columns = self.systems[side].row.keys().cloned().collect();
        let mut change = self.change(side, &record, false, columns, None);
        change.snapshot = true;
        let system = &mut self.systems[side];
        change.write = system.bears.map(WriteNumber);
        change.ours = system.by_us && !system.manner.whole_rows && !system.manner.nameless;
        system.stream.push_back(change);
    }
}
