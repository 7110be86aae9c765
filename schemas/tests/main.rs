//! The codec agrees with an independent Avro implementation, and schemas change only on purpose.

use std::collections::BTreeMap;
use std::path::Path;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use schemas::cdc::{Change, ChangeSchema, Column, ColumnType, Op, Source};
use schemas::message::{self, Field, Health, HealthState, Lane, Message, Outcome, OutcomeResult, Side, Write, WriteOp};
use schemas::{Decimal, Value};

fn every_value() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Double(1.5),
        Value::text("Škoda, a.s."),
        Value::Bytes(vec![0, 255]),
        Value::Decimal(Decimal("-12.50".into())),
        Value::Date(-3),
        Value::Timestamp(1_700_000_000_000_000),
        Value::List(vec![Value::Int(1), Value::List(vec![Value::Null])]),
    ]
}

fn write() -> Write {
    Write {
        id: "w".into(),
        entity: "e".into(),
        kind: "customer".into(),
        side: Side::Erp,
        object: "public.customers".into(),
        record: Some("7".into()),
        op: WriteOp::Update,
        values: every_value().into_iter().enumerate().map(|(n, value)| Field { name: format!("f{n}"), value }).collect(),
        expected: vec![],
        id_column: None,
        write_column: None,
        rows: Vec::new(),
        lane: Lane::Live,
        reason: "edited in Salesforce".into(),
        caused_at: -1,
        actor: None,
        conflict: None,
        mapping_version: 3,
    }
}

#[test]
fn messages_read_back_as_written() {
    let write = write();
    assert_eq!(Write::from_bytes(&write.to_bytes()), Ok(write));
}

fn independent_read(schema: &Schema, bytes: &[u8]) -> Avro {
    let reader = GenericDatumReader::builder(schema).build().expect("a usable schema");
    reader.read_value(&mut &*bytes).expect("readable")
}

fn independent_write(schema: &Schema, value: Avro) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema).build().expect("a usable schema");
    writer.write_value_to_vec(value).expect("writable")
}

#[test]
fn an_independent_reader_finds_the_same_bytes_under_the_schema() {
    let schema = Schema::parse_str(&Write::schema_text()).expect("a valid schema");
    let bytes = write().to_bytes();
    let value = independent_read(&schema, &bytes);
    let again = independent_write(&schema, value);
    assert_eq!(again, bytes);
}

#[test]
fn cut_and_twisted_messages_are_refused_without_panic() {
    let bytes = write().to_bytes();
    for cut in 0..bytes.len() {
        assert!(Write::from_bytes(&bytes[..cut]).is_err());
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut twisted = bytes.clone();
            twisted[at] ^= 1 << bit;
            let _ = Write::from_bytes(&twisted);
        }
    }
}

#[test]
fn every_message_schema_is_valid_and_stands_in_avro() {
    let folder = Path::new("avro");
    for (name, text) in message::all() {
        Schema::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&text).expect("json")).expect("json") + "\n";
        let file = folder.join(format!("{}.avsc", name.trim_start_matches("concord.")));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, &pretty).expect("written");
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, pretty, "{} is out of date: run the tests with UPDATE_EXPECT=1", file.display());
    }
}

fn change_schema() -> ChangeSchema {
    let column = |name: &str, kind: ColumnType| Column { name: name.into(), kind };
    ChangeSchema {
        side: Side::Erp,
        object: "public.odd table".into(),
        columns: vec![
            column("id", ColumnType::Int),
            column("credit limit", ColumnType::Decimal { precision: 18, scale: 2 }),
            column("big", ColumnType::BigDecimal),
            column("name", ColumnType::Text),
            column("uid", ColumnType::Uuid),
            column("doc", ColumnType::Json),
            column("raw", ColumnType::Bytes),
            column("ok", ColumnType::Boolean),
            column("ratio", ColumnType::Double),
            column("day", ColumnType::Date),
            column("at", ColumnType::Timestamp),
            column("tags", ColumnType::Array(Box::new(ColumnType::Text))),
        ],
    }
}

fn change() -> Change {
    Change {
        before: Some(vec![Value::Null; 12]),
        after: Some(vec![
            Value::Int(7),
            Value::Decimal(Decimal("-0.05".into())),
            Value::Decimal(Decimal("123456789012345678901234567890123456789012.5".into())),
            Value::text("x"),
            Value::text("6f1c8a56-58f0-4a4e-b1f1-3b2f6f0e9d11"),
            Value::text("{}"),
            Value::Bytes(vec![1]),
            Value::Bool(false),
            Value::Double(0.1),
            Value::Date(20_000),
            Value::Timestamp(5),
            Value::List(vec![Value::text("a"), Value::Null]),
        ]),
        op: Op::Update,
        changed: Some(vec![1, 3]),
        source: Source {
            side: Side::Erp,
            name: "erp".into(),
            object: "public.odd table".into(),
            position: "0/16B3748".into(),
            transaction: "731".into(),
            ordinal: 2,
            committed_at: 1,
            actor: None,
            origin: Some("concord".into()),
            write: None,
            snapshot: false,
        },
        ts_ms: 9,
    }
}

#[test]
fn changes_read_back_and_agree_with_an_independent_reader() {
    let (schema, change) = (change_schema(), change());
    let bytes = schema.encode(&change).expect("fits");
    assert_eq!(schema.decode(&bytes).as_ref(), Ok(&change));
    assert_eq!(ChangeSchema::parse(&schema.schema_text()).as_ref(), Ok(&schema));
    let avro = Schema::parse_str(&schema.schema_text()).expect("a valid schema");
    let value = independent_read(&avro, &bytes);
    assert_eq!(independent_write(&avro, value.clone()), bytes);
    let Avro::Record(fields) = value else { panic!("a record") };
    assert_eq!(fields[2].0, "op");
}

#[test]
fn a_value_of_another_type_is_named() {
    let schema = change_schema();
    let mut change = change();
    change.after.as_mut().expect("after")[1] = Value::Decimal(Decimal("1.005".into()));
    let error = schema.encode(&change).expect_err("three digits do not fit");
    assert!(error.to_string().contains("credit limit"), "{error}");
}

#[test]
fn decimals_keep_every_digit() {
    let schema = ChangeSchema {
        side: Side::Erp,
        object: "t".into(),
        columns: vec![Column { name: "d".into(), kind: ColumnType::Decimal { precision: 38, scale: 3 } }],
    };
    for text in [
        "0.000",
        "-0.001",
        "127.000",
        "128.000",
        "-128.000",
        "-129.000",
        "99999999999999999999999999999999999.999",
        "-99999999999999999999999999999999999.999",
    ] {
        let mut one = change();
        one.before = None;
        one.changed = None;
        one.after = Some(vec![Value::Decimal(Decimal(text.into()))]);
        let bytes = schema.encode(&one).expect("fits");
        assert_eq!(schema.decode(&bytes).as_ref(), Ok(&one), "{text}");
    }
}

#[test]
fn enums_and_maps_survive() {
    let health = Health {
        component: "sink.crm".into(),
        state: HealthState::Paused,
        reason: "limit".into(),
        remedy: String::new(),
        since: 1,
        at: 2,
        facts: BTreeMap::from([("api_calls".into(), "12".into())]),
    };
    assert_eq!(Health::from_bytes(&health.to_bytes()), Ok(health));
    assert_eq!(OutcomeResult::parse("rejected"), Some(OutcomeResult::Rejected));
    assert!(Outcome::schema_text().contains("deferred"));
}
