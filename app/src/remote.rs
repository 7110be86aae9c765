//! The running dashboard, as commands speak to it: one way for every log, and the same checks of scopes as for pages.
//!
//! The embedded log has one process; only that one can put a decision on it. So commands ask the dashboard's API, on whatever
//! machine it runs, with a token of the configuration (`[[dashboard.api_tokens]]`).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value as Json;

use crate::config::Config;

/// Where the dashboard is, and what we may do there.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The configuration file: it says where the dashboard listens, and holds its tokens.
    #[arg(long, short, env = "CONCORD_CONFIG", default_value = "concord.toml")]
    pub config: PathBuf,
    /// Address of the running dashboard, when it is not the configuration's.
    #[arg(long, env = "CONCORD_URL")]
    pub url: Option<String>,
    /// API token, when it is not the configuration's; it says who decides.
    #[arg(long, env = "CONCORD_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the dashboard's API.
#[derive(Debug, Clone)]
pub struct Remote {
    http: Client,
    url: String,
    token: String,
}

impl Connection {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// When address or token are neither given nor in the configuration.
    pub fn open(&self) -> anyhow::Result<Remote> {
        let (url, token) = match (&self.url, &self.token) {
            (Some(url), Some(token)) => (url.clone(), token.clone()),
            (url, token) => {
                let config = Config::load(&self.config).context(
                    "reading where the dashboard is; give --url and --token (or CONCORD_URL and CONCORD_TOKEN) to do without the configuration",
                )?;
                let url = match url {
                    Some(url) => url.clone(),
                    None => address(&config.dashboard)?,
                };
                let token = match token {
                    Some(token) => token.clone(),
                    None => strongest(&config.dashboard)?,
                };
                (url, token)
            }
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("`{url}` is no address of a dashboard: it begins with http:// or https://, as in http://127.0.0.1:4710");
        }
        let http = Client::builder().timeout(PATIENCE).build().context("making an HTTP client")?;
        Ok(Remote { http, url: url.trim_end_matches('/').to_owned(), token })
    }
}

fn address(config: &dashboard::Config) -> anyhow::Result<String> {
    if let Some(url) = &config.public_url {
        return Ok(url.clone());
    }
    if config.listen.port() == 0 {
        bail!("the dashboard takes a free port; give its address with --url");
    }
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}"))
}

/// The token of the configuration that may do most.
fn strongest(config: &dashboard::Config) -> anyhow::Result<String> {
    let token = config.api_tokens.iter().max_by_key(|token| token.scope).context(
        "the configuration has no API token; add [[dashboard.api_tokens]] with name, scope = \"crm.sync\" (or \"crm.admin\") and token, \
         restart the dashboard, or give --token",
    )?;
    Ok(token.token.reveal().to_owned())
}

impl Remote {
    /// `GET /api/crm/…`.
    ///
    /// # Errors
    /// What the dashboard says, with what may help; or that it does not answer.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Json> {
        match self.ask(Method::GET, path, query, None).await? {
            Answer::Found(body) => Ok(body),
            Answer::Missing(why) => bail!("{why}"),
        }
    }

    /// The same; none when there is no such thing.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<Json>> {
        match self.ask(Method::GET, path, &[], None).await? {
            Answer::Found(body) => Ok(Some(body)),
            Answer::Missing(_) => Ok(None),
        }
    }

    /// `POST /api/crm/…`.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn post(&self, path: &str, body: &Json) -> anyhow::Result<Json> {
        match self.ask(Method::POST, path, &[], Some(body)).await? {
            Answer::Found(body) => Ok(body),
            Answer::Missing(why) => bail!("{why}"),
        }
    }

    async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&Json>) -> anyhow::Result<Answer> {
        let url = format!("{}/api/crm/{path}", self.url);
        let mut request = self.http.request(method, &url).bearer_auth(&self.token).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer =
            request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
                format!("the dashboard at {} does not answer; start `concord run`, or name another with --url", self.url)
            })?;
        let status = answer.status();
        let text = answer.text().await.map_err(reqwest::Error::without_url).context("reading the dashboard's answer")?;
        let json: Option<Json> = serde_json::from_str(&text).ok();
        match (status.is_success(), json) {
            (true, Some(body)) => Ok(Answer::Found(body)),
            (false, Some(body)) if body["error"]["message"].is_string() => {
                let part = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
                let why = said(&part("message"), &part("remedy"));
                if status == StatusCode::NOT_FOUND { Ok(Answer::Missing(why)) } else { bail!("{why}") }
            }
            _ => bail!("{} answers {status}, and not as Concord's dashboard does; correct --url", self.url),
        }
    }
}

/// What happened and what to do now, as two sentences.
pub(crate) fn said(message: &str, remedy: &str) -> String {
    let ended = message.is_empty() || message.ends_with(['.', '!', '?', ':']);
    format!("{message}{} {remedy}", if ended { "" } else { "." }).trim().to_owned()
}

enum Answer {
    Found(Json),
    Missing(String),
}

/// A part of an address.
pub fn part(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use dashboard::{ApiToken, PasswordSource, Scope, Secret};

    use super::*;

    #[test]
    fn address_and_token_come_from_the_configuration() {
        let mut config = dashboard::Config::new(Secret::new("postgres://x"), PasswordSource::Plain(Secret::new("x")));
        config.listen = "0.0.0.0:7400".parse().expect("an address");
        assert_eq!(address(&config).expect("an address"), "http://127.0.0.1:7400");
        config.public_url = Some("https://concord.example.com".to_owned());
        assert_eq!(address(&config).expect("an address"), "https://concord.example.com");
        assert!(strongest(&config).is_err());
        config.api_tokens = [("reads", Scope::Read), ("runs", Scope::Admin), ("syncs", Scope::Sync)]
            .map(|(name, scope)| ApiToken { name: name.to_owned(), scope, token: Secret::new(format!("token of {name}")) })
            .to_vec();
        assert_eq!(strongest(&config).expect("a token"), "token of runs");
    }

    #[test]
    fn what_happened_and_what_to_do_are_two_sentences() {
        assert_eq!(said("There is no conflict of this id", "See the list."), "There is no conflict of this id. See the list.");
        assert_eq!(said("It was settled.", "Restore it."), "It was settled. Restore it.");
        assert_eq!(said("It is over", ""), "It is over.");
    }

    #[test]
    fn an_address_has_its_scheme() {
        let connection = Connection { config: PathBuf::new(), url: Some("127.0.0.1:4710".into()), token: Some("t".into()) };
        let error = connection.open().expect_err("refused").to_string();
        assert!(error.contains("begins with http://") && error.contains("127.0.0.1:4710"), "{error}");
    }

    #[test]
    fn ids_are_safe_in_an_address() {
        assert_eq!(part("e1~e2:1/é ?"), "e1~e2:1%2F%C3%A9%20%3F");
    }
}
