//! The mapping file: TOML that a person writes, into the checked form that the core computes with.
//!
//! ```toml
//! version = 1
//! [entity.customer]
//! title = "name"                                        # field that names the entity for people
//! crm = { object = "Account", id_column = "Concord_Id__c", write_column = "Concord_Write__c" }
//! erp = { object = "public.customers", id_column = "concord_id" }
//! [entity.customer.field.name]
//! type = "text"
//! crm = "Name"
//! erp = "name"
//! ```
//!
//! `tests/mapping.toml` shows everything. Unknown keys are refused; an error names file, line and field. It leaves out
//! whether the columns exist: that is asked of both systems when they are connected.

mod check;
mod conversion;
mod convert;
mod difference;
mod places;
mod rows;
mod scored;
mod shape;
mod weights;

use std::path::Path;

pub use difference::{Difference, Weight, differences};
pub use places::Places;

use reconcile::mapping::Mapping;

use crate::error::{Error, Result};

/// Characters that a field for the ids of writes has room for: an entity id, `:w` and a number are less.
pub const WRITE_LENGTH: usize = 60;

/// Reads a mapping file.
///
/// # Errors
/// [`Error::Mapping`] with file, line and field.
pub fn read(path: &Path) -> Result<Mapping> {
    let file = Some(path.display().to_string());
    let text = std::fs::read_to_string(path).map_err(|error| Error::Mapping {
        file: file.clone(),
        line: None,
        reason: format!("the mapping cannot be read: {error}"),
    })?;
    parse(&text).map_err(|error| match error {
        Error::Mapping { line, reason, .. } => Error::Mapping { file, line, reason },
        other => other,
    })
}

/// Reads a mapping from text.
///
/// # Errors
/// [`Error::Mapping`] with line and field.
pub fn parse(text: &str) -> Result<Mapping> {
    let name = |wrong: Wrong| Error::Mapping { file: None, line: wrong.at.map(|at| line(text, at)), reason: wrong.reason };
    let shape: shape::File = toml::from_str(text)
        .map_err(|error| name(Wrong { at: error.span().map(|span| span.start), reason: error.message().to_owned() }))?;
    let places = Places::new(text, &shape);
    let mapping = convert::mapping(shape).map_err(name)?;
    check::check(&mapping).map_err(|reason| Error::Mapping { file: None, line: places.complained(&reason), reason })?;
    Ok(Mapping { text: text.to_owned(), ..mapping })
}

/// What is wrong, and where in the text.
#[derive(Debug)]
struct Wrong {
    at: Option<usize>,
    reason: String,
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
