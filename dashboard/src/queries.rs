//! What pages and the JSON read from the read model; one file per subject, siblings of the pages.

mod at;
pub(crate) mod audit;
pub(crate) mod conflicts;
pub(crate) mod decisions;
pub(crate) mod entities;
pub(crate) mod failures;
pub(crate) mod flow;
pub(crate) mod health;
pub(crate) mod matches;
pub(crate) mod pipeline;
pub(crate) mod setting;
pub(crate) mod writes;

pub(crate) use at::At;

use crate::error::Error;

/// Makes an error of a query say what we wanted to know.
pub(crate) fn reading(what: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Read { what, source }
}
