//! Signing in to Salesforce: one token, asked for once at a time.
//!
//! The token request is a form post with three fields; an adapter from an OAuth library to this HTTP client would be
//! longer than the request itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Auth, Config};
use crate::clock::Clock;
use crate::error::{Error, chain};

const TARGET: &str = "Salesforce";
/// How long an assertion is good for.
const ASSERTION_SECONDS: i64 = 180;

/// A token with where it is good for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) bearer: crate::config::Secret,
    pub(crate) instance: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    instance_url: String,
}

#[derive(Deserialize, Default)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
}

/// Keeps the current token.
pub(crate) struct Tokens {
    http: reqwest::Client,
    url: String,
    auth: Auth,
    clock: Clock,
    current: Mutex<Option<Arc<Token>>>,
}

impl Tokens {
    pub(crate) fn new(config: &Config, http: reqwest::Client, clock: Clock) -> Self {
        let url = format!("{}/services/oauth2/token", config.login_url.trim_end_matches('/'));
        Self { http, url, auth: config.auth.clone(), clock, current: Mutex::new(None) }
    }

    /// The current token, or a new one. Whoever comes while one is being asked for waits for that one.
    pub(crate) async fn get(&self) -> Result<Arc<Token>, Error> {
        let mut current = self.current.lock().await;
        if let Some(token) = &*current {
            return Ok(token.clone());
        }
        let token = Arc::new(self.ask().await?);
        tracing::info!(server = token.instance, "signed in to Salesforce");
        *current = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that was refused, unless a newer one has taken its place.
    pub(crate) async fn refused(&self, token: &Arc<Token>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|known| Arc::ptr_eq(known, token)) {
            *current = None;
        }
    }

    async fn ask(&self) -> Result<Token, Error> {
        let doing = "signing in";
        let assertion;
        let form: Vec<(&str, &str)> = match &self.auth {
            Auth::JwtBearer { client_id, username, private_key_pem, audience } => {
                assertion = self.assertion(client_id, username, private_key_pem.reveal(), audience)?;
                vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)]
            }
            Auth::ClientCredentials { client_id, client_secret } => {
                vec![("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", client_secret.reveal())]
            }
        };
        let reach = |error: reqwest::Error| Error::Reach { target: TARGET, doing, reason: chain(&error.without_url()) };
        let response = self.http.post(&self.url).form(&form).send().await.map_err(reach)?;
        let status = response.status();
        let body = response.bytes().await.map_err(reach)?;
        if status.is_success() {
            let granted: Granted = serde_json::from_slice(&body).map_err(|_| Error::Refused {
                target: TARGET,
                doing,
                code: status.to_string(),
                reason: "the answer holds no token".to_owned(),
            })?;
            return Ok(Token {
                bearer: crate::config::Secret::new(granted.access_token),
                instance: granted.instance_url.trim_end_matches('/').to_owned(),
            });
        }
        let denied: Denied = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(Error::Busy { target: TARGET, doing, reason: format!("HTTP {}", status.as_u16()), after: None });
        }
        Err(Error::Credentials {
            target: TARGET,
            reason: format!("{} {} (HTTP {} from {})", denied.error, denied.error_description, status.as_u16(), self.url),
            remedy: remedy(&denied),
        })
    }

    fn assertion(&self, client_id: &str, username: &str, key: &str, audience: &str) -> Result<String, Error> {
        let setting = |what: String| Error::Setting {
            what,
            remedy: "give the RSA private key of the connected app's certificate, in PEM form".to_owned(),
        };
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(key.as_bytes())
            .map_err(|error| setting(format!("private_key_pem cannot be read: {error}")))?;
        let claims = Claims { iss: client_id, sub: username, aud: audience, exp: (self.clock)() / 1_000_000 + ASSERTION_SECONDS };
        jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256), &claims, &key)
            .map_err(|error| setting(format!("an assertion cannot be signed: {error}")))
    }
}

fn remedy(denied: &Denied) -> String {
    let text = denied.error_description.to_ascii_lowercase();
    match denied.error.as_str() {
        _ if text.contains("approved") => {
            "pre-authorise the connected app for the user's profile or permission set (Manage Connected Apps, Permitted Users)"
        }
        _ if text.contains("client credentials user") => "set a Run As user in the connected app's client credentials flow",
        _ if text.contains("audience") => "set audience to https://login.salesforce.com, or https://test.salesforce.com for a sandbox",
        _ if text.contains("expired") => "check this machine's clock",
        "invalid_client_id" | "invalid_client" => "check client_id (and client_secret) of the connected app",
        "invalid_grant" => "check username, client_id and private key, and that the user is active and may sign in from this address",
        _ => "check the connected app and the user in Salesforce Setup",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_to_change() {
        let check = |error: &str, description: &str, word: &str| {
            let denied = Denied { error: error.to_owned(), error_description: description.to_owned() };
            assert!(remedy(&denied).contains(word), "{}", remedy(&denied));
        };
        check("invalid_grant", "user hasn't approved this consumer", "pre-authorise");
        check("invalid_grant", "no client credentials user enabled", "Run As");
        check("invalid_client", "invalid client credentials", "client_secret");
    }
}
