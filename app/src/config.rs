//! One configuration for everything: the file, then the environment, checked before anything starts.
//!
//! Sections belong to the crates that read them; this puts them together. A setting `x` may come from a file as
//! `x_file = "/run/secrets/x"`, or from the environment as `CONCORD__SECTION__X`. Unknown keys are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use reconcile::mapping::{Mapping, Side};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use toml::{Table, Value};

/// The commented default file; `app/concord.toml` in the sources.
pub const DEFAULT: &str = include_str!("../concord.toml");

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the log is.
    pub log: stream::Config,
    /// What corresponds to what.
    pub mapping: MappingSource,
    /// Folder for state that can be rebuilt.
    pub state_dir: PathBuf,
    /// Reading the ERP.
    pub capture_erp: ingest::erp::Config,
    /// Reading Salesforce.
    pub capture_crm: ingest::crm::Config,
    /// Writing the ERP.
    pub write_erp: sinks::erp::Config,
    /// Writing Salesforce.
    pub write_crm: sinks::crm::Config,
    /// Filling the read model.
    pub read_model: sinks::readmodel::Config,
    /// Processors.
    pub processors: processors::Config,
    /// Pages.
    pub dashboard: dashboard::Config,
}

/// Where the mapping came from and what it says.
#[derive(Debug, Clone)]
pub struct MappingSource {
    /// File.
    pub path: PathBuf,
    /// Text.
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    mapping: PathBuf,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    log: Table,
    erp: Erp,
    crm: Crm,
    read_model: Table,
    #[serde(default)]
    processors: Table,
    dashboard: Table,
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("state")
}

/// The ERP's connection, and what only its reader or its writer needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Erp {
    url: String,
    #[serde(default)]
    capture: Table,
    #[serde(default)]
    write: Table,
}

/// Salesforce's connection, and what only its reader or its writer needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crm {
    login_url: String,
    #[serde(default = "default_api_version")]
    api_version: String,
    pubsub_endpoint: Option<String>,
    client_id: String,
    /// With this, client credentials.
    client_secret: Option<String>,
    /// With these, a JWT that we sign.
    username: Option<String>,
    private_key: Option<String>,
    audience: Option<String>,
    /// Certificate authorities to trust besides the public ones, PEM.
    ca: Option<String>,
    #[serde(default)]
    capture: Table,
    #[serde(default)]
    write: Table,
}

fn default_api_version() -> String {
    "66.0".to_owned()
}

impl Crm {
    /// The settings of reader and writer.
    fn split(
        self,
        objects: Vec<String>,
        write_fields: BTreeMap<String, String>,
    ) -> anyhow::Result<(ingest::crm::Config, sinks::crm::Config)> {
        let (mut capture, mut write) = (self.capture, self.write);
        let audience = self.audience.unwrap_or_else(|| self.login_url.clone());
        let (reader, writer) = match (self.client_secret, self.username, self.private_key) {
            (Some(secret), None, None) => (
                json!({"flow": "client_credentials", "client_id": self.client_id, "client_secret": secret}),
                json!({"grant": "client_credentials", "client_id": self.client_id, "client_secret": secret}),
            ),
            (None, Some(username), Some(key)) => (
                json!({"flow": "jwt", "client_id": self.client_id, "username": username, "private_key": key, "audience": audience}),
                json!({"grant": "jwt_bearer", "client_id": self.client_id, "username": username, "private_key_pem": key, "audience": audience}),
            ),
            _ => bail!("[crm] needs either client_secret (client credentials), or username and private_key (JWT bearer)"),
        };
        let version = self.api_version.trim_start_matches('v').to_owned();
        capture.insert("auth".to_owned(), Value::try_from(reader)?);
        capture.insert("objects".to_owned(), Value::try_from(objects)?);
        capture.insert("write_fields".to_owned(), Value::try_from(write_fields)?);
        capture.insert("login_url".to_owned(), self.login_url.clone().into());
        capture.insert("api_version".to_owned(), format!("v{version}").into());
        write.insert("auth".to_owned(), Value::try_from(writer)?);
        write.insert("login_url".to_owned(), self.login_url.into());
        write.insert("api_version".to_owned(), version.into());
        if let Some(endpoint) = self.pubsub_endpoint {
            capture.insert("pubsub_endpoint".to_owned(), endpoint.into());
        }
        if let Some(pem) = self.ca {
            capture.insert("root_certificate".to_owned(), pem.clone().into());
            write.insert("ca_pem".to_owned(), pem.into());
        }
        Ok((section("crm", capture)?, section("crm", write)?))
    }
}

impl Config {
    /// Reads and checks the file, with what the environment adds.
    ///
    /// # Errors
    /// One message that says what is wrong, where, and how to mend it.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read the configuration {}; write one (see `concord run --help`) or name another with --config", path.display())
        })?;
        let mut table: Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
        from_environment(&mut table, std::env::vars())?;
        from_files(&mut table)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::from_table(table, folder).with_context(|| format!("in the configuration {}", path.display()))
    }

    fn from_table(table: Table, folder: &Path) -> anyhow::Result<Self> {
        let sections: Sections = Value::Table(table).try_into()?;
        let path = folder.join(&sections.mapping);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read the mapping {}; correct `mapping`", path.display()))?;
        let mapping =
            processors::mapping_file::parse(&text).map_err(|error| anyhow::anyhow!("in the mapping {}: {error}", path.display()))?;
        let mut capture_erp = sections.erp.capture;
        capture_erp.insert("url".to_owned(), sections.erp.url.clone().into());
        capture_erp.insert("tables".to_owned(), Value::try_from(objects(&mapping, Side::Erp))?);
        let mut write_erp = sections.erp.write;
        if let Some(origin) = write_erp.get("origin") {
            capture_erp.insert("origin".to_owned(), origin.clone());
        }
        write_erp.insert("url".to_owned(), sections.erp.url.into());
        let (capture_crm, write_crm) = sections.crm.split(objects(&mapping, Side::Crm), write_fields(&mapping))?;
        let mut dashboard_section = sections.dashboard;
        let read_model_url = sections
            .read_model
            .get("url")
            .cloned()
            .context("[read_model] has no url; set url = \"postgres://user:password@host/database\"")?;
        dashboard_section.entry("database_url").or_insert(read_model_url);
        let mut read_model = sections.read_model;
        let captured: Vec<_> =
            mapping.captured.iter().map(|captured| json!({"side": captured.side.as_str(), "object": captured.object})).collect();
        let titles: serde_json::Map<_, _> =
            mapping.entities.iter().map(|entity| (entity.kind.clone(), entity.title.clone().into())).collect();
        read_model.insert("source_objects".to_owned(), Value::try_from(captured)?);
        read_model.insert("titles".to_owned(), Value::try_from(titles)?);
        let mut log: stream::Config = section("log", sections.log)?;
        log.path = folder.join(log.path);
        Ok(Self {
            log,
            mapping: MappingSource { path, text },
            state_dir: folder.join(sections.state_dir),
            capture_erp: section("erp", capture_erp)?,
            capture_crm,
            write_erp: section("erp", write_erp)?,
            write_crm,
            read_model: section("read_model", read_model)?,
            processors: section("processors", sections.processors)?,
            dashboard: section("dashboard", dashboard_section)?,
        })
    }
}

/// The field of each Salesforce object that takes the ids of writes.
fn write_fields(mapping: &Mapping) -> BTreeMap<String, String> {
    let sides = mapping.entities.iter().map(|entity| &entity.sides.crm);
    sides.filter_map(|own| Some((own.object.clone(), own.write_column.clone()?))).collect()
}

/// Objects or tables of one side that the mapping reads.
pub fn objects(mapping: &Mapping, side: Side) -> Vec<String> {
    let entities = mapping.entities.iter().map(|entity| entity.sides[side].object.clone());
    let beside = mapping.entities.iter().flat_map(|entity| entity.sides[side].rows.values()).map(|row| row.table.clone());
    let captured = mapping.captured.iter().filter(|captured| captured.side == side).map(|captured| captured.object.clone());
    let mut names: Vec<String> = entities.chain(beside).chain(captured).collect();
    names.sort();
    names.dedup();
    names
}

fn section<T: DeserializeOwned>(name: &str, table: Table) -> anyhow::Result<T> {
    Value::Table(table).try_into().with_context(|| format!("in section [{name}]"))
}

/// `CONCORD__ERP__URL` sets `url` in `[erp]`; deeper levels likewise. Numbers and booleans are read as such.
fn from_environment(table: &mut Table, variables: impl Iterator<Item = (String, String)>) -> anyhow::Result<()> {
    let mut variables: Vec<_> =
        variables.filter_map(|(name, value)| Some((name.strip_prefix("CONCORD__")?.to_lowercase(), value))).collect();
    variables.sort();
    for (name, text) in variables {
        let mut at = &mut *table;
        let mut path: Vec<&str> = name.split("__").collect();
        let Some(last) = path.pop() else { continue };
        for step in path {
            let Some(next) = at.entry(step).or_insert_with(|| Value::Table(Table::new())).as_table_mut() else {
                bail!("the environment variable CONCORD__{} goes through `{step}`, which is not a section", name.to_uppercase());
            };
            at = next;
        }
        let value = match text.as_str() {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            number if number.parse::<i64>().is_ok() && !number.starts_with('0') => Value::Integer(number.parse()?),
            _ => Value::String(text),
        };
        at.insert(last.to_owned(), value);
    }
    Ok(())
}

/// `x_file = "path"` becomes `x` with the file's text, white space at its ends removed.
fn from_files(table: &mut Table) -> anyhow::Result<()> {
    let names: Vec<String> = table.keys().cloned().collect();
    for name in names {
        if let Some(inner) = table.get_mut(&name).and_then(Value::as_table_mut) {
            from_files(inner)?;
        } else if let Some(target) = name.strip_suffix("_file") {
            let Some(Value::String(path)) = table.remove(&name) else { bail!("`{name}` must be the path of a file") };
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}, named by `{name}`"))?;
            table.insert(target.to_owned(), Value::String(text.trim().to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_reaches_every_section() {
        let mut table: Table = "[erp]\nurl = \"postgres://a\"\n".parse().expect("toml");
        let variables = [("CONCORD__ERP__URL", "postgres://b"), ("CONCORD__LOG__PARTITIONS", "8"), ("PATH", "/bin")];
        from_environment(&mut table, variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()))).expect("read");
        assert_eq!(table["erp"]["url"].as_str(), Some("postgres://b"));
        assert_eq!(table["log"]["partitions"].as_integer(), Some(8));
    }

    #[test]
    fn a_secret_may_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hunter2\n").expect("written");
        let mut table: Table = format!("[erp]\npassword_file = \"{}\"\n", file.path().display()).parse().expect("toml");
        from_files(&mut table).expect("read");
        assert_eq!(table["erp"]["password"].as_str(), Some("hunter2"));
        assert!(table["erp"].get("password_file").is_none());
    }
}
