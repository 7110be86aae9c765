//! `concord matching`: what agreement between records is worth, from a user's own records.

pub mod csv;
mod estimate;
mod fields;
mod labels;

use crate::cli;
use crate::print::Printer;

/// `concord matching`.
///
/// # Errors
/// When a file cannot be read or says something else than it should; the text names file, line and column.
pub fn run(options: cli::Matching, printer: &Printer) -> anyhow::Result<()> {
    match options.what {
        cli::MatchingWhat::Estimate(options) => estimate::run(&options, printer),
    }
}
