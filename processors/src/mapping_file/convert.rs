//! From the file's shape to the checked form; every word that is not known is an error with its place.

use std::collections::{BTreeMap, BTreeSet};

use reconcile::Value;
use reconcile::mapping::{
    CapturedMapping, ColumnRule, Constant, CreatePolicy, DeletePolicy, Direction, Drift, EntityMapping, Expression, FieldDefault,
    FieldMapping, FieldType, Mapping, MatchKey, Normal, Pair, Part, Policy, Scope, Side, SideMapping, When,
};
use rust_decimal::Decimal;
use toml::Spanned;

use super::shape::{self, Word};
use super::{WRITE_LENGTH, Wrong, conversion};

const WHENS: &[(&str, When)] = &[("create", When::Create), ("always", When::Always)];
const SKEW_US: i64 = 2_000_000;

pub(super) type Result<T> = std::result::Result<T, Wrong>;

pub(super) fn wrong(at: usize, reason: impl Into<String>) -> Wrong {
    Wrong { at: Some(at), reason: reason.into() }
}

/// One of a few words.
fn choose<T: Copy>(word: &Word, what: &str, choices: &[(&str, T)]) -> Result<T> {
    choices.iter().find(|(name, _)| name == word.get_ref()).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        wrong(word.span().start, format!("{what} is {:?}, but must be one of {}", word.get_ref(), names.join(", ")))
    })
}

fn choose_or<T: Copy>(word: Option<&Word>, what: &str, choices: &[(&str, T)], default: T) -> Result<T> {
    word.map_or(Ok(default), |word| choose(word, what, choices))
}

const POLICIES: &[(&str, Policy)] =
    &[("last_write", Policy::LastWrite), ("crm", Policy::Crm), ("erp", Policy::Erp), ("review", Policy::Review)];
const SIDES: &[(&str, Side)] = &[("crm", Side::Crm), ("erp", Side::Erp)];
const CREATES: &[(&str, CreatePolicy)] = &[("auto", CreatePolicy::Auto), ("ask", CreatePolicy::Ask), ("never", CreatePolicy::Never)];
const DELETES: &[(&str, DeletePolicy)] =
    &[("ignore", DeletePolicy::Ignore), ("archive", DeletePolicy::Archive), ("delete", DeletePolicy::Delete), ("ask", DeletePolicy::Ask)];
const DIRECTIONS: &[(&str, Direction)] = &[("both", Direction::Both), ("to_crm", Direction::ToCrm), ("to_erp", Direction::ToErp)];
const DRIFTS: &[(&str, Drift)] = &[("keep", Drift::Keep), ("reassert", Drift::Reassert), ("report", Drift::Report)];
const NORMALS: &[(&str, Normal)] =
    &[("exact", Normal::Exact), ("salesforce_id", Normal::SalesforceId), ("email", Normal::Email), ("tax_id", Normal::TaxId)];

pub(super) fn mapping(file: shape::File) -> Result<Mapping> {
    let version = file.version;
    let mut entities: Vec<(usize, String, shape::Entity)> =
        file.entity.into_iter().map(|(kind, entity)| (entity.title.span().start, kind, entity)).collect();
    entities.sort_by_key(|(at, ..)| *at);
    let mut captured: Vec<(usize, String, shape::Captured)> =
        file.captured.into_iter().map(|(kind, captured)| (captured.object.span().start, kind, captured)).collect();
    captured.sort_by_key(|(at, ..)| *at);
    let captured: Vec<CapturedMapping> = captured.into_iter().map(|(_, kind, shape)| self::captured(kind, shape)).collect::<Result<_>>()?;
    let conversions =
        file.convert.into_iter().map(|(kind, shape)| conversion::conversion(kind, shape, &captured)).collect::<Result<_>>()?;
    Ok(Mapping {
        entities: parents_first(entities.into_iter().map(|(_, kind, shape)| entity(kind, shape, version)).collect::<Result<_>>()?)?,
        captured,
        conversions,
        version,
        text: String::new(),
    })
}

/// Parents before children, otherwise in the file's order.
fn parents_first(mut rest: Vec<EntityMapping>) -> Result<Vec<EntityMapping>> {
    let mut sorted: Vec<EntityMapping> = Vec::new();
    while !rest.is_empty() {
        let waits = |entity: &EntityMapping| {
            entity.fields.iter().any(|field| match &field.kind {
                FieldType::Reference { kind } => *kind != entity.kind && rest.iter().any(|other| other.kind == *kind),
                _ => false,
            })
        };
        let Some(next) = rest.iter().position(|entity| !waits(entity)) else {
            let kinds: Vec<&str> = rest.iter().map(|entity| entity.kind.as_str()).collect();
            return Err(Wrong { at: None, reason: format!("entities {} refer to each other in a circle", kinds.join(", ")) });
        };
        sorted.push(rest.remove(next));
    }
    Ok(sorted)
}

fn entity(kind: String, shape: shape::Entity, version: i64) -> Result<EntityMapping> {
    let here = format!("entity.{kind}");
    let mut fields: Vec<(usize, String, shape::Field)> =
        shape.field.into_iter().map(|(name, field)| (field.kind.span().start, name, field)).collect();
    fields.sort_by_key(|(at, ..)| *at);
    let names: BTreeSet<String> = fields.iter().map(|(_, name, _)| name.clone()).collect();
    let fields: Vec<FieldMapping> = fields.into_iter().map(|(_, name, shape)| field(&here, name, shape, &names)).collect::<Result<_>>()?;
    if !fields.iter().any(|field| field.name == *shape.title.get_ref()) {
        return Err(wrong(shape.title.span().start, format!("{here}.title is {:?}, which is not a field of it", shape.title.get_ref())));
    }
    Ok(EntityMapping {
        title: shape.title.into_inner(),
        sides: Pair { crm: side(&here, Side::Crm, shape.crm)?, erp: side(&here, Side::Erp, shape.erp)? },
        fields,
        keys: shape.keys.into_iter().map(|shape| key(&here, shape)).collect::<Result<_>>()?,
        scored: shape.scored.map(|scored| super::scored::rules(&here, scored)).transpose()?,
        create: policies(&shape.create, &format!("{here}.create"), CREATES, CreatePolicy::Auto)?,
        delete: policies(&shape.delete, &format!("{here}.delete"), DELETES, DeletePolicy::default())?,
        first_contact: choose_or(shape.first_contact.as_ref(), &format!("{here}.first_contact"), POLICIES, Policy::LastWrite)?,
        skew_us: shape.skew.as_ref().map_or(Ok(SKEW_US), |word| duration(word, &format!("{here}.skew")))?,
        tie: choose_or(shape.tie.as_ref(), &format!("{here}.tie"), SIDES, Side::Erp)?,
        version,
        kind,
    })
}

fn policies<T: Copy>(shape: &shape::Policies, what: &str, choices: &[(&str, T)], default: T) -> Result<Pair<T>> {
    Ok(Pair {
        crm: choose_or(shape.crm.as_ref(), &format!("{what}.crm"), choices, default)?,
        erp: choose_or(shape.erp.as_ref(), &format!("{what}.erp"), choices, default)?,
    })
}

fn side(entity: &str, side: Side, shape: shape::Side) -> Result<SideMapping> {
    let here = &format!("{entity}.{}", side.as_str());
    Ok(SideMapping {
        write_column: write_column(here, side, &shape)?,
        object: shape.object.into_inner(),
        id_column: shape.id_column,
        constants: shape.constants.into_iter().map(|(column, value)| constant(here, column, value)).collect::<Result<_>>()?,
        archive: shape
            .archive
            .into_iter()
            .map(|(column, value)| Ok((column.clone(), plain(&format!("{here}.archive.{column}"), value)?)))
            .collect::<Result<_>>()?,
        actor_column: shape.actor_column,
        conditions: super::rows::conditions(here, shape.conditions)?,
        rows: super::rows::beside(here, shape.rows)?,
    })
}

/// The column that takes the ids of writes: a record of the CRM has no other sign of which write it bears.
fn write_column(here: &str, side: Side, shape: &shape::Side) -> Result<Option<String>> {
    match (side, &shape.write_column) {
        (Side::Crm, Some(column)) => Ok(Some(column.get_ref().clone())),
        (Side::Crm, None) => {
            let object = shape.object.get_ref();
            Err(wrong(
                shape.object.span().start,
                format!(
                    "{here} has no write_column, which tells whose a change is; add write_column = \"Concord_Write__c\", and to {object} \
                     in Salesforce such a field: text of {WRITE_LENGTH} characters, not unique, no external id, that the integration user may edit"
                ),
            ))
        }
        (Side::Erp, None) => Ok(None),
        (Side::Erp, Some(column)) => Err(wrong(
            column.span().start,
            format!("{here}.write_column is the CRM side's alone: the ERP's ledger says which write changed a row; take it out"),
        )),
    }
}

pub(super) fn constant(here: &str, column: String, value: Spanned<toml::Value>) -> Result<(String, Constant)> {
    let (value, when) = when(&format!("{here}.constants.{column}"), value)?;
    Ok((column, Constant { value, when }))
}

/// A value, or `{ value = …, on = "create" | "always" }`.
fn when(what: &str, shape: Spanned<toml::Value>) -> Result<(Value, When)> {
    let span = shape.span();
    match shape.into_inner() {
        toml::Value::Table(mut table) => {
            let value = table.remove("value").ok_or_else(|| wrong(span.start, format!("{what} has no value")))?;
            let on = match table.remove("on") {
                None => When::default(),
                Some(toml::Value::String(on)) => choose(&Spanned::new(span.clone(), on), &format!("{what}.on"), WHENS)?,
                Some(_) => return Err(wrong(span.start, format!("{what}.on must be one of create, always"))),
            };
            if let Some(unknown) = table.keys().next() {
                return Err(wrong(span.start, format!("{what} has value and on, not {unknown}")));
            }
            Ok((plain(what, Spanned::new(span, value))?, on))
        }
        value => Ok((plain(what, Spanned::new(span, value))?, When::default())),
    }
}

pub(super) fn plain(what: &str, value: Spanned<toml::Value>) -> Result<Value> {
    let at = value.span().start;
    Ok(match value.into_inner() {
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Integer(number) => Value::Int(number),
        toml::Value::Float(number) => Value::Decimal(
            Decimal::from_str_exact(&number.to_string())
                .map_err(|_| wrong(at, format!("{what}: {number} is not a number that can be kept exactly")))?,
        ),
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Array(items) => {
            Value::List(items.into_iter().map(|item| plain(what, Spanned::new(at..at, item))).collect::<Result<_>>()?)
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => {
            return Err(wrong(at, format!("{what} must be a text, a number, true or false, or a list of these")));
        }
    })
}

fn key(here: &str, shape: shape::Key) -> Result<MatchKey> {
    let normal = choose_or(shape.normal.as_ref(), &format!("{here}.keys: normal of {:?}", shape.name), NORMALS, Normal::Exact)?;
    Ok(MatchKey { name: shape.name, columns: Pair { crm: shape.crm, erp: shape.erp }, normal })
}

fn field(entity: &str, name: String, shape: shape::Field, fields: &BTreeSet<String>) -> Result<FieldMapping> {
    let here = format!("{entity}.field.{name}");
    let (mut kind, max_length) = field_type(&shape.kind, &format!("{here}.type"))?;
    let columns = Pair {
        crm: column(&format!("{here}.crm"), Side::Crm, &kind, shape.crm)?,
        erp: column(&format!("{here}.erp"), Side::Erp, &kind, shape.erp)?,
    };
    if let Some(words) = words_of(&mut kind)
        && words.is_empty()
    {
        // The canonical words are those that either side's words are read as.
        let all: BTreeSet<&String> = columns.crm.words.values().chain(columns.erp.words.values()).collect();
        *words = all.into_iter().cloned().collect();
    }
    let default = shape.default.map(|default| self::default(&format!("{here}.default"), &kind, default)).transpose()?;
    Ok(FieldMapping {
        label: shape.label.unwrap_or_else(|| name.clone()),
        kind,
        direction: choose_or(shape.direction.as_ref(), &format!("{here}.direction"), DIRECTIONS, Direction::Both)?,
        policy: choose_or(shape.policy.as_ref(), &format!("{here}.policy"), POLICIES, Policy::LastWrite)?,
        drift: choose_or(shape.drift.as_ref(), &format!("{here}.drift"), DRIFTS, Drift::default())?,
        review_when: shape
            .review_when
            .map(|word| {
                let known = Scope { values: REVIEW_NAMES, parts: Some(("record", fields)) };
                expression(word.span().start, &format!("{here}.review_when"), word.get_ref(), known)
            })
            .transpose()?,
        required: shape.required,
        max_length,
        default,
        lossy: shape.lossy,
        columns,
        name,
    })
}

/// What `review_when` may ask about, besides `record.<field>`.
const REVIEW_NAMES: &[&str] = &["crm", "erp", "base", "base_crm", "base_erp", "crm_actor", "erp_actor"];
/// What `write` starts from.
const WRITTEN: Scope<'static> = Scope { values: &["value"], parts: None };

/// The words of an enum, or of a list of them.
fn words_of(kind: &mut FieldType) -> Option<&mut Vec<String>> {
    match kind {
        FieldType::Enum(words) => Some(words),
        FieldType::List { of, .. } => words_of(of),
        _ => None,
    }
}

fn default(what: &str, kind: &FieldType, shape: Spanned<toml::Value>) -> Result<FieldDefault> {
    let at = shape.span().start;
    let (value, when) = when(what, shape)?;
    let value = kind.conform(&value).map_err(|reason| wrong(at, format!("{what} is {value}, but {reason}")))?;
    if value.is_null() {
        return Err(wrong(at, format!("{what} is empty, which is no default")));
    }
    Ok(FieldDefault { value, when })
}

fn column(here: &str, side: Side, kind: &FieldType, shape: Spanned<shape::Column>) -> Result<ColumnRule> {
    let at = shape.span().start;
    let mut rule = match shape.into_inner() {
        shape::Column::Name(column) => ColumnRule::plain(column),
        shape::Column::Rule(rule) => columns(here, at, *rule)?,
    };
    if rule.separator.is_none() && side == Side::Crm && matches!(kind, FieldType::List { .. }) {
        // Salesforce has no lists but picklists of several values, which it writes so.
        rule.separator = Some(";".to_owned());
    }
    Ok(rule)
}

fn columns(here: &str, at: usize, shape: shape::Rule) -> Result<ColumnRule> {
    let names: Vec<String> = match (shape.column, shape.columns) {
        (Some(column), several) if several.is_empty() => vec![column],
        (None, several) if !several.is_empty() => several.into_iter().map(Spanned::into_inner).collect(),
        _ => return Err(wrong(at, format!("{here} names one column, or columns, and not both"))),
    };
    let mut parts: Vec<Part> = names.into_iter().map(|column| Part { column, write: None }).collect();
    if let Some(writes) = shape.write {
        let at = writes.span().start;
        match writes.into_inner() {
            shape::Writes::One(text) => match parts.as_mut_slice() {
                [part] => part.write = Some(expression(at, &format!("{here}.write"), &text, WRITTEN)?),
                _ => {
                    return Err(wrong(
                        at,
                        format!("{here}.write: of several columns, each says how it is written: {{ A = \"…\", B = \"…\" }}"),
                    ));
                }
            },
            shape::Writes::Each(each) => {
                for (column, text) in each {
                    let at = text.span().start;
                    let part = parts.iter_mut().find(|part| part.column == column);
                    let part = part.ok_or_else(|| wrong(at, format!("{here}.write.{column} is not one of its columns")))?;
                    part.write = Some(expression(at, &format!("{here}.write.{column}"), text.get_ref(), WRITTEN)?);
                }
            }
        }
    }
    let names: BTreeSet<String> = parts.iter().map(|part| part.column.clone()).collect();
    let known = Scope { values: &["value"], parts: Some(("columns", &names)) };
    Ok(ColumnRule {
        parts,
        read: shape.read.map(|text| expression(text.span().start, &format!("{here}.read"), text.get_ref(), known)).transpose()?,
        words: shape.words,
        separator: shape.separator,
    })
}

pub(super) fn expression(at: usize, what: &str, text: &str, known: Scope<'_>) -> Result<Expression> {
    let expression = Expression::compile(text).map_err(|error| wrong(at, format!("{what} is not a CEL expression: {error}")))?;
    match expression.strange(known) {
        Some(strange) => Err(wrong(at, format!("{what}: {strange}"))),
        None => Ok(expression),
    }
}

const TYPES: &str = "text, text(LENGTH), int, decimal(DIGITS), bool, date, timestamp, enum, enum(WORD, …), reference(KIND), list(TYPE), list(TYPE, ordered)";

/// A type and, of text, the most characters it may have.
fn field_type(word: &Word, what: &str) -> Result<(FieldType, Option<usize>)> {
    let text = word.get_ref().as_str();
    let at = word.span().start;
    let (name, inside) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            (name, Some(rest.strip_suffix(')').ok_or_else(|| wrong(at, format!("{what} {text:?} lacks its closing bracket")))?))
        }
    };
    let unknown = || wrong(at, format!("{what} is {text:?}, but must be one of {TYPES}"));
    if let ("text", Some(length)) = (name, inside) {
        return Ok((FieldType::Text, Some(length.trim().parse().map_err(|_| unknown())?)));
    }
    let kind = match (name, inside) {
        ("text", None) => FieldType::Text,
        ("int", None) => FieldType::Int,
        ("decimal", Some(digits)) => FieldType::Decimal { scale: digits.parse().ok().filter(|scale| *scale <= 18).ok_or_else(unknown)? },
        ("bool", None) => FieldType::Bool,
        ("date", None) => FieldType::Date,
        ("timestamp", None) => FieldType::Timestamp,
        ("enum", None) => FieldType::Enum(Vec::new()),
        ("enum", Some(words)) => FieldType::Enum(words.split(',').map(|word| word.trim().to_owned()).collect()),
        ("reference", Some(kind)) => FieldType::Reference { kind: kind.trim().to_owned() },
        ("list", Some(inside)) => {
            let (of, ordered) = match inside.rsplit_once(',') {
                Some((of, word)) if word.trim() == "ordered" => (of, true),
                _ => (inside, false),
            };
            let (of, _) = field_type(&Spanned::new(word.span(), of.trim().to_owned()), what)?;
            FieldType::List { of: Box::new(of), ordered }
        }
        _ => return Err(unknown()),
    };
    Ok((kind, None))
}

/// `500ms`, `2s`, `1m`.
fn duration(word: &Word, what: &str) -> Result<i64> {
    let text = word.get_ref();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim() {
        "ms" => Some(1_000),
        "s" => Some(1_000_000),
        "m" => Some(60_000_000),
        _ => None,
    };
    number
        .parse::<i64>()
        .ok()
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .ok_or_else(|| wrong(word.span().start, format!("{what} is {text:?}, but must be a time such as \"500ms\", \"2s\" or \"1m\"")))
}

fn captured(kind: String, shape: shape::Captured) -> Result<CapturedMapping> {
    let here = format!("captured.{kind}");
    let mut columns = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (name, word) in shape.columns {
        let text = word.get_ref().clone();
        let (column, kind) = match text.split_once(':') {
            None => (text.as_str(), FieldType::Text),
            Some((column, kind)) => (column, field_type(&Spanned::new(word.span(), kind.to_owned()), &format!("{here}.columns.{name}"))?.0),
        };
        columns.insert(name.clone(), column.to_owned());
        types.insert(name, kind);
    }
    Ok(CapturedMapping {
        side: choose(&shape.side, &format!("{here}.side"), SIDES)?,
        object: shape.object.into_inner(),
        columns,
        types,
        customer_column: shape.customer_column,
        via: shape.via.map(Spanned::into_inner),
        kind,
    })
}
