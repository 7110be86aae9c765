//! What corresponds to what: entities, fields, columns, transforms, policies. Parsed elsewhere; this is the checked form.
//!
//! [`read`] and [`write`] convert between a column's value and the canonical one; [`check`] and [`round_trip`] find mappings
//! that cannot work before anything is written.

mod convert;
mod expression;
mod number;
pub(crate) mod time;

use std::collections::BTreeMap;

pub(crate) use convert::conform;
pub use convert::{check, read, round_trip, write};
pub use expression::holds;

/// One of the two systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The CRM.
    Crm,
    /// The ERP.
    Erp,
}

impl Side {
    /// Both, CRM first.
    pub const BOTH: [Self; 2] = [Self::Crm, Self::Erp];

    /// The side across.
    pub const fn other(self) -> Self {
        match self {
            Self::Crm => Self::Erp,
            Self::Erp => Self::Crm,
        }
    }

    /// `crm` or `erp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Erp => "erp",
        }
    }
}

/// One thing for each side.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Pair<T> {
    /// The CRM's.
    pub crm: T,
    /// The ERP's.
    pub erp: T,
}

impl<T> std::ops::Index<Side> for Pair<T> {
    type Output = T;
    fn index(&self, side: Side) -> &T {
        match side {
            Side::Crm => &self.crm,
            Side::Erp => &self.erp,
        }
    }
}

impl<T> std::ops::IndexMut<Side> for Pair<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Crm => &mut self.crm,
            Side::Erp => &mut self.erp,
        }
    }
}

/// How a conflict is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// The newer commit wins; within the skew the configured side does, marked as a tie.
    LastWrite,
    /// The CRM wins.
    Crm,
    /// The ERP wins.
    Erp,
    /// A person decides.
    Review,
}

impl Policy {
    /// `last_write`, `crm`, `erp` or `review`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LastWrite => "last_write",
            Self::Crm => "crm",
            Self::Erp => "erp",
            Self::Review => "review",
        }
    }
}

/// Which way a field travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    Both,
    /// From the ERP to the CRM only.
    ToCrm,
    /// From the CRM to the ERP only.
    ToErp,
}

impl Direction {
    /// Whether values may be written to a side.
    pub const fn allows(self, target: Side) -> bool {
        matches!((self, target), (Self::Both, _) | (Self::ToCrm, Side::Crm) | (Self::ToErp, Side::Erp))
    }
}

/// What happens to a value edited on the side that a one-way field never travels from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drift {
    /// It stays until the master changes; then it is the loser of a recorded conflict.
    #[default]
    Keep,
    /// The master's value is written over it at once, and it is kept in a conflict record.
    Reassert,
    /// It stays, and a conflict record says so.
    Report,
}

/// What happens to a record when its counterpart is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletePolicy {
    /// Nothing: the link stays, nothing is written.
    #[default]
    Ignore,
    /// Its `archive` columns are set; with none configured, as `Ignore`.
    Archive,
    /// It is deleted too, unless it was edited since both agreed.
    Delete,
    /// A person decides.
    Ask,
}

/// The type of a canonical field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    Text,
    /// Whole number.
    Int,
    /// Decimal, rounded half to even at this many digits after the point.
    Decimal {
        /// Digits after the point.
        scale: u32,
    },
    /// Boolean.
    Bool,
    /// Day.
    Date,
    /// Instant.
    Timestamp,
    /// One of these words.
    Enum(Vec<String>),
    /// An entity of another kind; the value is its entity id.
    Reference {
        /// The kind referred to.
        kind: String,
    },
}

/// A CEL expression over `value`, compiled once.
#[derive(Debug)]
pub struct Expression {
    /// Its text, for messages.
    pub text: String,
    /// The compiled form, with operators that work between all kinds of numbers.
    pub(crate) tree: cel::IdedExpr,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// How one side holds a field.
#[derive(Debug, PartialEq, Default)]
pub struct ColumnRule {
    /// Column or object field name.
    pub column: String,
    /// From the column's value to the canonical one; none is the plain conversion to the field's type.
    pub read: Option<Expression>,
    /// From the canonical value to the column's; none is the value itself.
    pub write: Option<Expression>,
    /// Word on this side ↔ canonical word, for picklists and codes.
    pub words: BTreeMap<String, String>,
}

/// One mapped field.
#[derive(Debug, PartialEq)]
pub struct FieldMapping {
    /// Canonical name.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// Type.
    pub kind: FieldType,
    /// Direction.
    pub direction: Direction,
    /// How conflicts are settled.
    pub policy: Policy,
    /// What happens to edits against the direction of a one-way field.
    pub drift: Drift,
    /// When true (over `crm`, `erp`, `base`, `record`), a person decides whatever the policy says.
    pub review_when: Option<Expression>,
    /// Where each side has it.
    pub columns: Pair<ColumnRule>,
}

/// How match keys are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Normal {
    /// As it is.
    Exact,
    /// Salesforce id: 15 and 18 characters are one id.
    SalesforceId,
    /// E-mail: case, surrounding blanks; shared and role addresses never match.
    Email,
    /// Tax id: letters and digits only, upper case.
    TaxId,
}

/// A match key: records whose values are equal after normalisation are one entity. Keys are tried in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchKey {
    /// Its name, for reasons shown to people.
    pub name: String,
    /// Column on each side; `$id` is the record id itself.
    pub columns: Pair<String>,
    /// Normalisation.
    pub normal: Normal,
}

/// What to do when one side has a record that the other lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatePolicy {
    /// Make it there.
    Auto,
    /// Leave it.
    Never,
}

/// One side of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideMapping {
    /// Object API name, or `schema.table`.
    pub object: String,
    /// Column or external id field that holds the entity id on records that Concord created.
    pub id_column: String,
    /// Columns with a fixed value on create.
    pub constants: BTreeMap<String, crate::Value>,
    /// Columns that archive a record, with the values that do it.
    pub archive: BTreeMap<String, crate::Value>,
    /// Column that names who edited the record last, if there is one.
    pub actor_column: Option<String>,
}

/// One entity kind whose fields are kept in agreement.
#[derive(Debug, PartialEq)]
pub struct EntityMapping {
    /// Kind, for example `customer`.
    pub kind: String,
    /// Field whose value is the entity's name for people.
    pub title: String,
    /// Sides.
    pub sides: Pair<SideMapping>,
    /// Fields in order.
    pub fields: Vec<FieldMapping>,
    /// Match keys in order of strength.
    pub keys: Vec<MatchKey>,
    /// Creation of missing records on each side.
    pub create: Pair<CreatePolicy>,
    /// What happens to a side's record when the other side's is deleted.
    pub delete: Pair<DeletePolicy>,
    /// How fields that differ at first contact are settled.
    pub first_contact: Policy,
    /// Commit times nearer than this are not ordered, microseconds.
    pub skew_us: i64,
    /// Who wins a tie.
    pub tie: Side,
    /// Version in force.
    pub version: i64,
}

impl EntityMapping {
    /// A field by name.
    pub fn field(&self, name: &str) -> Option<&FieldMapping> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// An object that is captured and stamped with its customer but not reconciled: opportunities, orders, invoices, payments.
#[derive(Debug, PartialEq)]
pub struct CapturedMapping {
    /// Kind, for example `invoice`.
    pub kind: String,
    /// Its side.
    pub side: Side,
    /// Object API name, or `schema.table`.
    pub object: String,
    /// Canonical name → column.
    pub columns: BTreeMap<String, String>,
    /// Types of the canonical names.
    pub types: BTreeMap<String, FieldType>,
    /// Column that points at the customer's record on this side (or at `via`'s record).
    pub customer_column: Option<String>,
    /// Kind that `customer_column` points at when it is not the customer itself (a payment's invoice).
    pub via: Option<String>,
}

/// The whole mapping.
#[derive(Debug, PartialEq, Default)]
pub struct Mapping {
    /// Reconciled kinds, parents before children.
    pub entities: Vec<EntityMapping>,
    /// Captured kinds.
    pub captured: Vec<CapturedMapping>,
    /// Version in force.
    pub version: i64,
}
