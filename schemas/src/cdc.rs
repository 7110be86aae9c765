//! Changes as the sources made them: one typed row schema per object or table, in a Debezium-style envelope.
//!
//! ```text
//! { before: Row | null, after: Row | null, op: c u d r t, changed: [column] | null,
//!   source: { side, name, object, position, transaction, ordinal, committed_at, actor, origin, write, snapshot }, ts_ms }
//! ```
//!
//! The schema is made at run time from the columns of the table or object. `changed` is null when `after` is the
//! whole row; otherwise it names the columns that `after` carries, and the others are unknown, not null (a CRM
//! sends only what changed; Postgres leaves out large values that an update did not touch).

use serde_json::{Value as Json, json};

use crate::message::Side;
use crate::value::{Decimal, Value};
use crate::wire::{self, Names, Wire, WireError};
use crate::{record, symbols};

/// [`Source::origin`] of our own writes, in both systems.
pub const OURSELVES: &str = "concord";

symbols! {
    /// What happened to the row.
    pub enum Op {
        /// Created (or undeleted).
        Create = "c",
        /// Updated.
        Update = "u",
        /// Deleted.
        Delete = "d",
        /// Read by a snapshot or a re-read.
        Read = "r",
        /// The whole table was emptied.
        Truncate = "t",
    }
}

record! {
    /// Where a change comes from.
    pub struct Source {
        /// Side.
        pub side: Side,
        /// Name of the connection, for example `erp`.
        pub name: String,
        /// `schema.table`, or the object's API name.
        pub object: String,
        /// Commit LSN (`16/B374D848`), or replay id in hexadecimal.
        pub position: String,
        /// Transaction id (xid or transactionKey); empty for snapshots.
        pub transaction: String,
        /// Counts changes within the transaction from 0.
        pub ordinal: i64,
        /// Commit time in microseconds since 1970-01-01T00:00:00Z.
        pub committed_at: i64,
        /// Who did it, where the source says.
        pub actor: Option<String>,
        /// Replication origin or client tag, where the source says; `concord` is ourselves.
        pub origin: Option<String>,
        /// Id of the write of ours that made the change; of a row of a copy, of the last one carried out on it. None where
        /// the source does not say: the CRM holds it in a field of its own.
        pub write: Option<String>,
        /// True for rows of a first copy or a re-read.
        pub snapshot: bool,
    }
}

/// The type of a column as Avro carries it. Every column is nullable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// Avro boolean.
    Boolean,
    /// Avro long.
    Int,
    /// Avro double.
    Double,
    /// Avro `decimal` logical type over bytes, when precision is at most 38.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u32,
        /// Digits after the point.
        scale: u32,
    },
    /// A decimal without a bound, as plain text with `"concord.type": "decimal"`.
    BigDecimal,
    /// Avro string.
    Text,
    /// Avro string with logical type `uuid`.
    Uuid,
    /// Avro string that holds a JSON document, with `"concord.type": "json"`.
    Json,
    /// Avro bytes.
    Bytes,
    /// Avro int, logical type `date`.
    Date,
    /// Avro long, logical type `timestamp-micros`.
    Timestamp,
    /// Avro array of nullable items.
    Array(Box<ColumnType>),
}

/// One column of a row schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The column's own name at its source, whatever characters it has.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
}

/// A row: one value per column of its schema, in order.
pub type Row = Vec<Value>;

/// One committed create, update or delete of one record at a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The row before, where the source knows it; columns it does not know are null.
    pub before: Option<Row>,
    /// The row after.
    pub after: Option<Row>,
    /// What happened.
    pub op: Op,
    /// Columns (by index) that `after` carries; none means all.
    pub changed: Option<Vec<usize>>,
    /// Where it comes from.
    pub source: Source,
    /// When ingest put it on the log, milliseconds since 1970-01-01T00:00:00Z.
    pub ts_ms: i64,
}

/// Why a row does not fit its schema, or a schema is not a change schema.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CdcError {
    /// The value of a column has another type than the schema says.
    #[error("column {column} is {expected}, but the value is of another type")]
    ColumnType {
        /// Column name.
        column: String,
        /// Its type.
        expected: String,
    },
    /// The row has more or fewer values than the schema has columns.
    #[error("the row has {found} values, its schema has {expected} columns")]
    RowWidth {
        /// Values in the row.
        found: usize,
        /// Columns in the schema.
        expected: usize,
    },
    /// The bytes do not fit the schema.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The Avro schema is not one that [`ChangeSchema`] writes.
    #[error("not a change schema: {0}")]
    Schema(String),
}

/// The schema of one topic `cdc.<side>.<object>`: its columns, and the Avro schema they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSchema {
    /// Side of the source.
    pub side: Side,
    /// `schema.table`, or the object's API name.
    pub object: String,
    /// Columns in order.
    pub columns: Vec<Column>,
}

impl ChangeSchema {
    /// Index of a column by its source name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The Avro schema as JSON text; the same text for the same columns.
    pub fn schema_text(&self) -> String {
        let namespace = format!("concord.cdc.{}.{}", self.side, self.object.split('.').map(avro_name).collect::<Vec<_>>().join("."));
        json!({
            "type": "record",
            "name": "Envelope",
            "namespace": namespace,
            "concord.side": self.side.as_str(),
            "concord.object": self.object,
            "fields": [
                {"name": "before", "type": ["null", row_schema(&self.columns)], "default": null},
                {"name": "after", "type": ["null", "Row"], "default": null},
                {"name": "op", "type": Op::schema(&mut Names::default())},
                {"name": "changed", "type": ["null", {"type": "array", "items": "string"}], "default": null},
                {"name": "source", "type": Source::schema(&mut Names::default())},
                {"name": "ts_ms", "type": "long", "default": 0},
            ],
        })
        .to_string()
    }

    /// Reads a schema that [`Self::schema_text`] wrote, from any version of the table.
    ///
    /// # Errors
    /// [`CdcError::Schema`] when it is some other schema.
    pub fn parse(text: &str) -> Result<Self, CdcError> {
        let wrong = |what: &str| CdcError::Schema(what.to_owned());
        let json: Json = serde_json::from_str(text).map_err(|error| CdcError::Schema(error.to_string()))?;
        let side = json["concord.side"].as_str().and_then(Side::parse).ok_or_else(|| wrong("no concord.side"))?;
        let object = json["concord.object"].as_str().ok_or_else(|| wrong("no concord.object"))?.to_owned();
        let columns = columns_of(&json["fields"][0]["type"][1])?;
        Ok(Self { side, object, columns })
    }

    /// The binary form of a change, without framing.
    ///
    /// # Errors
    /// [`CdcError::ColumnType`] or [`CdcError::RowWidth`] when a row does not fit the columns.
    pub fn encode(&self, change: &Change) -> Result<Vec<u8>, CdcError> {
        let mut out = Vec::with_capacity(256);
        self.put_row(change.before.as_ref(), &mut out)?;
        self.put_row(change.after.as_ref(), &mut out)?;
        change.op.put(&mut out);
        change
            .changed
            .as_ref()
            .map(|changed| {
                changed.iter().filter_map(|&index| self.columns.get(index)).map(|column| column.name.clone()).collect::<Vec<_>>()
            })
            .put(&mut out);
        change.source.put(&mut out);
        wire::put_long(change.ts_ms, &mut out);
        Ok(out)
    }

    /// Reads exactly one change.
    ///
    /// # Errors
    /// [`CdcError::Wire`] when the bytes do not fit.
    pub fn decode(&self, mut input: &[u8]) -> Result<Change, CdcError> {
        let input = &mut input;
        let before = self.take_row(input)?;
        let after = self.take_row(input)?;
        let op = Op::take(input)?;
        let changed = match wire::take_long(input)? {
            0 => None,
            1 => Some(Vec::<String>::take(input)?.iter().filter_map(|name| self.column(name)).collect()),
            _ => return Err(WireError::Invalid("an optional value has an unknown branch").into()),
        };
        let source = Source::take(input)?;
        let ts_ms = wire::take_long(input)?;
        if !input.is_empty() {
            return Err(WireError::Trailing(input.len()).into());
        }
        Ok(Change { before, after, op, changed, source, ts_ms })
    }

    fn put_row(&self, row: Option<&Row>, out: &mut Vec<u8>) -> Result<(), CdcError> {
        let Some(row) = row else {
            wire::put_long(0, out);
            return Ok(());
        };
        wire::put_long(1, out);
        put_row(&self.columns, row, out)
    }

    fn take_row(&self, input: &mut &[u8]) -> Result<Option<Row>, CdcError> {
        match wire::take_long(input)? {
            0 => Ok(None),
            1 => Ok(Some(take_row(&self.columns, input)?)),
            _ => Err(WireError::Invalid("an optional value has an unknown branch").into()),
        }
    }
}

/// The Avro record `Row` of some columns.
pub fn row_schema(columns: &[Column]) -> Json {
    let mut used = std::collections::BTreeSet::new();
    let fields: Vec<Json> = columns
        .iter()
        .map(|column| {
            let mut name = avro_name(&column.name);
            while !used.insert(name.clone()) {
                name.push('_');
            }
            let mut field = json!({"name": name, "type": ["null", type_schema(&column.kind)], "default": null});
            if name != column.name {
                field["concord.name"] = column.name.clone().into();
            }
            field
        })
        .collect();
    json!({"type": "record", "name": "Row", "fields": fields})
}

/// Reads the columns of a schema that [`row_schema`] wrote, whatever its name.
///
/// # Errors
/// [`CdcError::Schema`] when it is some other schema.
pub fn parse_row_schema(text: &str) -> Result<Vec<Column>, CdcError> {
    let json: Json = serde_json::from_str(text).map_err(|error| CdcError::Schema(error.to_string()))?;
    columns_of(&json)
}

fn columns_of(row: &Json) -> Result<Vec<Column>, CdcError> {
    let wrong = |what: &str| CdcError::Schema(what.to_owned());
    row["fields"]
        .as_array()
        .ok_or_else(|| wrong("no row fields"))?
        .iter()
        .map(|field| {
            let avro = field["name"].as_str().ok_or_else(|| wrong("a column without a name"))?;
            let name = field["concord.name"].as_str().unwrap_or(avro).to_owned();
            let kind =
                parse_type(&field["type"][1]).ok_or_else(|| CdcError::Schema(format!("column {name} has a type that is not ours")))?;
            Ok(Column { name, kind })
        })
        .collect()
}

/// Appends a row in the binary form of [`row_schema`].
///
/// # Errors
/// As [`ChangeSchema::encode`].
pub fn put_row(columns: &[Column], row: &Row, out: &mut Vec<u8>) -> Result<(), CdcError> {
    if row.len() != columns.len() {
        return Err(CdcError::RowWidth { found: row.len(), expected: columns.len() });
    }
    for (column, value) in columns.iter().zip(row) {
        put_cell(&column.kind, value, out)
            .ok_or_else(|| CdcError::ColumnType { column: column.name.clone(), expected: format!("{:?}", column.kind) })?;
    }
    Ok(())
}

/// Reads what [`put_row`] wrote.
///
/// # Errors
/// [`WireError`] when the bytes do not fit.
pub fn take_row(columns: &[Column], input: &mut &[u8]) -> Result<Row, WireError> {
    columns.iter().map(|column| take_cell(&column.kind, input)).collect()
}

/// A name that Avro accepts (`[A-Za-z_][A-Za-z0-9_]*`), as near to the given one as can be.
pub fn avro_name(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

fn type_schema(kind: &ColumnType) -> Json {
    match kind {
        ColumnType::Boolean => json!("boolean"),
        ColumnType::Int => json!("long"),
        ColumnType::Double => json!("double"),
        ColumnType::Decimal { precision, scale } => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        ColumnType::BigDecimal => json!({"type": "string", "concord.type": "decimal"}),
        ColumnType::Text => json!("string"),
        ColumnType::Uuid => json!({"type": "string", "logicalType": "uuid"}),
        ColumnType::Json => json!({"type": "string", "concord.type": "json"}),
        ColumnType::Bytes => json!("bytes"),
        ColumnType::Date => json!({"type": "int", "logicalType": "date"}),
        ColumnType::Timestamp => json!({"type": "long", "logicalType": "timestamp-micros"}),
        ColumnType::Array(item) => json!({"type": "array", "items": ["null", type_schema(item)]}),
    }
}

fn parse_type(json: &Json) -> Option<ColumnType> {
    let word = |key: &str| json[key].as_str();
    Some(match (json.as_str().or_else(|| word("type"))?, word("logicalType"), word("concord.type")) {
        ("boolean", ..) => ColumnType::Boolean,
        ("long", Some("timestamp-micros"), _) => ColumnType::Timestamp,
        ("long", ..) => ColumnType::Int,
        ("double", ..) => ColumnType::Double,
        ("bytes", Some("decimal"), _) => ColumnType::Decimal {
            precision: u32::try_from(json["precision"].as_u64()?).ok()?,
            scale: u32::try_from(json["scale"].as_u64()?).ok()?,
        },
        ("bytes", ..) => ColumnType::Bytes,
        ("string", Some("uuid"), _) => ColumnType::Uuid,
        ("string", _, Some("decimal")) => ColumnType::BigDecimal,
        ("string", _, Some("json")) => ColumnType::Json,
        ("string", ..) => ColumnType::Text,
        ("int", Some("date"), _) => ColumnType::Date,
        ("array", ..) => ColumnType::Array(Box::new(parse_type(&json["items"][1])?)),
        _ => return None,
    })
}

/// Appends a nullable cell; none when the value does not fit the type.
fn put_cell(kind: &ColumnType, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    if value.is_null() {
        wire::put_long(0, out);
        return Some(());
    }
    wire::put_long(1, out);
    match (kind, value) {
        (ColumnType::Boolean, Value::Bool(value)) => value.put(out),
        (ColumnType::Int, Value::Int(value)) | (ColumnType::Timestamp, Value::Timestamp(value)) => value.put(out),
        (ColumnType::Double, Value::Double(value)) => value.put(out),
        (ColumnType::Decimal { scale, .. }, Value::Decimal(Decimal(text))) => wire::put_bytes(&minimal_bytes(unscaled(text, *scale)?), out),
        (ColumnType::BigDecimal, Value::Decimal(Decimal(text))) => text.put(out),
        (ColumnType::Text | ColumnType::Uuid | ColumnType::Json, Value::Text(text)) => text.put(out),
        (ColumnType::Bytes, Value::Bytes(bytes)) => wire::put_bytes(bytes, out),
        (ColumnType::Date, Value::Date(days)) => days.put(out),
        (ColumnType::Array(item), Value::List(items)) => {
            if !items.is_empty() {
                wire::put_long(items.len() as i64, out);
                for value in items {
                    put_cell(item, value, out)?;
                }
            }
            wire::put_long(0, out);
        }
        _ => return None,
    }
    Some(())
}

fn take_cell(kind: &ColumnType, input: &mut &[u8]) -> Result<Value, WireError> {
    match wire::take_long(input)? {
        0 => return Ok(Value::Null),
        1 => {}
        _ => return Err(WireError::Invalid("an optional value has an unknown branch")),
    }
    Ok(match kind {
        ColumnType::Boolean => Value::Bool(bool::take(input)?),
        ColumnType::Int => Value::Int(i64::take(input)?),
        ColumnType::Timestamp => Value::Timestamp(i64::take(input)?),
        ColumnType::Double => Value::Double(f64::take(input)?),
        ColumnType::Decimal { scale, .. } => Value::Decimal(Decimal(scaled(wire::take_bytes(input)?, *scale)?)),
        ColumnType::BigDecimal => Value::Decimal(Decimal(String::take(input)?)),
        ColumnType::Text | ColumnType::Uuid | ColumnType::Json => Value::Text(String::take(input)?),
        ColumnType::Bytes => Value::Bytes(Vec::<u8>::take(input)?),
        ColumnType::Date => Value::Date(i32::take(input)?),
        ColumnType::Array(item) => {
            let mut items = Vec::new();
            loop {
                let mut count = wire::take_long(input)?;
                if count == 0 {
                    break;
                }
                if count < 0 {
                    wire::take_long(input)?;
                    count = count.checked_neg().ok_or(WireError::Invalid("a block count is out of range"))?;
                }
                for _ in 0..count {
                    items.push(take_cell(item, input)?);
                }
            }
            Value::List(items)
        }
    })
}

/// The digits of plain decimal text as an integer at `scale`; none when they do not fit exactly.
fn unscaled(text: &str, scale: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = if fraction.len() > scale as usize { fraction.trim_end_matches('0') } else { fraction };
    if fraction.len() > scale as usize || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut number: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', scale as usize - fraction.len())) {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    Some(if negative { -number } else { number })
}

/// Two's complement, big-endian, without needless leading bytes, as Avro's `decimal` wants it.
fn minimal_bytes(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] ^ sign) & 0x80 == 0 {
        start += 1;
    }
    bytes[start..].to_vec()
}

/// Plain decimal text of two's complement bytes at `scale`.
fn scaled(bytes: &[u8], scale: u32) -> Result<String, WireError> {
    if bytes.is_empty() || bytes.len() > 16 {
        return Err(WireError::Invalid("a decimal is empty or longer than 16 bytes"));
    }
    let mut full = if bytes[0] & 0x80 == 0 { [0u8; 16] } else { [0xff; 16] };
    full[16 - bytes.len()..].copy_from_slice(bytes);
    let number = i128::from_be_bytes(full);
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if number < 0 { "-" } else { "" };
    Ok(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}
