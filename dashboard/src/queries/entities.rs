//! Entities by whatever a person knows them by.

use serde::Serialize;
use sqlx::PgPool;

use super::reading;
use crate::error::Result;

/// A record that belongs to an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub(crate) struct Link {
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) side: String,
    pub(crate) object: String,
    pub(crate) record: String,
}

const MAX: i64 = 50;

/// Entities that this names: an entity id, or a record's id on either side. Several when record ids collide.
pub(crate) async fn named(pool: &PgPool, name: &str) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "select entity from entity where entity = $1 union select entity from link where linked and (record = $1 or entity = $1) \
         union select entity from conflict where entity = $1 limit $2",
    )
    .bind(name)
    .bind(MAX)
    .fetch_all(pool)
    .await
    .map_err(reading("a record"))
}

/// The records of an entity.
pub(crate) async fn links(pool: &PgPool, entity: &str) -> Result<Vec<Link>> {
    sqlx::query_as(
        "select entity, kind, side, object, record from link where entity = $1 and linked order by side, object, record limit $2",
    )
    .bind(entity)
    .bind(MAX)
    .fetch_all(pool)
    .await
    .map_err(reading("the records of an entity"))
}
