//! Schemas by id: register what we write, look up what we read.
//!
//! [`HttpRegistry`] speaks to a Confluent-compatible registry; [`LocalRegistry`] keeps schemas in a compacted topic of
//! the log itself, and [`routes`] serves that one to data teams' clients under the same REST paths.

mod compatibility;
mod http;
mod local;
mod refusal;
pub mod routes;
mod subjects;

use std::sync::Arc;

use async_trait::async_trait;

pub use compatibility::Level;
pub use http::{HttpRegistry, RegistryAuth};
pub use local::LocalRegistry;
pub use refusal::Refusal;
pub use subjects::Registered;

use crate::log::Result;

/// A Confluent-compatible schema registry, remote or our own.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Registers a schema under a subject and returns its id; the same schema always gets the same id.
    /// [`crate::Error::Schema`] when it is not BACKWARD compatible with the latest one.
    async fn register(&self, subject: &str, schema: &str) -> Result<u32>;

    /// The schema text of an id.
    async fn schema(&self, id: u32) -> Result<Arc<str>>;

    /// The registry as one in the log, whose [`routes`] can be served.
    fn local(&self) -> Option<LocalRegistry> {
        None
    }
}
