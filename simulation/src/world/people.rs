//! What people ask for beside edits: whether records are one or two, whether a record is made, what becomes of an opportunity.
//! They see what the pages show, which is what the log says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use futures::FutureExt as _;
use schemas::Value;
use schemas::message::{
    Action, AuditEntry, Choice, Conflict, ConflictState, Decision, DecisionOutcome, DecisionResult, EntityLink, MatchReview, MatchState,
    Side,
};
use stream::{Log as _, NewRecord, Start};

use super::super::script::{Orders, Setup, Wish};
use super::super::shape::{FIELDS, Kind, LABELS, LINK, TAGS, WON, label_columns, number_column};
use super::super::system::By;
use super::super::systems::Systems;
use super::World;

/// A decision that was sent.
pub(in super::super) struct Asked {
    pub(in super::super) decision: Decision,
    /// The records of the two entities as people saw them.
    pub(in super::super) seen: [Records; 2],
    /// Decisions about matches that nobody had an answer to yet: what people saw was from before them.
    pub(in super::super) before: BTreeSet<String>,
}

/// An entity's records.
pub(in super::super) type Records = BTreeMap<Side, String>;

/// What people of these kinds had made before Concord came.
pub(super) fn were_here(systems: &mut Systems, setup: &Setup, clock: &AtomicI64) {
    if setup.wishes.matches {
        for number in 0..setup.customers[0] + 2 {
            let side = if (number + u32::from(setup.mapping)).is_multiple_of(2) { Side::Crm } else { Side::Erp };
            clock.fetch_add(300_000, Relaxed);
            label(systems, side, None, [number as usize % 2, number as usize / 2 % 3], Some(200 + number));
        }
    }
    if setup.wishes.orders != Orders::None {
        for number in 0..2 {
            clock.fetch_add(300_000, Relaxed);
            opportunity(systems, number, number == 0 && setup.markers, 300 + number);
        }
    }
}

/// A customer with a label and a tag: one that is made, without a number, or one that is there.
fn label(systems: &mut Systems, side: Side, record: Option<u32>, [label, tag]: [usize; 2], made: Option<u32>) {
    let word = |words: &[&str], index: usize| words.get(index).map_or(Value::Null, |word| Value::text(*word));
    let [label_column, tag_column] = label_columns(side);
    let mut values = vec![(label_column.to_owned(), word(&LABELS, label)), (tag_column.to_owned(), word(&TAGS, tag))];
    let id = match (made, record) {
        (Some(number), _) => {
            let system = systems.at(side);
            let own = super::super::shape::fields(Kind::Customer);
            values.extend(own.map(|(index, field)| (field.column(side).to_owned(), system.typed(index, number))));
            values.retain(|(_, value)| !value.is_null());
            None
        }
        (None, Some(record)) => match systems.at(side).nth(Kind::Customer, record) {
            Some(id) => Some(id.clone()),
            None => return,
        },
        (None, None) => return,
    };
    systems.commit(side, Kind::Customer, id.as_deref(), values, &By::Person);
}

fn opportunity(systems: &mut Systems, customer: u32, won: bool, number: u32) {
    let customer = systems.crm.nth(Kind::Customer, customer).map_or(Value::Null, Value::text);
    let mut values = vec![
        ("Name".to_owned(), Value::text(format!("{number} deal"))),
        ("Amount".to_owned(), Value::Double(f64::from(number))),
        (FIELDS[LINK].column(Side::Crm).to_owned(), customer),
        (WON.to_owned(), Value::Bool(won)),
    ];
    values.retain(|(_, value)| !value.is_null());
    systems.commit(Side::Crm, Kind::Opportunity, None, values, &By::Person);
    systems.fault("opportunity_made");
}

/// Who has the number of a record is meant to be told apart by people.
fn share(systems: &mut Systems, records: &Records) {
    for (side, id) in records {
        let system = systems.at(*side);
        let row = system.rows.get(id).or_else(|| system.gone.get(id).map(|gone| &gone.row));
        let number = row.and_then(|row| row.values.get(number_column(*side))).and_then(Value::as_text);
        if let Some(number) = number.map(str::to_owned) {
            systems.shared_numbers.insert(number);
        }
    }
}

impl World {
    pub(super) async fn wish(&mut self, wish: Wish) -> anyhow::Result<()> {
        self.trace.note(format_args!("{wish:?}"));
        match wish {
            Wish::Twin { side, kind, of, record, number } => {
                let mut systems = self.systems.lock();
                let known = systems.at(of).nth(kind, record).and_then(|id| systems.at(of).rows.get(id));
                let known = known.and_then(|row| row.values.get(number_column(of))).and_then(Value::as_text).map(str::to_owned);
                if let Some(known) = known {
                    systems.shared_numbers.insert(known.clone());
                    systems.create(side, kind, &known, number);
                    systems.fault("twin_made");
                }
            }
            Wish::Renumber { side, kind, record, other } => {
                let mut systems = self.systems.lock();
                let (one, two) = (systems.at(side).nth(kind, record).cloned(), systems.at(side).nth(kind, other).cloned());
                let (Some(one), Some(two)) = (one, two) else { return Ok(()) };
                let column = number_column(side);
                let number = systems.at(side).rows.get(&two).and_then(|row| row.values.get(column)).cloned().unwrap_or(Value::Null);
                if one == two {
                    return Ok(());
                }
                share(&mut systems, &Records::from([(side, one.clone())]));
                share(&mut systems, &Records::from([(side, two)]));
                systems.commit(side, kind, Some(&one), vec![(column.to_owned(), number)], &By::Person);
                systems.fault("renumbered");
            }
            Wish::Label { side, record, label: word, tag, number } => {
                label(&mut self.systems.lock(), side, Some(record), [usize::from(word), usize::from(tag)], number);
            }
            Wish::Opportunity { customer, won, number } => opportunity(&mut self.systems.lock(), customer, won, number),
            Wish::Close { which, won } => self.set_opportunity(which, WON, Value::Bool(won)),
            Wish::Move { which, customer } => {
                let customer = self.systems.lock().crm.nth(Kind::Customer, customer).map_or(Value::Null, Value::text);
                self.set_opportunity(which, FIELDS[LINK].column(Side::Crm), customer);
            }
            Wish::Drop { which } => self.systems.lock().drop_record(Side::Crm, Kind::Opportunity, which),
            Wish::Answer { which, same, number, twice } => {
                let open: Vec<MatchReview> =
                    self.latest_reviews().await?.into_values().filter(|review| review.state == MatchState::Open).collect();
                let Some(review) = nth(&open, which) else { return Ok(()) };
                self.about_two(&review.left, &review.right, same, number, twice).await?;
            }
            Wish::Say { one, other, same, number } => {
                let known = self.linked().await?;
                let of = |side: Side| -> Vec<(&String, &Kind)> {
                    let alone = known.iter().filter(|(_, (_, records))| records.contains_key(&side));
                    alone.map(|(entity, (kind, _))| (entity, kind)).collect()
                };
                let (crm, erp) = (of(Side::Crm), of(Side::Erp));
                if let (Some((left, kind)), Some((right, there))) = (nth(&crm, one), nth(&erp, other))
                    && kind == there
                    && left != right
                {
                    self.about_two(left.min(right), left.max(right), same, number, false).await?;
                }
            }
            Wish::Split { which, side, number, twice } => {
                let known = self.linked().await?;
                let pairs: Vec<_> = known.iter().filter(|(_, (_, records))| records.len() == 2).collect();
                let Some((entity, (_, records))) = nth(&pairs, which).copied() else { return Ok(()) };
                let record = records.get(&side).cloned();
                let decision = Decision { side: Some(side), record, ..self.decision(entity, Action::Split, number) };
                share(&mut self.systems.lock(), records);
                self.send(decision, [records.clone(), Records::new()], twice).await?;
            }
            Wish::TakeBack { which, number, twice } => {
                let outcomes = self.messages::<DecisionOutcome>(&self.topics.decision_outcomes()).await?;
                let accepted =
                    |id: &str| outcomes.iter().any(|outcome| outcome.decision == id && outcome.result == DecisionResult::Accepted);
                let about = |action: Action| matches!(action, Action::Same | Action::Distinct | Action::Split);
                let done: Vec<Decision> = self
                    .asked
                    .iter()
                    .filter(|asked| about(asked.decision.action) && accepted(&asked.decision.id))
                    .map(|asked| asked.decision.clone())
                    .collect();
                let Some(before) = nth(&done, which) else { return Ok(()) };
                let decision = Decision { of: Some(before.id.clone()), ..self.decision(&before.entity, Action::Unmatch, number) };
                self.send(decision, [Records::new(), Records::new()], twice).await?;
            }
            Wish::Make { which, side, make, number, twice } => {
                let known = self.linked().await?;
                let lacking: Vec<&String> =
                    known.iter().filter(|(_, (_, records))| !records.contains_key(&side)).map(|(entity, _)| entity).collect();
                let Some(entity) = nth(&lacking, which) else { return Ok(()) };
                let action = if make { Action::Create } else { Action::Refuse };
                let decision = Decision { side: Some(side), ..self.decision(entity, action, number) };
                self.send(decision, [Records::new(), Records::new()], twice).await?;
            }
            Wish::Undo { which, force, number, twice } => {
                let audit: Vec<AuditEntry> = self.messages(&self.topics.audit()).await?;
                let Some(entry) = nth(&audit, which) else { return Ok(()) };
                let decision = Decision { write: Some(entry.id.clone()), force, ..self.decision(&entry.entity, Action::Undo, number) };
                self.send(decision, [Records::new(), Records::new()], twice).await?;
            }
            Wish::Restore { which, number, twice } => {
                let Some(conflict) = self.settled(which).await? else { return Ok(()) };
                let choice = if conflict.winner == Some(Side::Crm) { Choice::Erp } else { Choice::Crm };
                let decision =
                    Decision { conflict: conflict.id.clone(), choice, ..self.decision(&conflict.entity, Action::Restore, number) };
                self.send(decision, [Records::new(), Records::new()], twice).await?;
            }
            Wish::Reopen { which, number, twice } => {
                let Some(conflict) = self.settled(which).await? else { return Ok(()) };
                let decision = Decision { conflict: conflict.id.clone(), ..self.decision(&conflict.entity, Action::Reopen, number) };
                self.send(decision, [Records::new(), Records::new()], twice).await?;
            }
            Wish::Convert { which, number, twice } => {
                let links = self.messages::<EntityLink>(&self.topics.entity_links()).await?;
                let known: Vec<String> =
                    links.into_iter().filter(|link| link.kind == Kind::Opportunity.name()).map(|link| link.entity).collect();
                let Some(entity) = nth(&known, which) else { return Ok(()) };
                let decision = self.decision(entity, Action::Convert, number);
                self.send(decision, [Records::new(), Records::new()], twice).await?;
            }
        }
        Ok(())
    }

    /// One of the conflicts about a field that are settled by now.
    async fn settled(&self, which: u32) -> anyhow::Result<Option<Conflict>> {
        let about_field = |conflict: &Conflict| conflict.state == ConflictState::Settled && conflict.field != "$record";
        let settled: Vec<Conflict> = self.latest_conflicts().await?.into_values().filter(about_field).collect();
        Ok(nth(&settled, which).cloned())
    }

    async fn about_two(&mut self, one: &str, other: &str, same: bool, number: u32, twice: bool) -> anyhow::Result<()> {
        let known = self.linked().await?;
        let records = |entity: &str| known.get(entity).map(|(_, records)| records.clone()).unwrap_or_default();
        let seen = [records(one), records(other)];
        let action = if same { Action::Same } else { Action::Distinct };
        seen.iter().for_each(|records| share(&mut self.systems.lock(), records));
        let decision = Decision { other: Some(other.to_owned()), ..self.decision(one, action, number) };
        self.send(decision, seen, twice).await
    }

    fn decision(&self, entity: &str, action: Action, number: u32) -> Decision {
        Decision::new(format!("wish-{number}"), entity, action, "Ben Maas", self.clock.load(Relaxed))
    }

    async fn send(&mut self, decision: Decision, seen: [Records; 2], twice: bool) -> anyhow::Result<()> {
        self.trace.note(format_args!("Ben says {} about {}", decision.action, decision.entity));
        let topic = self.topics.decisions();
        let outcomes = match self.setup.wishes.matches {
            true => self.messages::<DecisionOutcome>(&self.topics.decision_outcomes()).await?,
            false => Vec::new(),
        };
        let answered: BTreeSet<String> = outcomes.into_iter().map(|outcome| outcome.decision).collect();
        let before = self.asked.iter().map(|asked| asked.decision.id.clone()).filter(|id| !answered.contains(id)).collect();
        let mut sent = false;
        for _ in 0..=u8::from(twice) {
            let bytes = self.common.codec.encode(&topic, &decision).await?;
            sent |= self.log.publish(vec![NewRecord::new(topic.as_str(), decision.entity.clone(), bytes)]).await.is_ok();
        }
        if sent {
            self.count(match decision.action {
                Action::Same => "said_same",
                Action::Distinct => "said_distinct",
                Action::Split => "said_split",
                Action::Unmatch => "said_unmatch",
                Action::Create => "said_create",
                Action::Refuse => "said_refuse",
                Action::Undo => "said_undo",
                Action::Restore => "said_restore",
                Action::Reopen => "said_reopen",
                _ => "said_convert",
            });
            self.asked.push(Asked { decision, seen, before });
        }
        Ok(())
    }

    fn set_opportunity(&self, which: u32, column: &str, value: Value) {
        let mut systems = self.systems.lock();
        if let Some(id) = systems.crm.nth(Kind::Opportunity, which).cloned() {
            systems.commit(Side::Crm, Kind::Opportunity, Some(&id), vec![(column.to_owned(), value)], &By::Person);
        }
    }

    /// Reads the links that were said since.
    pub(super) async fn read_links(&mut self) -> anyhow::Result<()> {
        for (at, end) in self.log.ends(&self.topics.entity_links()).await? {
            let mut reader = self.log.reader(vec![(at.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&at).copied().unwrap_or(0) < end {
                let Some(records) = reader.poll(1000, std::time::Duration::ZERO).now_or_never() else { break };
                for record in records? {
                    if let Some(link) = self.common.codec.message::<EntityLink>(&record).await? {
                        self.links.insert((at.partition, record.offset), link);
                    }
                }
            }
        }
        Ok(())
    }

    /// Every link that was ever said, in order for each record.
    pub(in super::super) async fn every_link(&mut self) -> anyhow::Result<Vec<EntityLink>> {
        self.read_links().await?;
        Ok(self.links.values().cloned().collect())
    }

    /// Every review as it was last said.
    pub(in super::super) async fn latest_reviews(&self) -> anyhow::Result<BTreeMap<String, MatchReview>> {
        let reviews: Vec<MatchReview> = self.messages(&self.topics.match_reviews()).await?;
        Ok(reviews.into_iter().map(|review| (review.id.clone(), review)).collect())
    }

    /// The entities as their links say, with kind and records.
    async fn linked(&self) -> anyhow::Result<BTreeMap<String, (Kind, Records)>> {
        let links: Vec<EntityLink> = self.messages(&self.topics.entity_links()).await?;
        let latest: BTreeMap<(Side, String), EntityLink> = links.into_iter().map(|link| ((link.side, link.record.clone()), link)).collect();
        let mut entities: BTreeMap<String, (Kind, Records)> = BTreeMap::new();
        for ((side, record), link) in latest.into_iter().filter(|(_, link)| link.linked) {
            let Some(kind) = Kind::named(&link.kind).filter(|kind| kind.is_entity()) else { continue };
            entities.entry(link.entity).or_insert_with(|| (kind, Records::new())).1.insert(side, record);
        }
        Ok(entities)
    }
}

fn nth<T>(all: &[T], which: u32) -> Option<&T> {
    (!all.is_empty()).then(|| &all[which as usize % all.len()])
}
