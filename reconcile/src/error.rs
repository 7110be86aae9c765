//! Why a value cannot be read, written or evaluated.

use crate::mapping::Side;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try again.
    Transient,
    /// Set the record aside and go on.
    Record,
    /// Stop and ask a person.
    Fatal,
}

/// What can go wrong with a mapping or a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A column's value has no canonical form.
    #[error("{field}: cannot read {value} from {side} column {column}: {reason}")]
    Read {
        /// Canonical field.
        field: String,
        /// Side, `crm` or `erp`.
        side: &'static str,
        /// Column there.
        column: String,
        /// The value.
        value: String,
        /// Why.
        reason: String,
    },
    /// A canonical value has no form in a column.
    #[error("{field}: cannot write {value} to {side} column {column}: {reason}")]
    Write {
        /// Canonical field.
        field: String,
        /// Side, `crm` or `erp`.
        side: &'static str,
        /// Column there.
        column: String,
        /// The value.
        value: String,
        /// Why.
        reason: String,
    },
    /// A value changes when it is written and read back.
    #[error("{field}: {value} comes back from {side} column {column} as {back}")]
    RoundTrip {
        /// Canonical field.
        field: String,
        /// Side, `crm` or `erp`.
        side: &'static str,
        /// Column there.
        column: String,
        /// The value written.
        value: String,
        /// The value read.
        back: String,
    },
    /// An expression does not compile.
    #[error("expression `{text}` does not compile: {reason}")]
    Compile {
        /// Its text.
        text: String,
        /// Why.
        reason: String,
    },
    /// The mapping contradicts itself.
    #[error("{kind}{}: {reason}", if field.is_empty() { String::new() } else { format!(".field.{field}") })]
    Mapping {
        /// Entity kind.
        kind: String,
        /// Field; empty for the entity as a whole.
        field: String,
        /// What is wrong and what may help.
        reason: String,
    },
    /// An amount that cannot be added up exactly.
    #[error("amount {amount} of {record} is too large or too fine to be added up exactly: at most 15 digits before and 4 after the point")]
    Amount {
        /// Record id.
        record: String,
        /// The amount.
        amount: String,
    },
}

impl Error {
    /// What to do about it.
    pub const fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::RoundTrip { .. } | Self::Amount { .. } => Class::Record,
            Self::Compile { .. } | Self::Mapping { .. } => Class::Fatal,
        }
    }

    pub(crate) fn read(field: &crate::mapping::FieldMapping, side: Side, values: &[crate::Value], reason: impl Into<String>) -> Self {
        Self::Read {
            field: field.name.clone(),
            side: side.as_str(),
            column: field.columns[side].shown(),
            value: values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + "),
            reason: reason.into(),
        }
    }

    pub(crate) fn write(field: &crate::mapping::FieldMapping, side: Side, value: &crate::Value, reason: impl Into<String>) -> Self {
        Self::Write {
            field: field.name.clone(),
            side: side.as_str(),
            column: field.columns[side].shown(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}
