//! A Confluent-compatible registry over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};

use super::Registry;
use crate::error::Error;
use crate::log::Result;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How a registry knows us.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum RegistryAuth {
    /// It does not ask.
    #[default]
    None,
    /// User name (or API key) and password.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// A bearer token.
    Bearer(String),
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(***)",
            Self::Bearer(_) => "Bearer(***)",
        })
    }
}

/// A registry at a URL.
#[derive(Debug, Clone)]
pub struct HttpRegistry {
    url: String,
    settings: SrSettings,
}

impl HttpRegistry {
    /// A registry that asks for nothing, for example at `http://127.0.0.1:8081`. Nothing is called yet.
    ///
    /// # Errors
    /// [`Error::Refused`] when no HTTP client can be made of this.
    pub fn new(url: &str) -> Result<Self> {
        Self::with_auth(url, &RegistryAuth::None)
    }

    /// A registry that asks who we are.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_auth(url: &str, auth: &RegistryAuth) -> Result<Self> {
        // reqwest is built without a provider of its own; a process may have chosen one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let url = url.trim_end_matches('/').to_owned();
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Error::Refused {
                doing: format!("the schema registry {url:?}"),
                reason: "registry.url must begin with http:// or https://".into(),
            });
        }
        let mut builder = SrSettings::new_builder(url.clone());
        builder.set_timeout(TIMEOUT);
        match auth {
            RegistryAuth::None => {}
            RegistryAuth::Basic { user, password } => drop(builder.set_basic_authorization(user, Some(password))),
            RegistryAuth::Bearer(token) => drop(builder.set_token_authorization(token)),
        }
        let settings =
            builder.build().map_err(|error| Error::Refused { doing: format!("the schema registry {url}"), reason: error.to_string() })?;
        Ok(Self { url, settings })
    }

    fn error(&self, doing: &str, subject: &str, error: &SRCError) -> Error {
        let answer = std::error::Error::source(error).and_then(|source| source.downcast_ref::<RawError>());
        let reason = match (answer, &error.cause) {
            (Some(answer), _) if answer.error_code != 0 => answer.message.clone(),
            (_, Some(cause)) => format!("{}: {cause}", error.error),
            (_, None) => error.error.clone(),
        };
        let status = answer.map(|answer| if answer.error_code >= 1000 { answer.error_code / 100 } else { answer.error_code });
        match status {
            Some(409 | 422) => Error::Schema { subject: subject.to_owned(), reason },
            Some(status @ 400..500) => Error::Refused { doing: format!("{doing} at {} ({status})", self.url), reason },
            // The client tells a status whose body it could not read only in its text.
            Some(0) if ["401", "403", "404"].iter().any(|status| error.error.contains(status)) => Error::Refused {
                doing: format!("{doing} at {}", self.url),
                reason: format!("{reason}; check registry.url and its credentials"),
            },
            _ => Error::Unavailable { doing: format!("{doing} at {}", self.url), reason },
        }
    }
}

#[async_trait]
impl Registry for HttpRegistry {
    async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered = post_schema(&self.settings, subject.to_owned(), supplied).await;
        Ok(registered.map_err(|error| self.error("registering a schema", subject, &error))?.id)
    }

    async fn schema(&self, id: u32) -> Result<Arc<str>> {
        let found = get_schema_by_id(id, &self.settings).await;
        Ok(found.map_err(|error| self.error("looking up a schema", &format!("schema id {id}"), &error))?.schema.into())
    }
}
