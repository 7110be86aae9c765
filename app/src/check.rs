//! `concord check`: looks at both systems and the configuration, and writes nothing. `concord run` takes the same look
//! at what its roles need before anything is written.
//!
//! Every look ends within [`PATIENCE`]; they run side by side. What is wrong is said with where and what mends it.

mod crm;
mod erp;
mod field;
mod log;
mod needs;
mod postgres;
pub(crate) mod read_model;
mod rows;
mod samples;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use reconcile::mapping::{DeletePolicy, EntityMapping, Mapping, Side};

use crate::cli::Role;
use crate::config::Config;
use crate::print::Printer;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Which look, in a word: `erp.read`, `crm`, `registry`.
    pub check: &'static str,
    /// Where: server, table, field, setting.
    #[serde(rename = "where")]
    pub place: String,
    /// It keeps nothing from running.
    pub ok: bool,
    /// What was seen; what is wrong.
    pub what: String,
    /// What mends it, or would be better; empty when all is well.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ok && !self.remedy.is_empty() {
            write!(f, "note    {:<10}  {}: {}; better: {}", self.check, self.place, self.what, self.remedy)
        } else if self.ok {
            write!(f, "ok      {:<10}  {}: {}", self.check, self.place, self.what)
        } else {
            write!(f, "FAILED  {:<10}  {}: {}; mend it: {}", self.check, self.place, self.what, self.remedy)
        }
    }
}

/// Prints every finding; the exit code says whether all is well.
///
/// # Errors
/// When the configuration or the mapping cannot be read.
pub async fn check(path: &Path, printer: &Printer) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let mut findings = vec![configuration(path, &config)?];
    findings.extend(self::findings(&config).await?);
    findings.extend(samples::look(&config, &mapping(&config)?).await);
    for finding in &findings {
        printer.line(&finding.to_string());
    }
    let failed = findings.iter().filter(|finding| !finding.ok).count();
    printer.object(&serde_json::json!({"findings": findings, "failed": failed}));
    printer.line(&match failed {
        0 => "all is well".to_owned(),
        1 => "1 thing must be mended".to_owned(),
        more => format!("{more} things must be mended"),
    });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loading has found nothing wrong; this says what was loaded.
fn configuration(path: &Path, config: &Config) -> anyhow::Result<Finding> {
    let mapping = mapping(config)?;
    let kinds: Vec<&str> = mapping.entities.iter().map(|entity| entity.kind.as_str()).collect();
    let captured: Vec<&str> = mapping.captured.iter().map(|captured| captured.kind.as_str()).collect();
    Ok(Finding {
        check: "config",
        place: format!("{} and {}", path.display(), config.mapping.path.display()),
        ok: true,
        what: format!("{} in agreement; {} captured{}", listed(&kinds), listed(&captured), asking(&mapping)),
        remedy: String::new(),
    })
}

/// Where a delete asks a person because nothing says how a record is archived.
fn asking(mapping: &Mapping) -> String {
    let asks =
        |entity: &EntityMapping, side: &Side| entity.delete[*side] == DeletePolicy::Archive && entity.sides[*side].archive.is_empty();
    let places: Vec<String> = mapping
        .entities
        .iter()
        .flat_map(|entity| {
            Side::BOTH.into_iter().filter(|side| asks(entity, side)).map(|side| format!("entity.{}.{}", entity.kind, side.as_str()))
        })
        .collect();
    if places.is_empty() {
        return String::new();
    }
    format!("; a delete asks a person, as no archive columns are named for {}", places.join(", "))
}

fn listed(words: &[&str]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// Looks at everything that any role needs.
///
/// # Errors
/// When the mapping cannot be read.
pub async fn findings(config: &Config) -> anyhow::Result<Vec<Finding>> {
    look(config, &[Role::Ingest, Role::Processors, Role::Sinks, Role::Dashboard].into()).await
}

/// Looks at what some roles need, and refuses to go on when it is not there.
///
/// # Errors
/// One message with all that must be mended, each with where and how.
pub async fn preflight(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<()> {
    let failed: Vec<String> = look(config, roles)
        .await?
        .into_iter()
        .filter(|finding| !finding.ok)
        .map(|finding| format!("{}: {}; mend it: {}", finding.place, finding.what, finding.remedy))
        .collect();
    match failed.as_slice() {
        [] => Ok(()),
        [one] => bail!("{one}"),
        several => bail!("{} things must be mended first (nothing was written):\n  {}", several.len(), several.join("\n  ")),
    }
}

/// Something wrong, with where and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    place: String,
    what: String,
    remedy: String,
    /// It can be lived with: it is said, and keeps nothing from running.
    note: bool,
}

impl Problem {
    fn new(place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), remedy: remedy.into(), note: false }
    }

    /// Something that can be lived with.
    fn note(place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { note: true, ..Self::new(place, what, remedy) }
    }
}

impl From<ingest::erp::Finding> for Problem {
    fn from(finding: ingest::erp::Finding) -> Self {
        Self::new(finding.place, finding.what, finding.remedy)
    }
}

/// Where one looked and what was seen.
#[derive(Debug)]
struct Seen {
    place: String,
    what: String,
}

/// What was seen beside things that can be lived with; or, where something is wrong, all that was found.
fn seen_with(mut found: Vec<Problem>, seen: Seen) -> Looked {
    if found.is_empty() {
        return Ok(seen);
    }
    if found.iter().all(|problem| problem.note) {
        found.push(Problem::note(seen.place, seen.what, ""));
    }
    Err(found)
}

/// What was seen, or what is wrong; an empty list where another look says it.
type Looked = Result<Seen, Vec<Problem>>;

async fn look(config: &Config, roles: &BTreeSet<Role>) -> anyhow::Result<Vec<Finding>> {
    let mapping = mapping(config)?;
    let has = |any: &[Role]| any.iter().any(|role| roles.contains(role));
    let mut looks: Vec<BoxFuture<'_, Vec<Finding>>> = Vec::new();
    if has(&[Role::Ingest]) {
        looks.push(bounded("erp.read", erp::place(config), erp::reading(config)).boxed());
    }
    if has(&[Role::Sinks]) {
        // What the reader has seen already is not said twice.
        let read_too = has(&[Role::Ingest]);
        looks.push(
            bounded(
                "erp.write",
                erp::place(config),
                erp::writing(config, needs::placed(needs::of(&mapping, Side::Erp), &mapping, config), read_too),
            )
            .boxed(),
        );
    }
    if has(&[Role::Sinks]) && rows::any(&mapping) {
        looks.push(bounded("erp.rows", erp::place(config), rows::look(config, &mapping)).boxed());
    }
    if has(&[Role::Ingest, Role::Sinks]) {
        let events_too = has(&[Role::Ingest]);
        looks.push(
            bounded(
                "crm",
                crm::place(config),
                crm::look(config, needs::placed(needs::of(&mapping, Side::Crm), &mapping, config), events_too),
            )
            .boxed(),
        );
    }
    if has(&[Role::Sinks, Role::Dashboard]) {
        looks.push(bounded("read_model", read_model::place(&config.read_model), read_model::look(&config.read_model)).boxed());
    }
    if has(&[Role::Dashboard]) {
        looks.push(bounded("dashboard", "[dashboard]".to_owned(), async { dashboard(config) }).boxed());
    }
    looks.push(bounded("log", log::place(&config.log), log::look(&config.log)).boxed());
    if config.log.registry.url.is_some() {
        looks.push(bounded("registry", log::registry_place(&config.log), log::registry(&config.log)).boxed());
    }
    let found = join_all(looks).await.concat();
    // Two looks may meet the same fault.
    let mut said = BTreeSet::new();
    Ok(found.into_iter().filter(|finding| said.insert((finding.place.clone(), finding.what.clone()))).collect())
}

fn mapping(config: &Config) -> anyhow::Result<Mapping> {
    processors::mapping_file::parse(&config.mapping.text)
        .map_err(|error| anyhow::anyhow!("in the mapping {}: {error}", config.mapping.path.display()))
}

async fn bounded(check: &'static str, place: String, look: impl Future<Output = Looked>) -> Vec<Finding> {
    within(PATIENCE, check, place, look).await
}

async fn within(patience: Duration, check: &'static str, place: String, look: impl Future<Output = Looked>) -> Vec<Finding> {
    let looked = tokio::time::timeout(patience, look).await.unwrap_or_else(|_| {
        let what = format!("no answer within {}", humantime::format_duration(patience));
        Err(vec![Problem::new(place, what, "see that it runs and can be reached from here")])
    });
    match looked {
        Ok(Seen { place, what }) => vec![Finding { check, place, ok: true, what, remedy: String::new() }],
        Err(problems) => {
            problems.into_iter().map(|Problem { place, what, remedy, note }| Finding { check, place, ok: note, what, remedy }).collect()
        }
    }
}

fn dashboard(config: &Config) -> Looked {
    let place = "[dashboard]".to_owned();
    match config.dashboard.check() {
        Ok(()) => Ok(Seen { place, what: format!("listens on {}", config.dashboard.listen) }),
        Err(error) => Err(vec![Problem::new(place, error.to_string(), "correct the setting")]),
    }
}

/// Whether `host:port` of an address can be said, without name and password.
fn address(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = after_scheme.rsplit_once('@').map_or(after_scheme, |(_, place)| place);
    place.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_said_without_name_and_password() {
        assert_eq!(address("postgres://sam:s@crit@db.example:6432/erp?sslmode=require"), "db.example:6432/erp");
        assert_eq!(address("db.example"), "db.example");
    }

    #[tokio::test]
    async fn a_look_without_an_answer_ends_and_says_so() {
        let findings = within(Duration::from_millis(1), "log", "the log".to_owned(), std::future::pending()).await;
        assert_eq!(findings.len(), 1);
        assert!(!findings[0].ok && findings[0].what == "no answer within 1ms", "{findings:?}");
    }

    #[test]
    fn a_finding_is_one_line() {
        let finding = |ok, remedy: &str| Finding {
            check: "log",
            place: "Kafka at k:1".to_owned(),
            ok,
            what: "it is there".to_owned(),
            remedy: remedy.to_owned(),
        };
        assert_eq!(finding(true, "").to_string(), "ok      log         Kafka at k:1: it is there");
        assert_eq!(finding(true, "two of them").to_string(), "note    log         Kafka at k:1: it is there; better: two of them");
        assert_eq!(finding(false, "start it").to_string(), "FAILED  log         Kafka at k:1: it is there; mend it: start it");
    }
}
