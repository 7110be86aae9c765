//! `concord migrate`: the tables Concord needs, in the read model and inside the ERP. Running it again does nothing.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::anyhow;
use reconcile::mapping::Side;

use crate::check::read_model;
use crate::config::Config;
use crate::print::Printer;

/// Creates or upgrades them, and says what was done.
///
/// # Errors
/// What Postgres says, with the command that mends it.
pub async fn migrate(path: &Path, printer: &Printer) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let mapping = processors::mapping_file::parse(&config.mapping.text)
        .map_err(|error| anyhow!("in the mapping {}: {error}", config.mapping.path.display()))?;

    let place = read_model::place(&config.read_model);
    let before = read_model::migrations(&config.read_model).await?;
    sinks::readmodel::migrate(&config.read_model).await.map_err(|error| said(&place, &error))?;
    let after = read_model::migrations(&config.read_model).await?;
    let applied: Vec<String> =
        after.iter().filter(|(version, _)| !before.contains_key(version)).map(|(version, name)| format!("{version:04} {name}")).collect();
    tell(printer, &place, &applied.iter().map(|name| format!("applied {name}")).collect::<Vec<_>>());

    let erp = mapping.entities.iter().map(|entity| &entity.sides[Side::Erp]);
    let tables: BTreeSet<String> = erp.flat_map(|side| side.rows.values().map(|row| &row.table).chain([&side.object])).cloned().collect();
    let tables: Vec<String> = tables.into_iter().collect();
    let done = sinks::erp::setup(&config.write_erp, &tables).await.map_err(|error| said("ERP", &error))?;
    tell(printer, "ERP", &done);
    printer.object(&serde_json::json!({"read_model": {"applied": applied, "version": after.keys().last()}, "erp": {"done": done}}));
    Ok(())
}

fn tell(printer: &Printer, place: &str, done: &[String]) {
    if done.is_empty() {
        printer.line(&format!("{place}: nothing to do"));
    }
    for done in done {
        printer.line(&format!("{place}: {done}"));
    }
}

fn said(place: &str, error: &sinks::Error) -> anyhow::Error {
    anyhow!("{place}: {error}; mend it: {}", error.remedy())
}
