//! Runs a plan: which records match, in order, and their JSON.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json, json};

use super::plan::{Accessor, Candidates, Column, Plan, Test, candidates};
use super::{Literal, Operator};
use crate::org::State;
use crate::org::id::RecordId;
use crate::org::json::{attributes, field_json, field_value};
use crate::org::value::{Row, Value};

/// Counters of the records that match, in the order asked for; `all` includes the recycle bin.
/// Deleted records are never found through value and parent indexes, so `all` scans.
pub(crate) fn matching(state: &State, plan: &Plan, all: bool) -> Vec<u64> {
    let table = &state.tables[plan.object];
    let keep = |number: u64, row: &Row| {
        (all || !row.deleted) && plan.test.as_ref().is_none_or(|test| holds(state, plan.object, number, row, test))
    };
    let narrowed = if all { Candidates::All } else { candidates(state, plan.object, plan.test.as_ref()) };
    let stop_early = plan.order.is_empty();
    let wanted = plan.limit.map_or(usize::MAX, |limit| limit.saturating_add(plan.offset));
    let enough = if stop_early { wanted } else { usize::MAX };
    let mut numbers: Vec<u64> = match narrowed {
        Candidates::All => table.iter().filter(|(number, row)| keep(*number, row)).map(|(number, _)| number).take(enough).collect(),
        Candidates::These(numbers) => {
            numbers.into_iter().filter(|number| table.get(*number).is_some_and(|row| keep(*number, row))).take(enough).collect()
        }
    };
    if !plan.order.is_empty() {
        let mut keyed: Vec<(Vec<Value>, u64)> = numbers
            .into_iter()
            .filter_map(|number| {
                table
                    .get(number)
                    .map(|row| (plan.order.iter().map(|(accessor, ..)| reach(state, plan.object, number, row, accessor)).collect(), number))
            })
            .collect();
        keyed.sort_by(|(left, a), (right, b)| {
            for ((_, descending, nulls_last), (left, right)) in plan.order.iter().zip(left.iter().zip(right)) {
                let ordering = match (left.is_null(), right.is_null()) {
                    (true, true) => Ordering::Equal,
                    (true, false) => {
                        if *nulls_last {
                            Ordering::Greater
                        } else {
                            Ordering::Less
                        }
                    }
                    (false, true) => {
                        if *nulls_last {
                            Ordering::Less
                        } else {
                            Ordering::Greater
                        }
                    }
                    (false, false) if *descending => order(right, left),
                    (false, false) => order(left, right),
                };
                if ordering != Ordering::Equal {
                    return ordering;
                }
            }
            a.cmp(b)
        });
        numbers = keyed.into_iter().map(|(_, number)| number).collect();
    }
    numbers.into_iter().skip(plan.offset).take(plan.limit.unwrap_or(usize::MAX)).collect()
}

/// The row of an answer.
pub(crate) fn row_json(state: &State, plan: &Plan, number: u64, version: &str) -> Json {
    let definition = &state.objects[plan.object];
    let Some(row) = state.tables[plan.object].get(number) else { return Json::Null };
    let mut out = Map::new();
    let id = state.id(plan.object, number);
    out.insert("attributes".to_owned(), attributes(definition, id, version));
    for column in &plan.columns {
        match column {
            Column::Field(accessor) => put(state, &mut out, plan.object, number, row, accessor, 0, version),
            Column::Children { name, link, plan: inner } => {
                let numbers = state.tables[inner.object].children(*link, id);

                let matched = matching_among(state, inner, &numbers);
                let records: Vec<Json> = matched.iter().map(|number| row_json(state, inner, *number, version)).collect();
                let value =
                    if records.is_empty() { Json::Null } else { json!({"totalSize": records.len(), "done": true, "records": records}) };
                out.insert(name.clone(), value);
            }
        }
    }
    Json::Object(out)
}

fn matching_among(state: &State, plan: &Plan, numbers: &[u64]) -> Vec<u64> {
    let table = &state.tables[plan.object];
    let mut found: Vec<u64> = numbers
        .iter()
        .copied()
        .filter(|number| {
            table
                .get(*number)
                .is_some_and(|row| !row.deleted && plan.test.as_ref().is_none_or(|test| holds(state, plan.object, *number, row, test)))
        })
        .collect();
    found.truncate(plan.limit.unwrap_or(usize::MAX));
    found
}

#[expect(clippy::too_many_arguments, reason = "a recursive step over a path")]
fn put(state: &State, out: &mut Map<String, Json>, object: usize, number: u64, row: &Row, accessor: &Accessor, hop: usize, version: &str) {
    let definition = &state.objects[object];
    let Some(reference) = accessor.hops.get(hop) else {
        out.insert(accessor.names[hop].clone(), field_json(definition, number, row, accessor.field));
        return;
    };
    let name = accessor.names[hop].clone();
    let target = row.get(*reference).id().and_then(|id| state.row(id).map(|found| (id, found)));
    match target {
        Some((id, (object, number, row))) => {
            let entry = out.entry(name).or_insert_with(|| json!({"attributes": attributes(&state.objects[object], id, version)}));
            if let Json::Object(nested) = entry {
                put(state, nested, object, number, row, accessor, hop + 1, version);
            }
        }
        None => {
            out.insert(name, Json::Null);
        }
    }
}

/// The value at the end of a path; null when a reference on the way is.
pub(crate) fn reach(state: &State, object: usize, number: u64, row: &Row, accessor: &Accessor) -> Value {
    let (mut object, mut number, mut row) = (object, number, row);
    for hop in &accessor.hops {
        match row.get(*hop).id().and_then(|id| state.row(id)) {
            Some(next) => (object, number, row) = next,
            None => return Value::Null,
        }
    }
    if object != accessor.object {
        return Value::Null;
    }
    field_value(&state.objects[object], number, row, accessor.field)
}

fn holds(state: &State, object: usize, number: u64, row: &Row, test: &Test) -> bool {
    match test {
        Test::And(tests) => tests.iter().all(|test| holds(state, object, number, row, test)),
        Test::Or(tests) => tests.iter().any(|test| holds(state, object, number, row, test)),
        Test::Not(test) => !holds(state, object, number, row, test),
        Test::Compare(accessor, operator, literals) => {
            let value = reach(state, object, number, row, accessor);
            match operator {
                Operator::In => literals.iter().any(|literal| compares(&value, Operator::Equal, literal)),
                Operator::NotIn => literals.iter().all(|literal| compares(&value, Operator::NotEqual, literal)),
                _ => literals.first().is_some_and(|literal| compares(&value, *operator, literal)),
            }
        }
    }
}

fn compares(value: &Value, operator: Operator, literal: &Literal) -> bool {
    if *literal == Literal::Null {
        return match operator {
            Operator::Equal => value.is_null(),
            Operator::NotEqual => !value.is_null(),
            _ => false,
        };
    }
    if let Literal::Text(text) = literal
        && text.is_empty()
        && matches!(operator, Operator::Equal | Operator::NotEqual)
    {
        return value.is_null() == (operator == Operator::Equal);
    }
    if value.is_null() {
        return operator == Operator::NotEqual;
    }
    if operator == Operator::Like {
        return matches!((value, literal), (Value::Text(value), Literal::Text(pattern)) if like(&value.to_lowercase(), &pattern.to_lowercase()));
    }
    let ordering = match (value, literal) {
        (Value::Bool(left), Literal::Bool(right)) => left.cmp(right),
        (Value::Text(left), Literal::Text(right)) => left.to_lowercase().cmp(&right.to_lowercase()),
        (Value::Id(left), Literal::Text(right)) => match RecordId::parse(right) {
            Some(right) => left.cmp(&right),
            None => return operator == Operator::NotEqual,
        },
        (Value::Date(left), Literal::Date(right)) => left.cmp(right),
        (Value::DateTime(left), Literal::DateTime(right)) => left.cmp(right),
        (Value::Date(day), Literal::Days(from, to)) => within(*day, *from, *to),
        (Value::DateTime(ms), Literal::Days(from, to)) => within(i32::try_from(ms.div_euclid(86_400_000)).unwrap_or(0), *from, *to),
        (value, Literal::Number(right)) => match value.number().and_then(|left| left.partial_cmp(right)) {
            Some(ordering) => ordering,
            None => return false,
        },
        _ => return false,
    };
    match operator {
        Operator::Equal | Operator::In => ordering == Ordering::Equal,
        Operator::NotEqual | Operator::NotIn => ordering != Ordering::Equal,
        Operator::Less => ordering == Ordering::Less,
        Operator::LessOrEqual => ordering != Ordering::Greater,
        Operator::Greater => ordering == Ordering::Greater,
        Operator::GreaterOrEqual => ordering != Ordering::Less,
        Operator::Like => false,
    }
}

fn within(day: i32, from: i32, to: i32) -> Ordering {
    if day < from {
        Ordering::Less
    } else if day > to {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.to_lowercase().cmp(&right.to_lowercase()),
        (Value::Id(left), Value::Id(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::DateTime(left), Value::DateTime(right)) => left.cmp(right),
        _ => left.number().partial_cmp(&right.number()).unwrap_or(Ordering::Equal),
    }
}

/// `%` any run, `_` any character, `\%` and `\_` themselves.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some('\\') if pattern.get(p + 1) == Some(&text[t]) => {
                p += 2;
                t += 1;
            }
            Some('_') => {
                p += 1;
                t += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    p = after;
                    t = from + 1;
                    retry = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn like_knows_runs_single_characters_and_escapes() {
        for (text, pattern, expected) in [
            ("acme corp", "acme%", true),
            ("acme corp", "%corp", true),
            ("acme corp", "a_me%", true),
            ("acme", "acme_", false),
            ("100%", "100\\%", true),
            ("1000", "100\\%", false),
            ("abcabd", "%abd", true),
            ("", "%", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} like {pattern}");
        }
    }
}
