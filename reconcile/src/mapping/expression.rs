//! CEL over canonical values.
//!
//! `value` is what is converted. Decimals (and whole numbers of decimal fields) are exact decimals, not doubles: `+ - * /`
//! and comparisons work between decimals, whole numbers and number literals, which are taken as they are written (`0.1` is
//! a tenth). A division must come out within 28 digits. The decimal must stand on the left where a literal is the other side
//! (`value * 2`, `crm > 10000.0`). Dates and instants are text
//! in ISO 8601, null is `null`, lists are lists.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::traits::{Adder, Comparer, Divider, Indexer, Multiplier, Negator, Subtractor};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Context, Env, ExecutionError, Program};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromStr;

use super::{Expression, time};
use crate::error::Error;
use crate::value::Value;

impl Expression {
    /// Compiles a CEL expression.
    pub fn compile(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        match Program::compile(&text) {
            Ok(program) => Ok(Self { text, program }),
            Err(error) => Err(Error::Compile { reason: error.to_string(), text }),
        }
    }
}

/// Whether a `review_when` rule holds: true means that a person decides.
pub fn holds(rule: &Expression, crm: &Value, erp: &Value, base: &Value, record: &BTreeMap<String, Value>) -> Result<bool, String> {
    let mut context = context();
    context.add_variable_as_val("crm", bound(crm));
    context.add_variable_as_val("erp", bound(erp));
    context.add_variable_as_val("base", bound(base));
    context.add_variable_as_val("record", Box::new(Record(record.clone())));
    match evaluate(rule, &context)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("it gives {other}, not true or false")),
    }
}

/// Evaluates a transform over `value`.
pub(super) fn transform(expression: &Expression, value: &Value, exact: bool) -> Result<Value, String> {
    let mut context = context();
    let value = match value {
        Value::Int(whole) if exact => Value::Decimal(Decimal::from(*whole)),
        other => other.clone(),
    };
    context.add_variable_as_val("value", bound(&value));
    evaluate(expression, &context)
}

fn context<'v>() -> Context<'static, 'v> {
    static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
    Context::with_env(Arc::clone(&ENV))
}

fn evaluate(expression: &Expression, context: &Context<'_, '_>) -> Result<Value, String> {
    let result = cel::Value::resolve_val(expression.program.expression(), context).map_err(|error| error.to_string())?;
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
fn literal(value: f64) -> Option<Decimal> {
    let text = value.to_string();
    Decimal::from_str(&text).ok().or_else(|| Decimal::from_scientific(&text).ok())
}

static EXACT: Type = Type::new_unspecified_type("decimal");
static RECORD: Type = Type::new_unspecified_type("record");

/// An exact decimal inside an expression.
#[derive(Clone, Copy)]
struct Exact(Decimal);

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl StaticVal for Exact {}

fn number(value: &dyn Val) -> Option<Decimal> {
    value
        .downcast_ref::<Exact>()
        .map(|exact| exact.0)
        .or_else(|| value.downcast_ref::<CelInt>().map(|whole| Decimal::from(*whole.inner())))
        .or_else(|| value.downcast_ref::<CelDouble>().and_then(|double| literal(*double.inner())))
}

fn combine<'b, 'v>(
    name: &'static str,
    left: Decimal,
    right: &dyn Val,
    operation: impl Fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let fault = |message: &str| ExecutionError::FunctionError { function: name.to_owned(), message: message.to_owned() };
    let right = number(right).ok_or_else(|| fault("a decimal combines with numbers only"))?;
    operation(left, right).map(|value| CowVal::owned(Exact(value))).ok_or_else(|| fault("the result is not an exact decimal"))
}

/// Exact only when multiplying back gives the dividend.
fn divide(left: Decimal, right: Decimal) -> Option<Decimal> {
    let quotient = left.checked_div(right)?;
    (quotient.checked_mul(right)? == left).then_some(quotient)
}

impl Val for Exact {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }
    fn cel_type() -> &'static Type {
        &EXACT
    }
    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_subtractor<'b, 'v>(&'b self) -> Option<&'b (dyn Subtractor + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_multiplier<'b, 'v>(&'b self) -> Option<&'b (dyn Multiplier + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_divider<'b, 'v>(&'b self) -> Option<&'b (dyn Divider + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_negator<'b, 'v>(&'b self) -> Option<&'b (dyn Negator + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }
    fn equals(&self, other: &dyn Val) -> bool {
        number(other) == Some(self.0)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Adder for Exact {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        combine("+", self.0, rhs, Decimal::checked_add)
    }
}

impl Subtractor for Exact {
    fn sub<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        combine("-", self.0, rhs, Decimal::checked_sub)
    }
}

impl Multiplier for Exact {
    fn mul<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        combine("*", self.0, rhs, Decimal::checked_mul)
    }
}

impl Divider for Exact {
    fn div<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        combine("/", self.0, rhs, divide)
    }
}

impl Negator for Exact {
    fn negate<'v>(&self) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(Box::new(Self(-self.0)))
    }
}

impl Comparer for Exact {
    fn compare(&self, rhs: &dyn Val) -> Result<Ordering, ExecutionError> {
        let message = "a decimal compares with numbers only".to_owned();
        number(rhs)
            .map(|other| self.0.cmp(&other))
            .ok_or_else(|| ExecutionError::FunctionError { function: "compare".to_owned(), message })
    }
}

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
