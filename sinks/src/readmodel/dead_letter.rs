//! What was set aside, until it can be read again.

use std::collections::BTreeSet;

use schemas::message::DeadLetter;
use sqlx::postgres::PgConnection;

use super::batch::Batch;
use super::store::{at, moment, parts, texts};

pub(super) async fn apply(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    if batch.dead_letters.is_empty() {
        return Ok(());
    }
    changed.insert("dead_letter");
    let all = || batch.dead_letters.iter().filter(|(_, letter)| !letter.reason.is_empty());
    let column = |text: fn(&DeadLetter) -> &str| texts(all().map(|(_, letter)| text(letter)));
    let (topics, partitions) = parts(all().map(|(record, _)| &record.partition));
    sqlx::query(concat!(
        "insert into dead_letter (topic, partition, \"offset\", source_topic, source_partition, source_offset, key, value, component, reason, remedy, at) \
         select t, p, o, st, sp, so, k, v, c, r, m, ",
        at!("a"),
        " from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::int[], $6::bigint[], $7::bytea[], $8::bytea[], $9::text[], $10::text[], $11::text[], $12::bigint[]) \
         as x(t, p, o, st, sp, so, k, v, c, r, m, a) on conflict (topic, partition, \"offset\") do nothing",
    ))
    .bind(topics)
    .bind(partitions)
    .bind(all().map(|(record, _)| i64::try_from(record.offset).unwrap_or(i64::MAX)).collect::<Vec<i64>>())
    .bind(column(|it| &it.topic))
    .bind(all().map(|(_, it)| i32::try_from(it.partition).unwrap_or(-1)).collect::<Vec<i32>>())
    .bind(all().map(|(_, it)| it.offset).collect::<Vec<i64>>())
    .bind(all().map(|(_, it)| it.key.clone()).collect::<Vec<Option<Vec<u8>>>>())
    .bind(all().map(|(_, it)| it.value.clone()).collect::<Vec<Option<Vec<u8>>>>())
    .bind(column(|it| &it.component))
    .bind(column(|it| &it.reason))
    .bind(column(|it| &it.remedy))
    .bind(all().map(|(_, it)| moment(it.at)).collect::<Vec<i64>>())
    .execute(&mut *connection)
    .await?;
    // What can be read again is no failure any more.
    let mended = || batch.dead_letters.iter().filter(|(_, letter)| letter.reason.is_empty());
    if mended().next().is_none() {
        return Ok(());
    }
    let (topics, partitions) = parts(mended().map(|(record, _)| &record.partition));
    sqlx::query(
        "delete from dead_letter d using unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::text[]) as x(t, p, o, k, c) \
         where d.topic = x.t and d.partition = x.p and d.\"offset\" < x.o and d.key = x.k and d.component = x.c",
    )
    .bind(topics)
    .bind(partitions)
    .bind(mended().map(|(record, _)| i64::try_from(record.offset).unwrap_or(i64::MAX)).collect::<Vec<i64>>())
    .bind(mended().map(|(_, it)| it.key.clone()).collect::<Vec<Option<Vec<u8>>>>())
    .bind(texts(mended().map(|(_, it)| it.component.as_str())))
    .execute(connection)
    .await?;
    Ok(())
}
