//! What goes wrong: a fault of the script, done to a process, the log or a system.

use std::sync::atomic::Ordering::Relaxed;

use processors::ProcessorName;
use schemas::message::Side;
use stream::{Log as _, NewRecord};

use super::super::mapping;
use super::super::script::{Fault, Who};
use super::super::turn::Armed;
use super::World;

impl World {
    pub(super) fn fail(&mut self, fault: Fault) -> anyhow::Result<()> {
        self.trace.note(format_args!("{fault:?}"));
        match fault {
            Fault::Crash(who) => {
                self.count(who.crash());
                self.start(who)?;
            }
            Fault::CrashAll => {
                self.count("crash_all");
                self.zombie = None;
                self.actors.clear();
                for who in Who::ALL {
                    self.start(who)?;
                }
            }
            Fault::LoseDisk(who) => {
                if self.stores.remove(&who).is_some() {
                    self.count("disk_lost");
                }
                self.start(who)?;
            }
            Fault::Zombie(who) => {
                self.count("zombie");
                if let Some(actor) = self.actors.remove(&who) {
                    self.zombie = Some((who, actor));
                }
                // The zombie's machine is not the new one's.
                self.stores.remove(&who);
                self.start(who)?;
            }
            Fault::RefuseCommit(who) => self.arm(who, "log_refuses_commit", |armed| armed.refuse_commit = true),
            Fault::RefusePoll(who) => self.arm(who, "log_refuses_poll", |armed| armed.refuse_poll = true),
            Fault::LoseAnswer(who) => self.arm(who, "log_answer_lost", |armed| armed.lose_answer = true),
            Fault::Reorder(who, polls) => self.arm(who, "reorder", |armed| armed.withhold = polls),
            Fault::DiskFull(events) => {
                self.count("disk_full");
                self.log.faults().disk_full(true);
                self.disk_full_until = self.now + usize::from(events);
            }
            Fault::Delay(events) => {
                self.count("delay");
                self.log.faults().hold_visibility(true);
                self.delayed_until = self.now + usize::from(events);
            }
            Fault::Slow(who, events) => {
                self.count("slow");
                self.slow.insert(who, self.now + usize::from(events));
            }
            Fault::Rebalance(group) => {
                self.count("rebalance");
                self.log.faults().rebalance(group_name(group));
            }
            Fault::Evict(group) => {
                self.count("evicted");
                self.log.faults().evict(group_name(group));
            }
            Fault::Stall(who, events) => {
                self.count("stall");
                self.slow.insert(who, self.now + usize::from(events));
                if let Some(group) = who.group() {
                    self.log.faults().evict(group);
                }
            }
            Fault::Jump(side, by) => {
                // A CRM's clock does not go back.
                let by = if side == Side::Crm { by.abs() } else { by };
                let mut systems = self.systems.lock();
                systems.side(side).skew += by;
                systems.fault("clock_jump");
            }
            Fault::Expire(side) => {
                let mut systems = self.systems.lock();
                let system = systems.side(side);
                system.floor = system.stream.len();
            }
            Fault::ExpireAfterDelete(side, kind, record) => {
                let mut systems = self.systems.lock();
                systems.drop_record(side, kind, record);
                let system = systems.side(side);
                system.floor = system.stream.len();
            }
            Fault::Repeat(side, times) => self.systems.lock().side(side).fault.repeat = times,
            Fault::Gap(side) => self.systems.lock().side(side).fault.gap = true,
            Fault::Down(side, calls) => self.systems.lock().side(side).fault.down = calls,
            Fault::TargetLosesAnswer(side) => self.systems.lock().side(side).fault.lose_answer = true,
            Fault::PutBack => {
                let fault = &mut self.systems.lock().erp.fault;
                (fault.lose_answer, fault.put_back) = (true, true);
            }
            Fault::Compact => {}
            Fault::Partial(side, rows) => self.systems.lock().side(side).fault.locked = rows,
            Fault::Race(edit) => self.systems.lock().side(edit.side).fault.race = Some(edit),
            Fault::Configure(_) => {}
        }
        Ok(())
    }

    fn arm(&self, who: Who, kind: &'static str, arm: impl FnOnce(&mut Armed)) {
        if let Some(actor) = self.actors.get(&who) {
            self.count(kind);
            arm(&mut actor.turn.armed());
        }
    }

    /// Another mapping: with a new start of whoever follows it, or while everything runs.
    pub(super) async fn configure(&mut self, wanted: u8) -> anyhow::Result<()> {
        let Some(next) = mapping::after(self.mapping, wanted) else { return Ok(()) };
        self.count("configuration_change");
        self.mapping = next;
        let mapping = self.mappings[next].clone();
        self.versions.insert(mapping.version);
        if wanted.is_multiple_of(2) {
            for who in [Who::Matcher, Who::StandbyMatcher, Who::Reconciler, Who::OtherReconciler] {
                self.start(who)?;
            }
            return Ok(());
        }
        let topic = self.topics.control();
        let setting = processors::in_force::setting(&mapping.text, mapping.version, "somebody", self.clock.load(Relaxed));
        let bytes = self.common.codec.encode(&topic, &setting).await?;
        let _refused = self.log.publish(vec![NewRecord::new(topic.as_str(), processors::in_force::SETTING, bytes)]).await;
        Ok(())
    }

    /// The log is compacted, but for what its readers have yet to see: that is younger than compaction's lag.
    pub(super) async fn compact(&mut self) -> anyhow::Result<()> {
        if self.is_read(|group| group == ProcessorName::Matcher.as_str()).await? {
            self.read_links().await?;
            self.trace.note(format_args!("the log is compacted"));
            self.count("compaction");
            self.log.compact();
        }
        Ok(())
    }
}

fn group_name(group: u8) -> &'static str {
    ["matcher", "reconciler", "sink.crm", "sink.erp"][usize::from(group) % 4]
}
