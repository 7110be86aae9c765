//! Resolves the names of a query against the org, and decides which records need looking at.

use super::{Condition, Literal, Operator, Path, Query, Selected, pointed};
use crate::error::ApiError;
use crate::org::State;
use crate::org::id::RecordId;
use crate::org::schema::{ID, Kind, MODIFIED_DATE, MODSTAMP};

/// A resolved path: reference fields to follow, then the field of the object reached.
#[derive(Clone, Debug)]
pub(crate) struct Accessor {
    pub(crate) names: Vec<String>,
    pub(crate) hops: Vec<usize>,
    pub(crate) object: usize,
    pub(crate) field: usize,
}

/// A condition whose paths are resolved.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Compare(Accessor, Operator, Vec<Literal>),
}

/// What one column of the answer is.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Field(Accessor),
    Children { name: String, link: usize, plan: Box<Plan> },
}

/// A query ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) object: usize,
    pub(crate) count: bool,
    pub(crate) columns: Vec<Column>,
    pub(crate) test: Option<Test>,
    pub(crate) order: Vec<(Accessor, bool, bool)>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

/// Which records can match.
pub(crate) enum Candidates {
    All,
    These(Vec<u64>),
}

/// Resolves `query`; `restricted` users do not see hidden fields.
pub(crate) fn plan(state: &State, query: &Query, restricted: bool) -> Result<Plan, ApiError> {
    let Some(object) = state.index_of(&query.from) else {
        let message = format!(
            "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
            query.from
        );
        return Err(ApiError::new(400, "INVALID_TYPE", pointed(&query.text, query.from_at, &message)));
    };
    plan_on(state, query, object, restricted)
}

fn plan_on(state: &State, query: &Query, object: usize, restricted: bool) -> Result<Plan, ApiError> {
    if query.offset > 2_000 {
        return Err(ApiError::new(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"));
    }
    let definition = &state.objects[object];
    let mut columns = Vec::new();
    let mut count = false;
    for selected in &query.select {
        let take: fn(bool) -> bool = match selected {
            Selected::Count => {
                count = true;
                continue;
            }
            Selected::Field(path) => {
                columns.push(Column::Field(resolve(state, object, path, &query.text, restricted)?));
                continue;
            }
            Selected::Children(inner) => {
                columns.push(children(state, object, inner, restricted)?);
                continue;
            }
            Selected::AllFields => |_| true,
            Selected::StandardFields => |custom| !custom,
            Selected::CustomFields => |custom| custom,
        };
        if query.limit.is_none_or(|limit| limit > 200) && !matches!(selected, Selected::StandardFields) {
            return Err(ApiError::new(400, "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200"));
        }
        for (field, found) in definition.fields.iter().enumerate() {
            if take(found.custom) && !(restricted && state.hidden(definition, field)) {
                columns.push(Column::Field(Accessor { names: vec![found.name.clone()], hops: Vec::new(), object, field }));
            }
        }
    }
    let test = query.condition.as_ref().map(|condition| resolve_test(state, object, condition, &query.text, restricted)).transpose()?;
    let order = query
        .order
        .iter()
        .map(|order| {
            resolve(state, object, &order.path, &query.text, restricted).map(|accessor| (accessor, order.descending, order.nulls_last))
        })
        .collect::<Result<_, _>>()?;
    Ok(Plan { object, count, columns, test, order, limit: query.limit, offset: query.offset })
}

fn children(state: &State, parent: usize, inner: &Query, restricted: bool) -> Result<Column, ApiError> {
    let parent_name = &state.objects[parent].name;
    for (object, definition) in state.objects.iter().enumerate() {
        if !definition.plural.replace(' ', "").eq_ignore_ascii_case(&inner.from)
            && !inner.from.eq_ignore_ascii_case(&format!("{}s", definition.name))
        {
            continue;
        }
        let link =
            definition.fields.iter().position(|field| matches!(&field.kind, Kind::Reference(targets) if targets.contains(parent_name)));
        if let Some(link) = link {
            return Ok(Column::Children { name: inner.from.clone(), link, plan: Box::new(plan_on(state, inner, object, restricted)?) });
        }
    }
    Err(ApiError::new(
        400,
        "INVALID_TYPE",
        pointed(&inner.text, inner.from_at, &format!("Didn't understand relationship '{}' in FROM part of query call.", inner.from)),
    ))
}

fn resolve(state: &State, object: usize, path: &Path, text: &str, restricted: bool) -> Result<Accessor, ApiError> {
    let mut names = path.names.as_slice();
    if names.len() > 1
        && names[0].eq_ignore_ascii_case(&state.objects[object].name)
        && state.objects[object].relationship(&names[0]).is_none()
    {
        names = &names[1..];
    }
    let (mut at, mut hops) = (object, Vec::new());
    let missing = |object: usize, name: &str| {
        let message = format!(
            "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
            state.objects[object].name
        );
        ApiError::new(400, "INVALID_FIELD", pointed(text, path.at, &message))
    };
    let Some((last, relations)) = names.split_last() else { return Err(missing(object, "")) };
    let mut spelled = Vec::new();
    for name in relations {
        let definition = &state.objects[at];
        let hop = definition.relationship(name);
        let target = hop.and_then(|hop| match &definition.fields[hop].kind {
            Kind::Reference(targets) => targets.first().and_then(|target| state.index_of(target)),
            _ => None,
        });
        let (Some(hop), Some(target)) = (hop, target) else {
            return Err(ApiError::new(
                400,
                "INVALID_FIELD",
                pointed(
                    text,
                    path.at,
                    &format!(
                        "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
                    ),
                ),
            ));
        };
        spelled.push(definition.fields[hop].relationship().unwrap_or_default());
        hops.push(hop);
        at = target;
    }
    let definition = &state.objects[at];
    let field =
        definition.field(last).filter(|field| !(restricted && state.hidden(definition, *field))).ok_or_else(|| missing(at, last))?;
    spelled.push(definition.fields[field].name.clone());
    Ok(Accessor { names: spelled, hops, object: at, field })
}

fn resolve_test(state: &State, object: usize, condition: &Condition, text: &str, restricted: bool) -> Result<Test, ApiError> {
    let all = |conditions: &[Condition]| {
        conditions.iter().map(|one| resolve_test(state, object, one, text, restricted)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match condition {
        Condition::And(conditions) => Test::And(all(conditions)?),
        Condition::Or(conditions) => Test::Or(all(conditions)?),
        Condition::Not(inner) => Test::Not(Box::new(resolve_test(state, object, inner, text, restricted)?)),
        Condition::Compare(path, operator, literals) => {
            let accessor = resolve(state, object, path, text, restricted)?;
            let field = &state.objects[accessor.object].fields[accessor.field];
            for literal in literals {
                if !fits(&field.kind, literal) {
                    let (quoted, wanted) = match literal {
                        Literal::Text(_) => ("filter criteria must be of type", type_name(&field.kind)),
                        _ => ("value of filter criterion for field must be of type", type_name(&field.kind)),
                    };
                    return Err(ApiError::new(
                        400,
                        "INVALID_FIELD",
                        pointed(text, path.at, &format!("{} {quoted} {wanted}: '{}'", field.name, path.names.join("."))),
                    ));
                }
            }
            Test::Compare(accessor, *operator, literals.clone())
        }
    })
}

fn fits(kind: &Kind, literal: &Literal) -> bool {
    match literal {
        Literal::Null => true,
        Literal::Bool(_) => *kind == Kind::Boolean,
        Literal::Number(_) => matches!(kind, Kind::Int | Kind::Double | Kind::Currency | Kind::Percent),
        Literal::Text(_) => !matches!(
            kind,
            Kind::Int | Kind::Double | Kind::Currency | Kind::Percent | Kind::Boolean | Kind::Date | Kind::DateTime | Kind::Address
        ),
        Literal::Date(_) => matches!(kind, Kind::Date),
        Literal::DateTime(_) => matches!(kind, Kind::DateTime),
        Literal::Days(..) => matches!(kind, Kind::Date | Kind::DateTime),
    }
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean and should not be enclosed in quotes",
        Kind::Date => "date",
        Kind::DateTime => "dateTime",
        Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => "decimal and should not be enclosed in quotes",
        _ => "string and should be enclosed in quotes",
    }
}

/// Narrows the records to look at by the indexes, where the condition allows.
pub(crate) fn candidates(state: &State, object: usize, test: Option<&Test>) -> Candidates {
    let Some(test) = test else { return Candidates::All };
    match test {
        Test::And(tests) => {
            let mut best: Option<Vec<u64>> = None;
            for test in tests {
                if let Candidates::These(numbers) = candidates(state, object, Some(test))
                    && best.as_ref().is_none_or(|best| numbers.len() < best.len())
                {
                    best = Some(numbers);
                }
            }
            best.map_or(Candidates::All, Candidates::These)
        }
        Test::Compare(accessor, operator, literals) if accessor.hops.is_empty() => {
            compare(state, object, accessor.field, *operator, literals)
        }
        _ => Candidates::All,
    }
}

fn compare(state: &State, object: usize, field: usize, operator: Operator, literals: &[Literal]) -> Candidates {
    let definition = &state.objects[object];
    let table = &state.tables[object];
    let mut numbers = match operator {
        Operator::Equal | Operator::In => {
            let mut numbers = Vec::new();
            for literal in literals {
                let Literal::Text(text) = literal else { return Candidates::All };
                if field == ID {
                    numbers.extend(RecordId::parse(text).and_then(|id| id.number()));
                } else if definition.fields[field].indexed() {
                    numbers.extend(table.find(field, text));
                } else if matches!(definition.fields[field].kind, Kind::Reference(_))
                    && definition.fields[field].name != "OwnerId"
                    && !definition.fields[field].name.ends_with("ById")
                {
                    numbers.extend(RecordId::parse(text).map(|id| table.children(field, id)).unwrap_or_default());
                } else {
                    return Candidates::All;
                }
            }
            numbers
        }
        Operator::Greater | Operator::GreaterOrEqual if matches!(field, MODSTAMP | MODIFIED_DATE) => match literals {
            [Literal::DateTime(from)] => table.modified_since(*from),
            _ => return Candidates::All,
        },
        _ => return Candidates::All,
    };
    numbers.sort_unstable();
    numbers.dedup();
    Candidates::These(numbers)
}
