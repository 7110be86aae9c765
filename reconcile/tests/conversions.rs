//! Values between columns and their canonical form.

use std::collections::BTreeMap;

use proptest::prelude::*;
use reconcile::mapping::{self, Expression, FieldMapping, FieldType, Policy, Side};
use reconcile::{Class, Value};
use rust_decimal::Decimal;

use crate::world;

fn field(kind: FieldType) -> FieldMapping {
    FieldMapping { kind, ..world::field("f", Policy::LastWrite) }
}

fn money() -> FieldMapping {
    field(FieldType::Decimal { scale: 2 })
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse().expect("a decimal"))
}

fn transformed(kind: FieldType, read: &str, write: &str) -> FieldMapping {
    let mut field = field(kind);
    field.columns.erp.read = Some(Expression::compile(read).expect("compiles"));
    field.columns.erp.write = Some(Expression::compile(write).expect("compiles"));
    field
}

#[test]
fn values_take_the_fields_type() {
    let check = |kind: FieldType, column: Value, expected: Value| {
        assert_eq!(mapping::read(&field(kind), Side::Erp, &column), Ok(expected), "{column}");
    };
    check(FieldType::Decimal { scale: 2 }, Value::text(" 12.505 "), decimal("12.50"));
    check(FieldType::Decimal { scale: 2 }, Value::Int(3), decimal("3"));
    check(FieldType::Int, decimal("3.00"), Value::Int(3));
    check(FieldType::Bool, Value::text("T"), Value::Bool(true));
    check(FieldType::Date, Value::Timestamp(86_400_000_000), Value::Date(1));
    check(FieldType::Date, Value::text("1970-01-02"), Value::Date(1));
    check(FieldType::Timestamp, Value::text("1970-01-01T00:00:01Z"), Value::Timestamp(1_000_000));
    check(FieldType::Text, Value::Int(7), Value::text("7"));
    check(FieldType::Text, Value::text(""), Value::Null);
}

#[test]
fn an_error_names_field_column_value_and_reason() {
    let error = mapping::read(&money(), Side::Crm, &Value::text("twelve")).expect_err("not a number");
    assert_eq!(error.to_string(), "f: cannot read \"twelve\" from crm column f__c: it is not a decimal number of at most 28 digits");
    assert_eq!(error.class(), Class::Record);
}

#[test]
fn words_stand_for_one_another_and_unknown_ones_are_refused() {
    let mut field = field(FieldType::Enum(vec!["hot".to_owned(), "cold".to_owned()]));
    field.columns.erp.words = BTreeMap::from([("1".to_owned(), "hot".to_owned()), ("2".to_owned(), "cold".to_owned())]);
    assert_eq!(mapping::read(&field, Side::Erp, &Value::Int(2)), Ok(Value::text("cold")));
    assert_eq!(mapping::write(&field, Side::Erp, &Value::text("hot")), Ok(Value::text("1")));
    assert!(mapping::read(&field, Side::Erp, &Value::Int(3)).is_err());
    assert!(mapping::write(&field, Side::Erp, &Value::text("warm")).is_err());
}

#[test]
fn money_in_expressions_is_exact() {
    let cents = transformed(FieldType::Decimal { scale: 2 }, "value / 100", "value * 100");
    assert_eq!(mapping::read(&cents, Side::Erp, &Value::Int(1_234_567_890_123_456_789)), Ok(decimal("12345678901234567.89")));
    assert_eq!(mapping::write(&cents, Side::Erp, &decimal("0.10")), Ok(decimal("10")));
    let tenth = transformed(FieldType::Decimal { scale: 4 }, "value + 0.1 + 0.2", "value - 0.3");
    assert_eq!(mapping::read(&tenth, Side::Erp, &decimal("0")), Ok(decimal("0.3")));
    let third = transformed(FieldType::Decimal { scale: 4 }, "value / 3", "value * 3");
    assert!(mapping::read(&third, Side::Erp, &decimal("1")).is_err(), "a third has no exact decimal");
}

#[test]
fn a_rule_compares_amounts_and_looks_into_the_record() {
    let rule = Expression::compile("crm > 10000.0 && has(record.tier) && record.tier == 'gold'").expect("compiles");
    let record = BTreeMap::from([("tier".to_owned(), Value::text("gold"))]);
    let holds = |crm: &Value| mapping::holds(&rule, crm, &Value::Null, &Value::Null, &record);
    assert_eq!(holds(&decimal("10000.01")), Ok(true));
    assert_eq!(holds(&decimal("10000.00")), Ok(false));
    assert!(holds(&Value::text("x")).is_err());
    assert!(Expression::compile("crm >").is_err());
}

#[test]
fn numbers_combine_and_compare_on_either_side() {
    let check = |kind: FieldType, read: &str, value: Value, expected: Result<Value, ()>| {
        let field = transformed(kind, read, "value");
        assert_eq!(mapping::read(&field, Side::Erp, &value).map_err(|_| ()), expected, "{read} of {value}");
    };
    let money = || FieldType::Decimal { scale: 2 };
    check(money(), "2 * value", decimal("1.05"), Ok(decimal("2.10")));
    check(money(), "100.0 - value", decimal("0.30"), Ok(decimal("99.70")));
    check(money(), "1 / value", decimal("8"), Ok(decimal("0.12")));
    check(money(), "1 + (2 - value) * 0.5", decimal("0.20"), Ok(decimal("1.90")));
    check(money(), "abs(value)", decimal("-12.50"), Ok(decimal("12.50")));
    check(money(), "min(value, 100, 99.9)", decimal("250"), Ok(decimal("99.9")));
    check(money(), "max(0, value)", decimal("-3"), Ok(decimal("0")));
    check(money(), "decimal('12.50') + value", decimal("0.25"), Ok(decimal("12.75")));
    check(money(), "decimal(value)", Value::text("7.10"), Ok(decimal("7.10")));
    check(money(), "decimal(value)", Value::text("seven"), Err(()));
    check(money(), "abs(value)", Value::text("x"), Err(()));
    check(money(), "min(value, null)", decimal("1"), Err(()));
    // Whole numbers stay whole.
    check(FieldType::Int, "7 / value", Value::Int(2), Ok(Value::Int(3)));
    check(FieldType::Int, "max(value, 3) + abs(-4)", Value::Int(2), Ok(Value::Int(7)));
    check(FieldType::Int, "value == 2 && 1 < value && 2.0 >= value ? 1 : 0", Value::Int(2), Ok(Value::Int(1)));
    // What is no number is compared as ever.
    check(FieldType::Text, "'n. ' + value", Value::text("a"), Ok(Value::text("n. a")));
    check(FieldType::Text, "null == value ? 'none' : 'some'", decimal("1"), Ok(Value::text("some")));
    check(FieldType::Text, "value.map(x, x + 1).exists(x, 3 == x) ? 'y' : 'n'", Value::List(vec![Value::Int(2)]), Ok(Value::text("y")));
}

#[test]
fn a_rule_may_ask_how_far_apart_two_amounts_are() {
    let rule = Expression::compile("abs(crm - erp) > 5000.0 || 100000 < max(crm, erp)").expect("compiles");
    let holds = |crm: &str, erp: &str| mapping::holds(&rule, &decimal(crm), &decimal(erp), &Value::Null, &BTreeMap::new());
    assert_eq!(holds("1000.00", "6000.01"), Ok(true));
    assert_eq!(holds("6000.00", "1000.00"), Ok(false));
    assert_eq!(holds("100000.01", "99999"), Ok(true));
}

#[test]
fn a_mapping_that_does_not_come_back_names_the_value() {
    let upper = transformed(FieldType::Text, "value", "value == 'ACME' ? value : 'other'");
    let broken = mapping::round_trip(&upper, Side::Crm, &[Value::text("ACME"), Value::text("Acme")]);
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].to_string(), "f: \"Acme\" comes back from erp column f as \"other\"");
}

#[test]
fn a_mapping_that_contradicts_itself_is_refused() {
    let mut mapping = world::mapping(Policy::LastWrite);
    assert!(mapping::check(&mapping).is_empty());
    mapping.fields[1].columns.erp.column = "name".to_owned();
    mapping.title = "nothing".to_owned();
    let faults: Vec<String> = mapping::check(&mapping).iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[1].contains("customer.phone"), "{faults:?}");
}

proptest! {
    #[test]
    fn plain_conversions_come_back(number in any::<i64>(), scale in 0..6_u32, days in -500_000..900_000_i32) {
        let value = Value::Decimal(Decimal::new(number, scale));
        let fine = field(FieldType::Decimal { scale: 6 });
        prop_assert!(mapping::round_trip(&fine, Side::Erp, &[value]).is_empty());
        prop_assert!(mapping::round_trip(&field(FieldType::Date), Side::Erp, &[Value::Date(days)]).is_empty());
        let as_text = field(FieldType::Text);
        let read = mapping::read(&as_text, Side::Crm, &Value::Date(days)).expect("text");
        prop_assert_eq!(mapping::read(&field(FieldType::Date), Side::Crm, &read), Ok(Value::Date(days)));
    }
}
