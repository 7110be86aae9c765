//! What the dashboard needs to be told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
pub use stream::Secret;

use crate::auth::Scope;
use crate::error::{Error, Result};

/// Where the administrator's password comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PasswordSource {
    /// The password itself.
    Plain(Secret),
    /// An argon2 hash of it, as `$argon2id$…`.
    Hash(Secret),
    /// A file that holds it; white space at its ends is ignored.
    File(PathBuf),
    /// An environment variable that holds it.
    Env(String),
}

/// A token that programs send as `Authorization: Bearer …`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// Who uses it; stands as the actor of what it does.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The token; at least 16 characters.
    pub token: Secret,
}

/// Settings of the dashboard.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The read model, `postgres://…`.
    pub database_url: Secret,
    /// The administrator's password.
    pub admin_password: PasswordSource,
    /// Tokens for programs.
    #[serde(default)]
    pub api_tokens: Vec<ApiToken>,
    /// The address people use, when a proxy stands in front: `https://concord.example.com`.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Whether the routes of `extra` (the schema registry's) are served without a sign-in. When not said: only on a
    /// loopback address.
    #[serde(default)]
    pub extra_open: Option<bool>,
    /// How long a sign-in lasts.
    #[serde(default = "default_session_hours")]
    pub session_hours: u32,
}

fn default_listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7400)
}

fn default_session_hours() -> u32 {
    12
}

/// The name that the one local administrator acts under.
pub(crate) const ADMIN: &str = "admin";
const MIN_TOKEN: usize = 16;

impl Config {
    /// Settings with every default, for a database and a password.
    pub fn new(database_url: Secret, admin_password: PasswordSource) -> Self {
        Self {
            listen: default_listen(),
            database_url,
            admin_password,
            api_tokens: Vec::new(),
            public_url: None,
            extra_open: None,
            session_hours: default_session_hours(),
        }
    }

    /// Looks at everything that can be judged without connecting to anything.
    ///
    /// # Errors
    /// [`Error::Config`], with the setting and how to mend it.
    pub fn check(&self) -> Result<()> {
        let wrong = |setting: &'static str, reason: String| Err(Error::Config { setting, reason });
        for token in &self.api_tokens {
            if token.token.reveal().len() < MIN_TOKEN {
                return wrong(
                    "api_tokens",
                    format!("the token of `{}` is shorter than {MIN_TOKEN} characters; take a random one", token.name),
                );
            }
            if token.name.is_empty() {
                return wrong("api_tokens", "a token has no name; say who uses it".into());
            }
        }
        if let Some(url) = &self.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return wrong("public_url", format!("`{url}` must begin with https:// or http://"));
        }
        if self.session_hours == 0 {
            return wrong("session_hours", "must be at least 1".into());
        }
        Ok(())
    }

    /// True when browsers reach us by TLS only.
    pub(crate) fn https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

impl PasswordSource {
    /// The password or its hash, read from where it stands.
    pub(crate) fn read(&self) -> Result<Password> {
        let wrong = |reason: String| Error::Config { setting: "admin_password", reason };
        let plain = match self {
            Self::Hash(hash) => return Ok(Password::Hash(hash.clone())),
            Self::Plain(secret) => secret.reveal().to_owned(),
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?,
            Self::Env(name) => std::env::var(name).map_err(|_| wrong(format!("the environment variable {name} is not set")))?,
        };
        let plain = plain.trim();
        if plain.is_empty() {
            return Err(wrong("the password is empty; give one".into()));
        }
        Ok(Password::Plain(Secret::new(plain)))
    }
}

/// What [`PasswordSource::read`] found.
pub(crate) enum Password {
    Plain(Secret),
    Hash(Secret),
}
