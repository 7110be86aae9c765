//! A closed-won opportunity becomes exactly one order.
//!
//! ```text
//! not won ──won──▶ wanted ──customer linked──▶ sent ──made──▶ made (for good)
//!    ▲  by hand ──────▲                          └──refused──▶ failed, tried again when it changes or by hand
//! ```
//!
//! It promises: once made, never again, whatever becomes of the opportunity; every wish of a person is answered, first that it waits and
//! then with the order or why there is none, a later one with the order there is. By the flag only what is won before our eyes is converted: what was won before it was first
//! seen may have its order already.
//!
//! It leaves out: changes of the opportunity after the order was made; the order is the ERP's then.

use std::collections::BTreeMap;

use crate::mapping::{self, Expression};
use crate::merge::{DecisionResult, Micros};
use crate::value::Value;

/// People whose wish waits for the order at most.
const WAITING: usize = 16;

/// What is made of what.
#[derive(Debug, PartialEq)]
pub struct Conversion {
    /// What is made, for example `order`.
    pub kind: String,
    /// The captured kind that it is made from, for example `opportunity`.
    pub from: String,
    /// Over `record.<field>` of what it is made from: it is won.
    pub when: Expression,
    /// It is made as soon as that holds; otherwise only by hand.
    pub auto: bool,
    /// Table of the ERP.
    pub object: String,
    /// Unique column that holds the entity id of what it was made from.
    pub id_column: String,
    /// Column that points at the customer.
    pub customer_column: String,
    /// Column with the number that people know it by.
    pub number_column: Option<String>,
    /// Columns with a fixed value.
    pub constants: BTreeMap<String, Value>,
    /// Column → expression over `record.<field>`.
    pub columns: BTreeMap<String, Expression>,
}

/// What is known of one thing that may be converted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Convertible {
    /// Entity id.
    pub entity: String,
    /// What is made of it.
    pub kind: String,
    /// Canonical fields as last seen.
    pub fields: BTreeMap<String, Value>,
    /// It has been seen.
    pub seen: bool,
    /// It is won.
    pub won: bool,
    /// It was deleted.
    pub gone: bool,
    /// Customer entity.
    pub customer: Option<String>,
    /// The customer's record in the ERP.
    pub customer_record: Option<String>,
    /// Commit time of its last change.
    pub at: Micros,
    /// Who made that change.
    pub actor: Option<String>,
    /// How far it has come.
    pub stage: Stage,
    /// How often it was sent.
    pub attempt: u64,
    /// Who waits for an answer.
    pub asked: Vec<Wish>,
}

/// How far a conversion has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// Nothing is asked for.
    #[default]
    Idle,
    /// It is to be made as soon as its customer has a record in the ERP; by this person, or by the flag.
    Wanted(Option<String>),
    /// The write is on its way.
    Sent(Option<String>),
    /// It is made, for good.
    Made {
        /// Its record in the ERP.
        record: String,
        /// Its number.
        number: Option<String>,
    },
    /// It could not be made.
    Failed(String),
}

/// A person's wish to convert.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The decision's id.
    pub id: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Micros,
    /// What several decisions made in one go have in common.
    pub batch: Option<String>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was seen.
    Seen {
        /// Its canonical fields, all of them.
        fields: BTreeMap<String, Value>,
        /// Its customer's entity.
        customer: Option<String>,
        /// The customer's record in the ERP.
        customer_record: Option<String>,
        /// From a first copy or a re-read.
        snapshot: bool,
        /// Commit time.
        at: Micros,
        /// Who.
        actor: Option<String>,
    },
    /// Its customer has a record in the ERP now.
    Linked(Option<String>),
    /// It was deleted.
    Gone,
    /// A person wants it converted.
    Wished(Wish),
    /// The order was made.
    Made(String),
    /// The order was refused, for this reason.
    Refused(String),
    /// The number of the order was read.
    Numbered(Option<String>),
}

/// What should follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make the order.
    Make {
        /// How often that was tried before.
        attempt: u64,
        /// Columns to set.
        values: BTreeMap<String, Value>,
        /// Why, in words.
        reason: String,
        /// Who decided, or won it.
        actor: Option<String>,
        /// A person decided.
        decided: bool,
    },
    /// Read the order's number.
    Read {
        /// The order's record.
        record: String,
    },
    /// Answer a wish.
    Reply {
        /// The wish.
        wish: Wish,
        /// What became of it.
        result: DecisionResult,
        /// Why, in words.
        reason: String,
    },
}

/// Applies one event.
pub fn apply(conversion: &Conversion, state: &mut Convertible, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        Event::Seen { fields, customer, customer_record, snapshot, at, actor } => {
            let first = !std::mem::replace(&mut state.seen, true);
            state.kind.clone_from(&conversion.kind);
            let was = state.won;
            state.won = mapping::holds_of(&conversion.when, &fields).unwrap_or(false);
            (state.fields, state.customer, state.customer_record) = (fields, customer, customer_record);
            (state.at, state.actor, state.gone) = (at, actor, false);
            let before_our_eyes = state.won && !was && !(first && snapshot);
            let again = matches!(state.stage, Stage::Failed(_)) && state.won && !snapshot;
            if conversion.auto && (before_our_eyes || again) && matches!(state.stage, Stage::Idle | Stage::Failed(_)) {
                state.stage = Stage::Wanted(None);
            }
            if !state.won && state.stage == Stage::Wanted(None) {
                // Won and lost again before the customer was linked.
                state.stage = Stage::Idle;
            }
        }
        Event::Linked(record) => state.customer_record = record.or(state.customer_record.take()),
        Event::Gone => {
            state.gone = true;
            if matches!(state.stage, Stage::Wanted(_)) {
                state.stage = Stage::Idle;
                // Should it come back, it is won anew: it has no order yet.
                state.won = false;
                answer_all(state, &mut effects, DecisionResult::Refused, "it was deleted before it could be converted");
            }
        }
        Event::Wished(wish) => wished(state, wish, &mut effects),
        Event::Made(record) => {
            if !matches!(state.stage, Stage::Made { .. }) {
                state.stage = Stage::Made { record: record.clone(), number: None };
                if conversion.number_column.is_some() {
                    effects.push(Effect::Read { record });
                } else {
                    let reason = format!("{} {record} is made", conversion.kind);
                    answer_all(state, &mut effects, DecisionResult::Accepted, &reason);
                }
            }
        }
        Event::Refused(reason) => {
            if matches!(state.stage, Stage::Sent(_)) {
                let said = format!("the {} could not be made: {reason}", conversion.kind);
                state.stage = Stage::Failed(reason);
                answer_all(state, &mut effects, DecisionResult::Refused, &said);
            }
        }
        Event::Numbered(read) => {
            if let Stage::Made { record, number } = &mut state.stage {
                *number = read.or(number.take());
                let shown = number.clone().unwrap_or_else(|| record.clone());
                let reason = format!("{} {shown} is made", conversion.kind);
                answer_all(state, &mut effects, DecisionResult::Accepted, &reason);
            }
        }
    }
    send(conversion, state, &mut effects);
    effects
}

fn wished(state: &mut Convertible, wish: Wish, effects: &mut Vec<Effect>) {
    let mut reply = |wish: Wish, result, reason: String| effects.push(Effect::Reply { wish, result, reason });
    let asked_before = state.asked.iter().any(|other| other.id == wish.id);
    match &state.stage {
        Stage::Made { record, number } => {
            let shown = number.as_ref().unwrap_or(record);
            reply(wish, DecisionResult::Unchanged, format!("already converted: {shown}"));
        }
        _ if !state.seen || state.gone => {
            reply(wish, DecisionResult::Refused, "there is nothing to convert; see that it was not deleted".to_owned())
        }
        _ if !state.won => reply(wish, DecisionResult::Refused, "it is not won; close it as won first".to_owned()),
        _ if state.customer.is_none() => reply(wish, DecisionResult::Refused, "it has no customer; give it one first".to_owned()),
        _ if state.asked.len() >= WAITING && !asked_before => reply(wish, DecisionResult::Refused, "others wait for it already".to_owned()),
        stage => {
            let reason = match stage {
                Stage::Sent(_) => "it is being made",
                _ if state.customer_record.is_none() => "it waits for its customer to have a record in the ERP",
                _ => "it is being made",
            };
            if !matches!(stage, Stage::Sent(_) | Stage::Wanted(Some(_))) {
                state.stage = Stage::Wanted(Some(wish.actor.clone()));
            }
            if !asked_before {
                state.asked.push(wish.clone());
            }
            reply(wish, DecisionResult::Waiting, reason.to_owned());
        }
    }
}

fn answer_all(state: &mut Convertible, effects: &mut Vec<Effect>, result: DecisionResult, reason: &str) {
    for wish in std::mem::take(&mut state.asked) {
        effects.push(Effect::Reply { wish, result, reason: reason.to_owned() });
    }
}

/// Sends what is wanted, once its customer has a record.
fn send(conversion: &Conversion, state: &mut Convertible, effects: &mut Vec<Effect>) {
    let Stage::Wanted(person) = &state.stage else { return };
    let Some(customer) = state.customer_record.clone() else { return };
    let person = person.clone();
    let mut values = conversion.constants.clone();
    for (column, expression) in &conversion.columns {
        match mapping::value_of(expression, &state.fields) {
            Ok(value) => {
                values.insert(column.clone(), value);
            }
            Err(error) => {
                let reason = format!("{column} cannot be computed: {error}");
                state.stage = Stage::Failed(reason.clone());
                answer_all(state, effects, DecisionResult::Refused, &reason);
                return;
            }
        }
    }
    values.insert(conversion.customer_column.clone(), Value::Text(customer));
    let reason = match &person {
        Some(person) => format!("the {} was won; converted by {person}", conversion.from),
        None => format!("the {} was won", conversion.from),
    };
    state.attempt += 1;
    effects.push(Effect::Make {
        attempt: state.attempt,
        values,
        reason,
        decided: person.is_some(),
        actor: person.clone().or_else(|| state.actor.clone()),
    });
    state.stage = Stage::Sent(person);
}

#[cfg(test)]
mod tests;
