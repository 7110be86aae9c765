//! The sinks: they check, carry out, answer, lose answers and are killed.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::Side;
use reconcile::merge::{Answer, Event, WriteCommand, WriteKind};

use super::{World, canonical, column};

impl World {
    /// The sink reads the target and compares, without committing yet. Only racy systems need it.
    pub(crate) fn check(&mut self, side: Side) {
        let Some(command) = self.systems[side].commands.front().cloned() else { return };
        let system = &self.systems[side];
        let holds = self.holds(side, &command) || command.kind == WriteKind::Create;
        let done = system.record.is_some() && system.bears == Some(command.number.0);
        // An earlier try did it, whatever became of it since.
        if done || command.kind == WriteKind::Delete && system.record.is_none() {
            let record = system.record.clone();
            self.systems[side].commands.pop_front();
            self.reply(&command, Answer::Applied, record);
        } else if holds {
            self.systems[side].checked = true;
        } else {
            self.reject(side, &command);
        }
    }

    fn holds(&self, side: Side, command: &WriteCommand) -> bool {
        let system = &self.systems[side];
        system.record.is_some() && command.expected.iter().all(|(name, value)| system.row.get(name) == Some(value))
    }

    fn reject(&mut self, side: Side, command: &WriteCommand) {
        let system = &mut self.systems[side];
        system.commands.pop_front();
        system.checked = false;
        let actual = system
            .record
            .is_some()
            .then(|| command.expected.keys().map(|name| (name.clone(), system.row.get(name).cloned().unwrap_or_default())).collect());
        self.reply(command, Answer::Rejected(actual), None);
    }

    fn reply(&mut self, command: &WriteCommand, answer: Answer, record: Option<String>) {
        let event = Event::Answered { write: command.number, answer, record };
        self.systems[command.side].answers.push_back((Some(command.clone()), event));
    }

    /// The sink is killed and starts again from its last commit, without what it remembered of its tries. The last answers
    /// that nobody has heard, `lost` of them, were not committed.
    pub(crate) fn kill(&mut self, side: Side, lost: usize) {
        let system = &mut *self.systems[side];
        system.checked = false;
        let kept = system.answers.len().saturating_sub(lost);
        for (command, _) in system.answers.split_off(kept).into_iter().rev() {
            if let Some(command) = command {
                system.commands.push_front(command);
            }
        }
        if system.manner.racy {
            for command in system.commands.iter().filter(|command| command.kind != WriteKind::Create) {
                system.ledger.remove(&command.number.0);
            }
        }
    }

    /// The sink carries out the next command. `lost` loses the answer: the sink will try the same command again.
    pub(crate) fn execute(&mut self, side: Side, lost: bool) {
        let Some(command) = self.systems[side].commands.front().cloned() else { return };
        let number = command.number.0;
        let racy = self.systems[side].manner.racy;
        if racy && !self.systems[side].checked {
            self.check(side);
            if !self.systems[side].checked {
                return;
            }
        }
        // Tried before, and the ledger knows. A system without one has compared what it holds.
        let kept = self.systems[side].ledger.get(&number).filter(|_| !racy || command.kind == WriteKind::Create);
        if let Some(record) = kept.cloned() {
            self.systems[side].commands.pop_front();
            self.systems[side].checked = false;
            self.reply(&command, told(racy, record.1), Some(record.0));
            return;
        }
        let checked = self.systems[side].checked;
        let refused = match command.kind {
            // Another one of the entity's is there, brought back meanwhile.
            WriteKind::Create => self.systems[side].record.is_some(),
            _ => !checked && !self.holds(side, &command),
        };
        if refused {
            self.reject(side, &command);
            return;
        }
        self.systems[side].checked = false;
        self.carry_out(side, &command);
        let record = self.systems[side].record.clone();
        let row = &self.systems[side].row;
        let after: BTreeMap<String, Value> =
            command.values.keys().map(|name| (name.clone(), row.get(name).cloned().unwrap_or_default())).collect();
        self.systems[side].ledger.insert(number, (record.clone().unwrap_or_default(), after.clone()));
        if !lost {
            self.systems[side].commands.pop_front();
            self.reply(&command, told(racy, after), record);
        }
    }

    fn carry_out(&mut self, side: Side, command: &WriteCommand) {
        match command.kind {
            WriteKind::Create => {
                let system = &mut self.systems[side];
                system.made += 1;
                system.record = Some(format!("{}-made-{}", side.as_str(), system.made));
                for name in ["name", "phone"] {
                    system.row.insert(column(side, name), Value::Null);
                }
                let values = command.values.clone().into_iter().collect();
                self.commit(side, values, Some(command.number.0));
                // A create says all there is.
                let row = self.systems[side].row.clone();
                if let Some(change) = self.systems[side].stream.back_mut() {
                    for (name, value) in row {
                        change.fields.insert(canonical(side, &name), value.clone());
                        change.columns.insert(name, value);
                    }
                }
            }
            WriteKind::Update | WriteKind::Archive | WriteKind::Unarchive => {
                let values = command.values.clone().into_iter().collect();
                self.commit(side, values, Some(command.number.0));
            }
            WriteKind::Delete => {
                if let Some(record) = self.systems[side].record.clone() {
                    let change = self.change(side, &record, true, Vec::new(), Some(command.number.0));
                    self.systems[side].row.clear();
                    self.systems[side].record = None;
                    self.push(side, change);
                }
            }
        }
    }

    /// The target refuses the next command for good.
    pub(crate) fn refuse(&mut self, side: Side, reason: &str) {
        if let Some(command) = self.systems[side].commands.pop_front() {
            self.reply(&command, Answer::Failed(reason.to_owned()), None);
        }
    }
}

/// A system that compares and writes in one transaction also says what it holds then.
fn told(racy: bool, after: BTreeMap<String, Value>) -> Answer {
    if racy { Answer::Applied } else { Answer::AppliedAs(after) }
}
