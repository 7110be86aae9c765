//! Asks the person at the terminal whether that many are meant.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::bail;

use crate::print::Printer;

/// Whether to go on. Without a terminal nobody can be asked, so that `--yes` must have said so.
///
/// # Errors
/// When nobody can be asked.
pub(crate) fn confirmed(what: &str, yes: bool, printer: &Printer) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || printer.is_json() {
        bail!("this would {what}; say --yes if that is meant");
    }
    printer.line(&format!("This will {what}. Go on? [y/N]"));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    let yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !yes {
        printer.line("nothing was decided");
    }
    Ok(yes)
}
