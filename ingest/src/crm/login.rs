//! Access tokens: one sign-in at a time, renewed before they grow old and whenever Salesforce refuses one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::clock;
use super::config::{Auth, Config, pem};
use super::error::{Error, Result};
use super::fault::{self, Fault};
use super::ids;

/// What a sign-in gives.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) token: String,
    pub(crate) instance_url: String,
    /// Id of the org, which Pub/Sub calls the tenant.
    pub(crate) org: String,
    /// Id of the user we sign in as, where the answer says it.
    pub(crate) user: Option<String>,
    since: Instant,
}

/// Signs in and remembers the token. Shared by REST and Pub/Sub.
pub(crate) struct Login {
    http: reqwest::Client,
    url: String,
    auth: Auth,
    audience: String,
    lifetime: Duration,
    current: Mutex<Option<Arc<Access>>>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
}

/// The service takes at most five minutes.
const ASSERTION_SECONDS: i64 = 180;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    instance_url: String,
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Login {
    pub(crate) fn new(config: &Config, http: reqwest::Client) -> Self {
        let audience = match &config.auth {
            Auth::Jwt { audience: Some(audience), .. } => audience.clone(),
            _ => config.login_url.trim_end_matches('/').to_owned(),
        };
        Self {
            http,
            url: format!("{}/services/oauth2/token", config.login_url.trim_end_matches('/')),
            auth: config.auth.clone(),
            audience,
            lifetime: Duration::from_millis(config.token_lifetime_ms),
            current: Mutex::new(None),
        }
    }

    /// A token to use now. Whoever asks while another is signing in waits for that one.
    pub(crate) async fn access(&self) -> Result<Arc<Access>> {
        let mut current = self.current.lock().await;
        if let Some(access) = current.as_ref().filter(|access| access.since.elapsed() < self.lifetime) {
            return Ok(access.clone());
        }
        let access = Arc::new(self.sign_in().await?);
        tracing::info!(crm.org = %access.org, crm.instance = %access.instance_url, "signed in to salesforce");
        *current = Some(access.clone());
        Ok(access)
    }

    /// Forgets a token that was refused, unless it has been replaced already.
    pub(crate) async fn reject(&self, refused: &Arc<Access>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|access| Arc::ptr_eq(access, refused)) {
            *current = None;
        }
    }

    async fn sign_in(&self) -> Result<Access> {
        let form = match &self.auth {
            Auth::Jwt { client_id, username, private_key, .. } => {
                vec![
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
                    ("assertion", self.assertion(client_id, username, private_key.reveal())?),
                ]
            }
            Auth::ClientCredentials { client_id, client_secret } => {
                vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_id", client_id.clone()),
                    ("client_secret", client_secret.reveal().to_owned()),
                ]
            }
        };
        let failed = |error: reqwest::Error| Error::Request { doing: format!("signing in at {}", self.url), reason: chain(&error) };
        let response = self.http.post(&self.url).form(&form).send().await.map_err(failed)?;
        let status = response.status();
        let body = response.bytes().await.map_err(failed)?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &body));
        }
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|error| Error::Answer { doing: format!("signing in at {}", self.url), reason: error.to_string() })?;
        // `id` ends in `/id/<org>/<user>`; a token begins with the org's id.
        let mut parts = granted.id.rsplit('/');
        let user = parts.next().filter(|user| user.starts_with("005")).map(ids::long_id);
        let org = parts.next().filter(|org| org.starts_with("00D")).or_else(|| granted.access_token.split_once('!').map(|(org, _)| org));
        Ok(Access {
            org: org.unwrap_or_default().to_owned(),
            user,
            instance_url: granted.instance_url.trim_end_matches('/').to_owned(),
            token: granted.access_token,
            since: Instant::now(),
        })
    }

    fn assertion(&self, client_id: &str, username: &str, key: &str) -> Result<String> {
        let wrong =
            |error: jsonwebtoken::errors::Error| Error::Configure(format!("auth.private_key is not an RSA private key in PEM: {error}"));
        let key = EncodingKey::from_rsa_pem(pem("auth.private_key", key)?.as_bytes()).map_err(wrong)?;
        let claims =
            Claims { iss: client_id, sub: username, aud: &self.audience, exp: clock::now_micros() / 1_000_000 + ASSERTION_SECONDS };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map_err(wrong)
    }

    fn refused(&self, status: u16, body: &[u8]) -> Error {
        let refused: Refused = serde_json::from_slice(body).unwrap_or(Refused { error: String::new(), error_description: String::new() });
        let (fault, remedy) = if refused.error.is_empty() && (status == 429 || status >= 500) {
            (Fault::Passing, "nothing; Salesforce is busy for the moment")
        } else {
            fault::of_login(&refused.error, &refused.error_description)
        };
        let reason = match (refused.error.as_str(), refused.error_description.as_str()) {
            ("", _) => format!("HTTP {status}"),
            (error, "") => error.to_owned(),
            (error, description) => format!("{error}: {description}"),
        };
        Error::SignIn { url: self.url.clone(), reason, fault, remedy }
    }
}

/// An error with its causes, for errors whose own text leaves them out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
