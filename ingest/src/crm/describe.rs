//! What an org says of the fields a mapping names, and a few of its records: for checks before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Config;
use super::error::{Error, Result};
use super::http;
use super::login::Login;
use super::object::Field;
use super::rest::Rest;

/// An org that can be asked.
pub struct Org {
    rest: Rest,
}

impl Org {
    /// Asks with a reader's settings; nothing is sent yet.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(config: &Config) -> Result<Self> {
        config.validate()?;
        let http = http::client(config)?;
        let login = Arc::new(Login::new(config, http.clone()));
        Ok(Self { rest: Rest::new(config, http, login) })
    }

    /// The fields of an object that our user may see, by name.
    ///
    /// # Errors
    /// What the org answers.
    pub async fn fields(&self, object: &str) -> Result<BTreeMap<String, Field>> {
        let described = self.rest.describe(object).await?;
        Ok(described.fields().map(|field| (field.name.clone(), field.clone())).collect())
    }

    /// A few records: the named fields of at most `limit`, as JSON.
    ///
    /// # Errors
    /// What the org answers; a name that is none is refused before anything is sent.
    pub async fn sample(&self, object: &str, fields: &[&str], limit: usize) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        let plain = |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if let Some(odd) = fields.iter().chain([&object]).find(|name| !plain(name)) {
            return Err(Error::Answer { doing: format!("reading a sample of {object}"), reason: format!("{odd} is no name of a field") });
        }
        let query = format!("SELECT {} FROM {object} LIMIT {limit}", fields.join(", "));
        self.rest.query(&format!("to read a sample of {object}"), &query, false).await
    }
}
