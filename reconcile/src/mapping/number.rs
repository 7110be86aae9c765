//! Numbers inside expressions: exact decimals, operators between all kinds of numbers, and the functions over them.
//!
//! CEL's own numbers know nothing of decimals, so an operator whose left side is one of them would refuse a decimal on its
//! right. [`widen`] puts functions of ours in the place of such operators; they lift the left side where the right one is
//! a decimal, and otherwise do what CEL does.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;

use cel::common::ast::{EntryExpr, Expr, operators};
use cel::common::traits::{Adder, Comparer, Divider, Multiplier, Negator, Subtractor};
use cel::common::types::{CelBool, CelDouble, CelInt, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError, IdedExpr};
use rust_decimal::Decimal;

use super::expression::literal;
use super::text;

static EXACT: Type = Type::new_unspecified_type("decimal");

/// Ours for each operator between two values.
const OPERATORS: [(&str, &str, cel::common::functions::Function); 10] = [
    (operators::ADD, "@add", |args| arithmetic("+", args, |a, b| Ok(a.as_adder().ok_or_else(|| no("+"))?.add(b)?.into_owned()))),
    (operators::SUBSTRACT, "@subtract", |args| {
        arithmetic("-", args, |a, b| Ok(a.as_subtractor().ok_or_else(|| no("-"))?.sub(b)?.into_owned()))
    }),
    (operators::MULTIPLY, "@multiply", |args| {
        arithmetic("*", args, |a, b| Ok(a.as_multiplier().ok_or_else(|| no("*"))?.mul(b)?.into_owned()))
    }),
    (operators::DIVIDE, "@divide", |args| arithmetic("/", args, |a, b| Ok(a.as_divider().ok_or_else(|| no("/"))?.div(b)?.into_owned()))),
    (operators::LESS, "@less", |args| comparison("<", args, Ordering::is_lt)),
    (operators::LESS_EQUALS, "@less_equals", |args| comparison("<=", args, Ordering::is_le)),
    (operators::GREATER, "@greater", |args| comparison(">", args, Ordering::is_gt)),
    (operators::GREATER_EQUALS, "@greater_equals", |args| comparison(">=", args, Ordering::is_ge)),
    (operators::EQUALS, "@equals", |args| equality(args, true)),
    (operators::NOT_EQUALS, "@not_equals", |args| equality(args, false)),
];

/// Puts our operators in the place of CEL's.
pub(super) fn widen(tree: &mut IdedExpr) {
    match &mut tree.expr {
        Expr::Call(call) => {
            if call.target.is_none()
                && call.args.len() == 2
                && let Some((_, ours, _)) = OPERATORS.iter().find(|(name, ..)| call.func_name == *name)
            {
                call.func_name = (*ours).to_owned();
            }
            call.target.iter_mut().for_each(|target| widen(target));
            call.args.iter_mut().for_each(widen);
        }
        Expr::Comprehension(parts) => {
            let parts = &mut **parts;
            for part in [&mut parts.iter_range, &mut parts.accu_init, &mut parts.loop_cond, &mut parts.loop_step, &mut parts.result] {
                widen(part);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(widen),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| widen_entry(&mut entry.expr)),
        Expr::Struct(made) => made.entries.iter_mut().for_each(|entry| widen_entry(&mut entry.expr)),
        Expr::Select(select) => widen(&mut select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn widen_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => widen(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            widen(&mut entry.key);
            widen(&mut entry.value);
        }
    }
}

/// The environment with our operators and functions.
pub(super) fn extend(mut env: Env) -> Env {
    for (_, ours, function) in OPERATORS {
        add(&mut env, ours, 2, function);
    }
    add(&mut env, "abs", 1, abs);
    for count in [2, 3] {
        add(&mut env, "min", count, |args| extreme("min", args, Ordering::Less));
        add(&mut env, "max", count, |args| extreme("max", args, Ordering::Greater));
    }
    add(&mut env, "decimal", 1, decimal);
    text::extend(env, add)
}

fn add(env: &mut Env, name: &str, count: usize, function: cel::common::functions::Function) {
    let declared = env.add_overload(name, &format!("{name}_{count}"), (0..count).map(|_| DYN_TYPE).collect(), function);
    debug_assert!(declared.is_ok(), "{name} is declared once");
}

fn fault(function: &str, message: &str) -> ExecutionError {
    ExecutionError::FunctionError { function: function.to_owned(), message: message.to_owned() }
}

fn no(operator: &str) -> ExecutionError {
    fault(operator, "these two values do not go together")
}

fn two<'b, 'v>(name: &str, args: Vec<CowVal<'b, 'v>>) -> Result<[CowVal<'b, 'v>; 2], ExecutionError> {
    <[CowVal<'b, 'v>; 2]>::try_from(args).map_err(|_| no(name))
}

/// The left side as a decimal, where it is a number of another kind and the right side is a decimal.
fn lifted(left: &dyn Val, right: &dyn Val) -> Option<Exact> {
    right.downcast_ref::<Exact>()?;
    if left.downcast_ref::<Exact>().is_some() { None } else { number(left).map(Exact) }
}

fn arithmetic<'b, 'v>(
    name: &str,
    args: Vec<CowVal<'b, 'v>>,
    operation: impl Fn(&(dyn Val + 'v), &(dyn Val + 'v)) -> Result<Box<dyn Val + 'v>, ExecutionError>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = two(name, args)?;
    match lifted(left.as_ref(), right.as_ref()) {
        Some(exact) => operation(&exact, right.as_ref()),
        None => operation(left.as_ref(), right.as_ref()),
    }
    .map(CowVal::Owned)
}

fn compared(name: &str, left: &dyn Val, right: &dyn Val) -> Result<Ordering, ExecutionError> {
    match lifted(left, right) {
        Some(exact) => exact.compare(right),
        None => left.as_comparer().ok_or_else(|| no(name))?.compare(right),
    }
}

fn comparison<'b, 'v>(name: &str, args: Vec<CowVal<'b, 'v>>, holds: impl Fn(Ordering) -> bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = two(name, args)?;
    Ok(CowVal::owned(CelBool::from(holds(compared(name, left.as_ref(), right.as_ref())?))))
}

fn equality<'b, 'v>(args: Vec<CowVal<'b, 'v>>, wanted: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = two("==", args)?;
    let equal = match lifted(left.as_ref(), right.as_ref()) {
        Some(exact) => exact.equals(right.as_ref()),
        None => left == right,
    };
    Ok(CowVal::owned(CelBool::from(equal == wanted)))
}

fn abs<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.first().ok_or_else(|| no("abs"))?.as_ref();
    if let Some(whole) = value.downcast_ref::<CelInt>() {
        let whole = whole.inner().checked_abs().ok_or_else(|| fault("abs", "the result is too large a whole number"))?;
        return Ok(CowVal::owned(CelInt::from(whole)));
    }
    number(value).map(|number| CowVal::owned(Exact(number.abs()))).ok_or_else(|| fault("abs", "it takes a number"))
}

/// The least or greatest of some numbers, in its own kind.
fn extreme<'b, 'v>(name: &str, args: Vec<CowVal<'b, 'v>>, wanted: Ordering) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut best: Option<(Decimal, CowVal<'b, 'v>)> = None;
    for value in args {
        let this = number(value.as_ref()).ok_or_else(|| fault(name, "it takes numbers"))?;
        if best.as_ref().is_none_or(|(best, _)| this.cmp(best) == wanted) {
            best = Some((this, value));
        }
    }
    let (number, value) = best.ok_or_else(|| no(name))?;
    Ok(if value.downcast_ref::<CelDouble>().is_some() { CowVal::owned(Exact(number)) } else { value })
}

/// A number, or a text that is one, as a decimal.
fn decimal<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.first().ok_or_else(|| no("decimal"))?.as_ref();
    let exact = match value.downcast_ref::<CelString<'_>>() {
        Some(text) => Decimal::from_str_exact(text.inner().trim()).ok(),
        None => number(value),
    };
    exact.map(|exact| CowVal::owned(Exact(exact))).ok_or_else(|| fault("decimal", "it takes a number of at most 28 digits, or its text"))
}

/// An exact decimal inside an expression.
#[derive(Clone, Copy)]
pub(super) struct Exact(pub(super) Decimal);

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl StaticVal for Exact {}

/// Any kind of number as a decimal.
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
        number(rhs).map(|other| self.0.cmp(&other)).ok_or_else(|| ExecutionError::FunctionError { function: "compare".to_owned(), message })
    }
}
