//! What corresponds to what: entities, fields, columns, transforms, policies. Parsed elsewhere; this is the checked form.
//!
//! [`read`] and [`write`] convert between a column's value and the canonical one; [`check`] and [`round_trip`] find mappings
//! that cannot work before anything is written.

mod check;
mod conform;
mod convert;
mod expression;
mod number;
pub mod rows;
mod rule;
mod scope;
mod text;
pub(crate) mod time;

use std::collections::BTreeMap;

pub use check::{check, round_trip};
pub(crate) use conform::conform;
pub(crate) use convert::lacking;
pub use convert::{read, write};
pub use expression::{Review, holds, holds_of, value_of};
pub use rows::{Condition, EmptyRow, OrderBy, RowLink, RowMapping};
pub use rule::{ColumnRule, Constant, FieldDefault, Part, When};
pub use scope::Scope;

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
    Ignore,
    /// Its `archive` columns are set; with none configured, as `Ask`.
    #[default]
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
    /// Several values of one type; none is no value.
    List {
        /// Type of each.
        of: Box<FieldType>,
        /// Whether their order and repetitions matter; otherwise they are kept sorted, each once.
        ordered: bool,
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
    /// A record without it is not made on the other side, and nothing is not written over a value.
    pub required: bool,
    /// Longest text that is written, in characters; a longer one is refused in words, never cut.
    pub max_length: Option<usize>,
    /// What stands for no value.
    pub default: Option<FieldDefault>,
    /// Values may come back changed from what was written: that is known and accepted.
    pub lossy: bool,
    /// Where each side has it.
    pub columns: Pair<ColumnRule>,
}

impl FieldMapping {
    /// A field that is the same single column on both sides, travels both ways, and whose newer edit wins.
    pub fn plain(name: impl Into<String>, kind: FieldType, crm: impl Into<String>, erp: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            label: name.clone(),
            name,
            kind,
            direction: Direction::Both,
            policy: Policy::LastWrite,
            drift: Drift::default(),
            review_when: None,
            required: false,
            max_length: None,
            default: None,
            lossy: false,
            columns: Pair { crm: ColumnRule::plain(crm), erp: ColumnRule::plain(erp) },
        }
    }
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
    /// A person decides.
    Ask,
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
    /// Column that holds the id of the last write of ours, where the side keeps it in its records (the CRM).
    pub write_column: Option<String>,
    /// Columns with a fixed value: when the record is made, or with every write to it.
    pub constants: BTreeMap<String, Constant>,
    /// Columns that archive a record, with the values that do it.
    pub archive: BTreeMap<String, crate::Value>,
    /// Column that names who edited the record last, if there is one.
    pub actor_column: Option<String>,
    /// What a row must hold to be a record of this entity; a table may hold others too.
    pub conditions: Vec<Condition>,
    /// Rows of other tables that hold some of the columns, by name.
    pub rows: BTreeMap<String, RowMapping>,
}

impl SideMapping {
    /// Row and column that a column's name speaks of, if it is not the root row's.
    pub fn beside<'a>(&self, column: &'a str) -> Option<(&'a str, &RowMapping, &'a str)> {
        rows::split(&self.rows, column)
    }
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
    /// How records without a common key are compared; none are when it is left out.
    pub scored: Option<crate::matching::MatchRules>,
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
    /// What becomes of a captured kind in the ERP.
    pub conversions: Vec<crate::convert::Conversion>,
    /// Version in force.
    pub version: i64,
    /// What it was made from, so that it can be kept and made again; empty when it was made otherwise.
    pub text: String,
}

impl Mapping {
    /// The same mapping as the version in force.
    #[must_use]
    pub fn at(mut self, version: i64) -> Self {
        self.version = version;
        for entity in &mut self.entities {
            entity.version = version;
        }
        self
    }
}
