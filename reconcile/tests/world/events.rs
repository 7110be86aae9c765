//! What reaches the core, one event at a time, and what follows from it.

use reconcile::mapping::{EntityMapping, Side};
use reconcile::merge::{self, Effect, Event, WriteNumber};

use super::World;

impl World {
    /// The next change of a side reaches the core.
    pub(crate) fn deliver(&mut self, mapping: &EntityMapping, side: Side) {
        if let Some(change) = self.systems[side].stream.pop_front() {
            self.systems[side].last = Some(change.clone());
            self.shown.extend(change.fields.iter().map(|(field, value)| ((side, field.clone()), value.clone())));
            self.apply(mapping, &Event::Changed(change));
        }
    }

    /// The newest delivered change of a side comes again.
    pub(crate) fn repeat(&mut self, mapping: &EntityMapping, side: Side) {
        if let Some(change) = self.systems[side].last.clone() {
            self.apply(mapping, &Event::Changed(change));
        }
    }

    /// The next answer of either side reaches the core.
    pub(crate) fn answer(&mut self, mapping: &EntityMapping) {
        if let Some(side) = Side::BOTH.into_iter().find(|side| !self.systems[*side].answers.is_empty()) {
            self.answer_of(mapping, side);
        }
    }

    /// The next answer of a side reaches the core.
    pub(crate) fn answer_of(&mut self, mapping: &EntityMapping, side: Side) {
        let Some((_, mut event)) = self.systems[side].answers.pop_front() else { return };
        if let Event::Read(change) = &mut event {
            // What its stream does not owe any more is left to the stream.
            let owed = merge::unshown(&self.state, change.side, i64::MAX);
            change.fields.retain(|field, _| owed.contains(&field.as_str()));
            let owes = !owed.is_empty() || merge::owes_record(&self.state, change.side, i64::MAX);
            if !owes || self.state.sides[change.side].record.as_ref() != Some(&change.record) {
                return;
            }
        }
        self.apply(mapping, &event);
    }

    /// The record is read because its stream owes something; the answer comes behind the others.
    pub(crate) fn read_owed(&mut self, side: Side) {
        let Some(record) = self.state.sides[side].record.clone() else { return };
        let gone = self.systems[side].record.as_ref() != Some(&record);
        let columns = self.systems[side].row.keys().filter(|_| !gone).cloned().collect();
        let mut change = self.change(side, &record, gone, columns, None);
        change.snapshot = true;
        change.actor = None;
        change.write = self.state.next_write.checked_sub(1).map(WriteNumber);
        self.systems[side].answers.push_back((None, Event::Read(change)));
    }

    pub(crate) fn apply(&mut self, mapping: &EntityMapping, event: &Event) -> Vec<Effect> {
        let clock = self.clock;
        let effects = merge::apply(mapping, &mut self.state, event, clock);
        for effect in &effects {
            match effect {
                Effect::Write(command) => self.systems[command.side].commands.push_back(command.clone()),
                Effect::Conflict(record) => {
                    self.conflicts.insert(record.number.0, record.clone());
                }
                Effect::Confirmed(confirmed) => self.confirmed.push(confirmed.clone()),
                Effect::Decided(reply) => {
                    self.replies.push((reply.result, reply.reason.clone()));
                    self.note(reply);
                }
                Effect::Golden => {}
            }
        }
        effects
    }
}
