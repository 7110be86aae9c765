//! Every common type, by copy and by stream.

use anyhow::Result;
use schemas::cdc::ColumnType;
use schemas::value::{Decimal, Value};

use super::harness::{World, eventually};

fn decimal(text: &str) -> Value {
    Value::Decimal(Decimal(text.to_owned()))
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

/// Type, literal, Avro type, value.
fn samples() -> Vec<(&'static str, &'static str, ColumnType, Value)> {
    let array = |item| ColumnType::Array(Box::new(item));
    vec![
        ("bool", "true", ColumnType::Boolean, Value::Bool(true)),
        ("int2", "-32768", ColumnType::Int, Value::Int(-32768)),
        ("int4", "2147483647", ColumnType::Int, Value::Int(2_147_483_647)),
        ("int8", "-9223372036854775808", ColumnType::Int, Value::Int(i64::MIN)),
        ("float4", "1.5", ColumnType::Double, Value::Double(1.5)),
        ("float8", "0.1", ColumnType::Double, Value::Double(0.1)),
        ("float8", "'-Infinity'", ColumnType::Double, Value::Double(f64::NEG_INFINITY)),
        (
            "numeric",
            "12345678901234567890123456789012345678901234567890.125",
            ColumnType::BigDecimal,
            decimal("12345678901234567890123456789012345678901234567890.125"),
        ),
        ("numeric(12,2)", "-1234.5", ColumnType::Decimal { precision: 12, scale: 2 }, decimal("-1234.50")),
        (
            "numeric(38,0)",
            "99999999999999999999999999999999999999",
            ColumnType::Decimal { precision: 38, scale: 0 },
            decimal("99999999999999999999999999999999999999"),
        ),
        (
            "text",
            "E'tab\\t newline\\n quote\\' backslash\\\\ ünïcödé 🦀'",
            ColumnType::Text,
            Value::from("tab\t newline\n quote' backslash\\ ünïcödé 🦀"),
        ),
        ("varchar(40)", "'\\N'", ColumnType::Text, Value::from("\\N")),
        ("char(3)", "'a'", ColumnType::Text, Value::from("a  ")),
        ("citext", "'MiXed'", ColumnType::Text, Value::from("MiXed")),
        ("name", "'a_name'", ColumnType::Text, Value::from("a_name")),
        ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", ColumnType::Uuid, Value::from("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("date", "'2024-02-29'", ColumnType::Date, Value::Date(19_782)),
        ("date", "'infinity'", ColumnType::Date, Value::Date(i32::MAX)),
        ("time", "'13:14:15.16'", ColumnType::Text, Value::from("13:14:15.16")),
        ("timetz", "'13:14:15+02'", ColumnType::Text, Value::from("13:14:15+02")),
        ("timestamp", "'1999-12-31 23:59:59.999999'", ColumnType::Timestamp, Value::Timestamp(946_684_799_999_999)),
        ("timestamptz", "'2024-07-01 12:00:00+02'", ColumnType::Timestamp, Value::Timestamp(1_719_828_000_000_000)),
        ("timestamptz", "'0044-03-15 00:00:00+00 BC'", ColumnType::Timestamp, Value::Timestamp(-63_517_824_000_000_000)),
        ("interval", "'1 day 2 hours'", ColumnType::Text, Value::from("1 day 02:00:00")),
        ("bytea", "'\\x00ff5c0a'", ColumnType::Bytes, Value::Bytes(vec![0, 255, 0x5c, 10])),
        ("json", "'{\"a\":  [1]}'", ColumnType::Json, Value::from("{\"a\":  [1]}")),
        ("jsonb", "'{\"b\": 1, \"a\": null}'", ColumnType::Json, Value::from("{\"a\": null, \"b\": 1}")),
        ("mood", "'very happy'", ColumnType::Text, Value::from("very happy")),
        ("amount", "12.3", ColumnType::Decimal { precision: 10, scale: 2 }, decimal("12.30")),
        ("nested", "12.3", ColumnType::Decimal { precision: 10, scale: 2 }, decimal("12.30")),
        ("inet", "'10.0.0.1/8'", ColumnType::Text, Value::from("10.0.0.1/8")),
        ("int4range", "'[1,5)'", ColumnType::Text, Value::from("[1,5)")),
        ("oid", "4294967295", ColumnType::Int, Value::Int(4_294_967_295)),
        ("int4[]", "'{1,NULL,3}'", array(ColumnType::Int), list([Value::Int(1), Value::Null, Value::Int(3)])),
        (
            "text[]",
            "ARRAY['a,b', 'NULL', '', 'say \"hi\"', E'back\\\\slash']",
            array(ColumnType::Text),
            list(["a,b", "NULL", "", "say \"hi\"", "back\\slash"].map(Value::from)),
        ),
        ("numeric(8,3)[]", "'{1.5}'", array(ColumnType::Decimal { precision: 8, scale: 3 }), list([decimal("1.500")])),
        ("mood[]", "'{sad,\"very happy\"}'", array(ColumnType::Text), list(["sad", "very happy"].map(Value::from))),
        ("amount[]", "'{1,2}'", array(ColumnType::Decimal { precision: 10, scale: 2 }), list([decimal("1.00"), decimal("2.00")])),
        ("timestamptz[]", "'{\"1970-01-01 00:00:01+00\"}'", array(ColumnType::Timestamp), list([Value::Timestamp(1_000_000)])),
        ("box[]", "'{(1,1),(0,0);(2,2),(1,1)}'", array(ColumnType::Text), list(["(1,1),(0,0)", "(2,2),(1,1)"].map(Value::from))),
        ("int2vector", "'1 2'", ColumnType::Text, Value::from("1 2")),
    ]
}

#[tokio::test]
async fn every_type_has_the_same_value_by_copy_and_by_stream() -> Result<()> {
    let samples = samples();
    let columns: Vec<String> = samples.iter().enumerate().map(|(index, (kind, ..))| format!("c{index} {kind}")).collect();
    let values: Vec<&str> = samples.iter().map(|(_, literal, ..)| *literal).collect();
    let nulls = vec!["NULL"; samples.len()].join(", ");
    // Strange settings of the database must not show.
    let schema = format!(
        "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'very happy'); CREATE DOMAIN amount AS numeric(10,2) CHECK (VALUE > 0);
         CREATE DOMAIN nested AS amount; ALTER DATABASE erp SET datestyle = 'German'; ALTER DATABASE erp SET timezone = 'Asia/Kathmandu';
         ALTER DATABASE erp SET bytea_output = 'escape'; ALTER DATABASE erp SET intervalstyle = 'iso_8601'; ALTER DATABASE erp SET extra_float_digits = -5;
         CREATE TABLE samples (id int PRIMARY KEY, {}, twice int GENERATED ALWAYS AS (id * 2) STORED);
         INSERT INTO samples VALUES (1, {}), (2, {nulls})",
        columns.join(", "),
        values.join(", ")
    );
    let world = World::new(&schema, &["public.samples"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql(&format!("INSERT INTO samples VALUES (3, {}), (4, {nulls})", values.join(", "))).await?;
    let changes = world.wait_for("public.samples", 4).await?;
    for seen in &changes {
        for (index, (kind, literal, avro, expected)) in samples.iter().enumerate() {
            let column = format!("c{index}");
            assert_eq!(seen.schema.columns[index + 1].kind, *avro, "{kind}");
            let expected = if seen.key == "1" || seen.key == "3" { expected } else { &Value::Null };
            assert_eq!(seen.after(&column), Some(expected), "{kind} {literal} in row {} ({})", seen.key, seen.op());
        }
        assert_eq!(seen.schema.column("twice"), None, "generated columns are not carried");
    }
    assert_eq!(changes.iter().map(|seen| seen.op()).collect::<Vec<_>>(), ["r", "r", "c", "c"]);
    source.stop().await
}

#[tokio::test]
async fn a_value_that_cannot_be_carried_sets_its_row_aside_and_the_rest_goes_on() -> Result<()> {
    let schema = "CREATE TABLE prices (id int PRIMARY KEY, price numeric(10,2), grid int[]); INSERT INTO prices VALUES (1, 'NaN', NULL), (2, 2, NULL)";
    let world = World::new(schema, &["public.prices"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO prices VALUES (3, 3, '{{1,2},{3,4}}'), (4, 4, '{1}')").await?;
    let changes = world.wait_for("public.prices", 2).await?;
    assert_eq!(changes.iter().map(|seen| seen.key.as_str()).collect::<Vec<_>>(), ["2", "4"]);
    let dead = "cdc.erp.public.prices.dlq";
    eventually(|| async { Ok(world.records(dead).await?.len() == 2) }).await?;
    let mut reasons = Vec::new();
    for record in world.records(dead).await? {
        let letter: schemas::message::DeadLetter =
            world.codec.message(&record).await?.ok_or_else(|| anyhow::anyhow!("an empty dead letter"))?;
        assert!(letter.value.is_some_and(|bytes| !bytes.is_empty()));
        reasons.push(letter.reason);
    }
    assert!(reasons[0].contains("price") && reasons[0].contains("NaN"), "{reasons:?}");
    assert!(reasons[1].contains("grid") && reasons[1].contains("dimension"), "{reasons:?}");
    assert_eq!(source.status.borrow().dead_letters, 2);
    source.stop().await
}
