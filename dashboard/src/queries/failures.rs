//! What did not get across: failed writes and dead letters.

use serde::Serialize;
use sqlx::PgPool;

use super::writes::still_failed;
use super::{At, reading};
use crate::command::Asked;
use crate::error::Result;

/// A write that its target refuses is set aside too; it is one failure, and shown as the write.
macro_rules! not_a_failed_write {
    () => {
        "not exists (select from write w where w.state = 'failed' and convert_to(w.entity, 'UTF8') = d.key and starts_with(d.reason, w.code))"
    };
}

/// A write that its target refuses.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct FailedWrite {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: Option<String>,
    pub(crate) side: String,
    pub(crate) object: String,
    pub(crate) record: Option<String>,
    pub(crate) op: String,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) caused_at: At,
    pub(crate) answered_at: Option<At>,
    /// The edit or decision that it follows from.
    #[serde(skip)]
    pub(crate) sync_id: Option<String>,
    #[serde(skip)]
    action: Option<String>,
    /// The decision that tries it again; a deletion is decided in its conflict.
    #[sqlx(skip)]
    pub(crate) again: Option<Asked>,
}

/// What is set aside of one record: its newest message, and how often that has happened.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct DeadLetter {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) source_topic: String,
    pub(crate) source_partition: i32,
    pub(crate) source_offset: i64,
    pub(crate) component: String,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    pub(crate) at: At,
    #[serde(skip)]
    key: Option<Vec<u8>>,
    /// The record's key on its topic, where that is text.
    #[sqlx(default)]
    pub(crate) record: Option<String>,
    /// What people know the record by.
    #[sqlx(default)]
    pub(crate) title: Option<String>,
    pub(crate) times: i64,
    pub(crate) since: At,
    /// The mapping could not write a value of an entity.
    #[serde(skip)]
    unwritten: bool,
    /// The decision that tries it again, where that may help.
    #[sqlx(skip)]
    pub(crate) again: Option<Asked>,
}

/// Both, newest first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failures {
    pub(crate) writes: Vec<FailedWrite>,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

/// At most `limit` of each.
pub(crate) async fn latest(pool: &PgPool, limit: i64) -> Result<Failures> {
    // What is written for an entity of another kind is made of it: an order of an opportunity.
    let mut writes: Vec<FailedWrite> = sqlx::query_as(concat!(
        "select w.id, w.entity, w.kind, e.title, w.side, w.object, w.record, w.op, w.code, w.message, w.attempts, w.caused_at, w.answered_at, w.sync_id, \
           case when w.op = 'delete' then null when k.kinds <> '{}' and not w.kind = any(k.kinds) then 'convert' else 'retry' end as action \
         from write w left join entity e on e.entity = w.entity cross join lateral (select array(select kind from link where entity = w.entity and linked) as kinds) k \
         where ",
        still_failed!(),
        " order by coalesce(w.answered_at, w.caused_at) desc limit $1",
    ))
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("failed writes"))?;
    for write in &mut writes {
        let side = Some(write.side.clone()).filter(|_| write.action.as_deref() == Some("retry"));
        let entity = Some(write.entity.clone());
        write.again = write.action.take().map(|action| Asked { action, entity, side, ..Asked::default() });
    }
    let mut dead_letters: Vec<DeadLetter> = sqlx::query_as(concat!(
        "select * from (select distinct on (topic, component, coalesce(key, int8send(\"offset\"))) topic, partition, \"offset\", source_topic, \
           source_partition, source_offset, component, reason, remedy, at, key, count(*) over w as times, min(at) over w as since, \
           component = 'reconciler' and reason like '%: cannot write %' as unwritten \
         from dead_letter d where ",
        not_a_failed_write!(),
        " window w as (partition by topic, component, coalesce(key, int8send(\"offset\"))) \
          order by topic, component, coalesce(key, int8send(\"offset\")), at desc, \"offset\" desc) d order by at desc limit $1",
    ))
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("dead letters"))?;
    name(pool, &mut dead_letters).await?;
    Ok(Failures { writes, dead_letters })
}

/// Names the records: a key is a record's id, or an entity's.
async fn name(pool: &PgPool, letters: &mut [DeadLetter]) -> Result<()> {
    for letter in letters.iter_mut() {
        let text = letter.key.clone().and_then(|key| String::from_utf8(key).ok());
        letter.record = text.filter(|text| !text.is_empty() && !text.contains(char::is_control));
        let entity = letter.record.clone().filter(|_| letter.unwritten);
        letter.again = entity.map(|entity| Asked { action: "retry".into(), entity: Some(entity), ..Asked::default() });
    }
    let records: Vec<&str> = letters.iter().filter_map(|letter| letter.record.as_deref()).collect();
    if records.is_empty() {
        return Ok(());
    }
    let titles: Vec<(String, String, String)> = sqlx::query_as(
        "select l.record, 'cdc.' || l.side || '.' || l.object || '.dlq', e.title from link l join entity e on e.entity = l.entity \
         where l.record = any($1) and e.title <> '' union all select entity, '', title from entity where entity = any($1) and title <> ''",
    )
    .bind(records)
    .fetch_all(pool)
    .await
    .map_err(reading("whose dead letters these are"))?;
    for letter in letters {
        let own = |(record, topic, _): &&(String, String, String)| {
            letter.record.as_ref() == Some(record) && letter.topic.ends_with(topic.as_str())
        };
        letter.title = titles.iter().find(own).map(|(_, _, title)| title.clone());
    }
    Ok(())
}

/// Number of records of which something is set aside.
pub(crate) async fn dead_letters(pool: &PgPool) -> Result<i64> {
    sqlx::query_scalar(concat!(
        "select count(*) from (select distinct topic, component, coalesce(key, int8send(\"offset\")) from dead_letter d where ",
        not_a_failed_write!(),
        " limit 10000) as counted"
    ))
    .fetch_one(pool)
    .await
    .map_err(reading("number of dead letters"))
}
