//! Settings of one Salesforce org.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::{Error, Result};
use crate::erp::Secret;

/// How we sign in. Both flows act as one integration user and need no person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "flow")]
pub enum Auth {
    /// JWT bearer: the connected app holds our certificate.
    Jwt {
        /// Consumer key of the connected app.
        client_id: String,
        /// User name of the integration user.
        username: String,
        /// RSA private key in PEM, or the path of a file with it.
        private_key: Secret,
        /// Whom the assertion is for; none means `login_url`.
        #[serde(default)]
        audience: Option<String>,
    },
    /// Client credentials: the connected app names the user to act as. `login_url` must be the My Domain.
    ClientCredentials {
        /// Consumer key of the connected app.
        client_id: String,
        /// Consumer secret of the connected app.
        client_secret: Secret,
    },
}

impl Default for Auth {
    fn default() -> Self {
        Self::ClientCredentials { client_id: String::new(), client_secret: Secret::default() }
    }
}

/// Which event channel is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// `/data/ChangeEvents`: all selected objects in commit order.
    #[default]
    All,
    /// One stream per object, each a source of its own named `<name>.<object>`. A missing permission is then refused
    /// instead of being passed over in silence, but there is no order among objects.
    PerObject,
    /// A custom channel by its API name, such as `Concord__chn`.
    Custom(String),
}

/// How one org is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the source: the key of its checkpoint, and a part of each change's source.
    pub name: String,
    /// Where we sign in: `https://login.salesforce.com`, `https://test.salesforce.com` or the My Domain.
    pub login_url: String,
    /// How we sign in.
    pub auth: Auth,
    /// REST version.
    pub api_version: String,
    /// `host:port` of the Pub/Sub API; TLS always.
    pub pubsub_endpoint: String,
    /// One more root certificate in PEM, or the path of a file with it: for a proxy, or the simulator.
    pub root_certificate: Option<String>,
    /// API names of the objects to follow.
    pub objects: Vec<String>,
    /// The field of each object that takes the ids of our writes. It is read before the others, so that no row names a write
    /// that it does not show.
    pub write_fields: BTreeMap<String, String>,
    /// Which event channel is read.
    pub channel: Channel,
    /// Events asked for at a time, at most 100 (the service's own limit).
    pub credit: u32,
    /// At most so many events in one log transaction.
    pub batch_events: usize,
    /// Rows per page of a copy, at most 2,000.
    pub page_rows: usize,
    /// Without a response for so long, keepalives included, the stream counts as dead. The service promises one every
    /// 270 s and usually sends one a minute.
    pub silence_timeout_ms: u64,
    /// First pause after a passing fault; it doubles with each one, with jitter.
    pub backoff_min_ms: u64,
    /// Longest pause after a passing fault.
    pub backoff_max_ms: u64,
    /// Pause while a person has to mend something, or an allocation is used up.
    pub pause_ms: u64,
    /// Sign in again when the access token is this old.
    pub token_lifetime_ms: u64,
    /// Give up a REST call after so long.
    pub request_timeout_ms: u64,
    /// Health is written on every change and this often.
    pub health_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "crm".to_owned(),
            login_url: "https://login.salesforce.com".to_owned(),
            auth: Auth::default(),
            api_version: "v66.0".to_owned(),
            pubsub_endpoint: "api.pubsub.salesforce.com:443".to_owned(),
            root_certificate: None,
            objects: Vec::new(),
            write_fields: BTreeMap::new(),
            channel: Channel::All,
            credit: MAX_CREDIT,
            batch_events: 500,
            page_rows: 2_000,
            silence_timeout_ms: 150_000,
            backoff_min_ms: 250,
            backoff_max_ms: 30_000,
            pause_ms: 30_000,
            token_lifetime_ms: 3_600_000,
            request_timeout_ms: 120_000,
            health_interval_ms: 10_000,
        }
    }
}

/// More credit than this the service counts as this.
pub(crate) const MAX_CREDIT: u32 = 100;

impl Config {
    /// Finds settings that cannot be meant.
    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Configure(what.to_owned()));
        if !self.login_url.starts_with("https://") && !self.login_url.starts_with("http://") {
            return wrong("login_url must begin with https://");
        }
        let version = self
            .api_version
            .strip_prefix('v')
            .and_then(|version| version.strip_suffix(".0"))
            .and_then(|version| version.parse::<u32>().ok());
        if version.is_none() {
            return wrong("api_version must look like v66.0");
        }
        if let Some(name) = self.objects.iter().find(|name| !is_name(name)) {
            return wrong(&format!("objects: {name:?} is not an API name"));
        }
        if self.objects.is_empty() {
            return wrong("objects names nothing to follow");
        }
        match &self.auth {
            Auth::Jwt { client_id, .. } | Auth::ClientCredentials { client_id, .. } if client_id.is_empty() => {
                return wrong("auth.client_id is empty");
            }
            Auth::Jwt { username, .. } if username.is_empty() => return wrong("auth.username is empty"),
            Auth::Jwt { .. } | Auth::ClientCredentials { .. } => {}
        }
        Ok(())
    }

    /// The event topic of the whole source; none where each object has its own.
    pub(crate) fn topic(&self) -> Option<String> {
        match &self.channel {
            Channel::All => Some("/data/ChangeEvents".to_owned()),
            Channel::Custom(name) => Some(format!("/data/{}", name.trim_start_matches("/data/"))),
            Channel::PerObject => None,
        }
    }
}

/// Letters, digits and underscores, so that it can stand in a query.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// PEM text, given as itself or as the path of a file.
pub(crate) fn pem(setting: &str, value: &str) -> Result<String> {
    if value.contains("-----BEGIN ") {
        return Ok(value.to_owned());
    }
    std::fs::read_to_string(Path::new(value))
        .map_err(|error| Error::Configure(format!("{setting}: cannot read the file {value:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn secrets_print_as_stars() {
        let config =
            config(r#"{"auth":{"flow":"client_credentials","client_id":"id","client_secret":"hunter2"}}"#).expect("a configuration");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(config(r#"{"login":"x"}"#).expect_err("refused").contains("login"));
        assert!(config(r#"{"auth":{"flow":"jwt","client_id":"a","username":"b","private_key":"c","password":"d"}}"#).is_err());
    }

    #[test]
    fn a_channel_is_a_word_or_a_name() {
        let topic = |json| config(json).map(|config| config.topic());
        assert_eq!(topic("{}"), Ok(Some("/data/ChangeEvents".to_owned())));
        assert_eq!(topic(r#"{"channel":"per_object"}"#), Ok(None));
        assert_eq!(topic(r#"{"channel":{"custom":"Concord__chn"}}"#), Ok(Some("/data/Concord__chn".to_owned())));
    }

    #[test]
    fn names_that_could_not_stand_in_a_query_are_refused() {
        let config = Config { objects: vec!["Account; DROP".to_owned()], ..Config::default() };
        assert!(matches!(config.validate(), Err(Error::Configure(reason)) if reason.contains("API name")));
    }
}
