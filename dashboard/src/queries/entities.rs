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

/// An entity as people tell it from others.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Named {
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let about = format!("{} {}", self.kind, self.title);
        match about.trim() {
            "" => f.write_str(&self.entity),
            about => write!(f, "{} ({about})", self.entity),
        }
    }
}

/// Entities that this names: an entity id, or a record's id on either side. Several when record ids collide.
pub(crate) async fn named(pool: &PgPool, name: &str) -> Result<Vec<Named>> {
    sqlx::query_as(
        "select n.entity, max(n.kind) as kind, coalesce(max(e.title), max(n.title), '') as title from ( \
           select entity, kind, title from entity where entity = $1 \
           union all select entity, kind, null from link where linked and (record = $1 or entity = $1) \
           union all select entity, kind, title from conflict where entity = $1) n \
         left join entity e on e.entity = n.entity group by n.entity order by kind, title, n.entity limit $2",
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
