//! CEL over canonical values: what a mapping's `read`, `write` and `review_when` may say.
//!
//! | | |
//! | --- | --- |
//! | names | `value` in `read` and `write`; `columns.<name>` in `read`; `crm`, `erp`, `base`, `base_crm`, `base_erp`, `crm_actor`, `erp_actor`, `record.<field>` in `review_when`; `record.<field>` in conversions |
//! | types | text, `int`, decimal, `bool`, `null`, lists; dates and instants are text in ISO 8601 |
//! | operators | `+ - * /`, `== != < <= > >=`, `&& \|\| !`, `? :`, `in`, `[i]` |
//! | numbers | `abs(x)`, `min(a, b)`, `max(a, b)` (two or three), `decimal("12.50")` |
//! | text | `trim`, `upper`, `lower`, `before(t, sep)`, `after`, `before_last`, `after_last`, `replace(t, old, new)`, `split(t, sep)`, `join(list, sep)` |
//! | the rest | CEL's own: `size`, `contains`, `startsWith`, `endsWith`, `matches`, `int`, `string`, `has`, `all`, `exists`, `map`, `filter` |
//!
//! Decimals (and whole numbers of decimal fields) are exact, never doubles. They combine and compare with decimals, whole
//! numbers and literals on either side (`10000.0 < crm`, `2 * value`); a literal is taken as it is written (`0.1` is a
//! tenth), and so is `decimal("0.1")`. A division must come out within 28 digits. Two whole numbers stay whole, and their
//! division drops the rest. `null` is no number: ask for it first (`value == null ? null : value * 2`).

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Context, Env, ExecutionError, Program};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromStr;

use super::number::Exact;
use super::{ColumnRule, Expression, Pair, number, time};
use crate::error::Error;
use crate::value::Value;

impl Expression {
    /// Compiles a CEL expression.
    pub fn compile(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        match Program::compile(&text) {
            Ok(program) => {
                let mut tree = program.expression().clone();
                number::widen(&mut tree);
                Ok(Self { text, tree })
            }
            Err(error) => Err(Error::Compile { reason: error.to_string(), text }),
        }
    }
}

/// What a `review_when` rule may ask about.
#[derive(Debug, Clone)]
pub struct Review<'a> {
    /// Both sides' values.
    pub values: Pair<&'a Value>,
    /// What both last agreed on; `base` is the CRM's.
    pub base: &'a Pair<Value>,
    /// Who set the values; null where that is not known.
    pub actors: Pair<Option<&'a str>>,
    /// The merged record.
    pub record: &'a BTreeMap<String, Value>,
}

/// Whether a `review_when` rule holds: true means that a person decides.
pub fn holds(rule: &Expression, review: &Review<'_>) -> Result<bool, String> {
    let actor = |name: Option<&str>| name.map_or(Value::Null, Value::text);
    let mut context = context();
    context.add_variable_as_val("crm", bound(review.values.crm));
    context.add_variable_as_val("erp", bound(review.values.erp));
    context.add_variable_as_val("base", bound(&review.base.crm));
    context.add_variable_as_val("base_crm", bound(&review.base.crm));
    context.add_variable_as_val("base_erp", bound(&review.base.erp));
    context.add_variable_as_val("crm_actor", bound(&actor(review.actors.crm)));
    context.add_variable_as_val("erp_actor", bound(&actor(review.actors.erp)));
    context.add_variable_as_val("record", Box::new(Record(review.record.clone())));
    truth(evaluate(rule, &context)?)
}

/// Whether a condition over `record.<field>` holds.
pub fn holds_of(rule: &Expression, record: &BTreeMap<String, Value>) -> Result<bool, String> {
    truth(value_of(rule, record)?)
}

/// The value of an expression over `record.<field>`.
pub fn value_of(rule: &Expression, record: &BTreeMap<String, Value>) -> Result<Value, String> {
    let mut context = context();
    context.add_variable_as_val("record", Box::new(Record(record.clone())));
    evaluate(rule, &context)
}

fn truth(value: Value) -> Result<bool, String> {
    match value {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("it gives {other}, not true or false")),
    }
}

/// Evaluates a transform over `value` and, when reading, over the columns it was found in.
pub(super) fn transform(
    expression: &Expression,
    value: &Value,
    columns: Option<(&ColumnRule, &[Value])>,
    exact: bool,
) -> Result<Value, String> {
    let mut context = context();
    let lift = |value: &Value| match value {
        Value::Int(whole) if exact => Value::Decimal(Decimal::from(*whole)),
        other => other.clone(),
    };
    context.add_variable_as_val("value", bound(&lift(value)));
    if let Some((rule, values)) = columns {
        let named = rule.names().zip(values).map(|(name, value)| (name.to_owned(), lift(value)));
        context.add_variable_as_val("columns", Box::new(Record(named.collect())));
    }
    evaluate(expression, &context)
}

fn context<'v>() -> Context<'static, 'v> {
    static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(number::extend(Env::stdlib())));
    Context::with_env(Arc::clone(&ENV))
}

fn evaluate(expression: &Expression, context: &Context<'_, '_>) -> Result<Value, String> {
    let result = cel::Value::resolve_val(&expression.tree, context).map_err(|error| error.to_string())?;
    unbound(result.as_ref())
}

fn bound<'v>(value: &Value) -> Box<dyn Val + 'v> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Int(value) => Box::new(CelInt::from(*value)),
        Value::Decimal(value) => Box::new(Exact(*value)),
        Value::Text(value) => Box::new(CelString::from(value.clone())),
        Value::Date(days) => Box::new(CelString::from(time::date_text(*days))),
        Value::Timestamp(micros) => Box::new(CelString::from(time::timestamp_text(*micros))),
        Value::List(items) => Box::new(CelList::from(items.iter().map(bound).collect::<Vec<_>>())),
    }
}

fn unbound(value: &dyn Val) -> Result<Value, String> {
    if let Some(exact) = value.downcast_ref::<Exact>() {
        return Ok(Value::Decimal(exact.0));
    }
    if let Some(double) = value.downcast_ref::<CelDouble>() {
        return literal(*double.inner()).map(Value::Decimal).ok_or_else(|| "it gives a number without a decimal form".to_owned());
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return list.inner().iter().map(|item| unbound(item.as_ref())).collect::<Result<Vec<_>, _>>().map(Value::List);
    }
    match cel::Value::try_from(value).map_err(|error| error.to_string())? {
        cel::Value::Null => Ok(Value::Null),
        cel::Value::Bool(value) => Ok(Value::Bool(value)),
        cel::Value::Int(value) => Ok(Value::Int(value)),
        cel::Value::UInt(value) => i64::try_from(value).map(Value::Int).map_err(|_| "it gives too large a number".to_owned()),
        cel::Value::String(value) => Ok(Value::Text(value.to_string())),
        other => Err(format!("it gives a {}, which no field can hold", other.type_of())),
    }
}

/// A number literal as it was written: the shortest text that reads back as the same double.
pub(super) fn literal(value: f64) -> Option<Decimal> {
    let text = value.to_string();
    Decimal::from_str(&text).ok().or_else(|| Decimal::from_scientific(&text).ok())
}

static RECORD: Type = Type::new_unspecified_type("record");

/// The canonical record, by field name.
#[derive(Debug, Clone)]
struct Record(BTreeMap<String, Value>);

impl StaticVal for Record {}

impl Val for Record {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }
    fn cel_type() -> &'static Type {
        &RECORD
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| other.0 == self.0)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Indexer for Record {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString<'_>>().map(|name| name.inner().to_owned()).unwrap_or_default();
        match self.0.get(&name) {
            Some(value) => Ok(CowVal::from(bound(value))),
            None => Err(ExecutionError::NoSuchKey(Arc::new(name))),
        }
    }
    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}
