//! A batch into the database: rows, positions and the notice to listeners, in one transaction.
//!
//! Every statement takes whole columns as arrays, so a batch costs one statement a table. Times go in as microseconds.

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::{Conflict, EntityLink, Health, Setting};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};
use stream::{Offsets, TopicPartition};

use super::batch::{Batch, Golden};
use super::flow::Flow;
use super::json::{clean, plain};
use super::source::{Row, Step};
use super::{dead_letter, decision, write};
use crate::error::{Error, chain};

/// A moment in SQL from microseconds.
macro_rules! at {
    ($column:literal) => {
        concat!("timestamptz 'epoch' + ", $column, " * interval '1 microsecond'")
    };
}
pub(crate) use at;

/// Moments beyond the year 9999 are shown as its end.
pub(crate) fn moment(micros: i64) -> i64 {
    micros.clamp(-62_135_596_800_000_000, 253_402_300_799_000_000)
}

pub(crate) fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.map(clean).collect()
}

pub(crate) fn maybe<'a>(texts: impl Iterator<Item = Option<&'a String>>) -> Vec<Option<String>> {
    texts.map(|text| text.map(|text| clean(text))).collect()
}

/// The error as one of the sink.
pub(crate) fn error(doing: &'static str, error: &sqlx::Error) -> Error {
    let reason = chain(error);
    let target = super::TARGET;
    let code = error.as_database_error().and_then(|db| db.code());
    match code.as_deref() {
        Some(code) if code.starts_with("28") || code.starts_with("3D") => Error::Credentials {
            target,
            reason,
            remedy: "correct user, password or database in the read model's connection string, or create that database".to_owned(),
        },
        Some(code) if super::class_of(code) == super::Class::Fatal => Error::Missing {
            what: format!("the read model refuses {doing}: {reason}"),
            remedy: "run `concord migrate`, and let Concord's user own its database".to_owned(),
        },
        Some(_) => Error::Busy { target, doing, reason, after: None },
        None => Error::Reach { target, doing, reason },
    }
}

/// Whether one record's values are refused.
pub(crate) fn of_one_record(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(db) => db.code().is_some_and(|code| super::class_of(&code) == super::Class::Record),
        sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

/// Where the database stands, by partition.
pub(crate) async fn positions(pool: &PgPool) -> Result<Offsets, sqlx::Error> {
    let rows = sqlx::query("select topic, partition, next_offset from log_position").fetch_all(pool).await?;
    Ok(rows.iter().filter_map(position).collect())
}

fn position(row: &sqlx::postgres::PgRow) -> Option<(TopicPartition, u64)> {
    let (topic, partition, next): (String, i32, i64) = (row.get(0), row.get(1), row.get(2));
    Some((TopicPartition::new(topic, u32::try_from(partition).ok()?), u64::try_from(next).ok()?))
}

/// What became of a batch.
pub(crate) enum Stored {
    Done,
    /// The database stands elsewhere than we thought; nothing was written.
    Elsewhere,
}

/// Writes a batch that follows on `known`, and moves `known` on.
pub(crate) async fn apply(pool: &PgPool, batch: &Batch, known: &mut Offsets) -> Result<Stored, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    if !stands_at(&mut transaction, batch, known).await? {
        return Ok(Stored::Elsewhere);
    }
    let mut changed: BTreeSet<&'static str> = BTreeSet::new();
    let mut flow = Flow::default();
    let connection = &mut *transaction;
    links(connection, batch, &mut changed).await?;
    golden(connection, batch, &mut changed).await?;
    source(connection, batch, &mut changed).await?;
    write::store(connection, batch, &mut flow, &mut changed).await?;
    conflicts(connection, batch, &mut flow, &mut changed).await?;
    decision::store(connection, batch, &mut changed).await?;
    figures(connection, batch, &mut changed).await?;
    health(connection, batch, &mut changed).await?;
    dead_letter::apply(connection, batch, &mut changed).await?;
    minutes(connection, &flow, &mut changed).await?;
    move_on(connection, batch).await?;
    if !changed.is_empty() {
        let tables: Vec<&str> = changed.into_iter().collect();
        sqlx::query("select pg_notify('concord_changed', $1)").bind(tables.join(",")).execute(&mut *connection).await?;
    }
    transaction.commit().await?;
    known.extend(batch.offsets.iter().map(|(partition, next)| (partition.clone(), *next)));
    Ok(Stored::Done)
}

pub(super) type Parts = (Vec<String>, Vec<i32>);

pub(super) fn parts<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> Parts {
    partitions.map(|partition| (partition.topic.to_string(), i32::try_from(partition.partition).unwrap_or(i32::MAX))).unzip()
}

/// Locks the positions of the batch's partitions, and compares them with what we think they are.
async fn stands_at(connection: &mut PgConnection, batch: &Batch, known: &Offsets) -> Result<bool, sqlx::Error> {
    let (topics, partitions) = parts(batch.offsets.keys());
    let rows = sqlx::query(
        "select p.topic, p.partition, p.next_offset from log_position p join unnest($1::text[], $2::int[]) as u(topic, partition) using (topic, partition) for update of p",
    )
    .bind(topics)
    .bind(partitions)
    .fetch_all(connection)
    .await?;
    let stored: BTreeMap<TopicPartition, u64> = rows.iter().filter_map(position).collect();
    Ok(batch.offsets.keys().all(|partition| stored.get(partition).copied().unwrap_or(0) == known.get(partition).copied().unwrap_or(0)))
}

async fn move_on(connection: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let (topics, partitions) = parts(batch.offsets.keys());
    let next: Vec<i64> = batch.offsets.values().map(|next| i64::try_from(*next).unwrap_or(i64::MAX)).collect();
    sqlx::query(
        "insert into log_position (topic, partition, next_offset) select * from unnest($1::text[], $2::int[], $3::bigint[]) \
         on conflict (topic, partition) do update set next_offset = excluded.next_offset",
    )
    .bind(topics)
    .bind(partitions)
    .bind(next)
    .execute(connection)
    .await?;
    Ok(())
}

async fn links(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    if batch.links.is_empty() {
        return Ok(());
    }
    changed.extend(["link", "entity"]);
    let all = || batch.links.values();
    let column = |text: fn(&EntityLink) -> &str| texts(all().map(text));
    sqlx::query(concat!(
        "insert into link (side, object, record, entity, kind, linked, rule, at) select s, o, r, e, k, l, u, ",
        at!("t"),
        " from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::bigint[]) as x(s, o, r, e, k, l, u, t) \
         on conflict (side, object, record) do update set entity = excluded.entity, kind = excluded.kind, linked = excluded.linked, rule = excluded.rule, at = excluded.at",
    ))
    .bind(column(|link| link.side.as_str()))
    .bind(column(|link| &link.object))
    .bind(column(|link| &link.record))
    .bind(column(|link| &link.entity))
    .bind(column(|link| &link.kind))
    .bind(all().map(|link| link.linked).collect::<Vec<bool>>())
    .bind(column(|link| &link.rule))
    .bind(all().map(|link| moment(link.at)).collect::<Vec<i64>>())
    .execute(&mut *connection)
    .await?;
    // The name that came with the link, until the merged record brings one.
    let titled: BTreeMap<&str, &EntityLink> =
        all().filter(|link| link.linked && !link.title.is_empty()).map(|link| (link.entity.as_str(), link)).collect();
    let column = |text: fn(&EntityLink) -> &str| texts(titled.values().map(|link| text(link)));
    sqlx::query(concat!(
        "insert into entity (entity, kind, title, updated_at) select e, k, n, ",
        at!("t"),
        " from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as x(e, k, n, t) \
         on conflict (entity) do update set title = excluded.title where entity.title = ''",
    ))
    .bind(column(|link| &link.entity))
    .bind(column(|link| &link.kind))
    .bind(column(|link| &link.title))
    .bind(titled.values().map(|link| moment(link.at)).collect::<Vec<i64>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn golden(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    if batch.golden.is_empty() {
        return Ok(());
    }
    changed.insert("entity");
    let there: Vec<(&str, &Golden)> =
        batch.golden.iter().filter_map(|(entity, golden)| Some((entity.as_str(), golden.as_ref()?))).collect();
    let all = || there.iter().map(|(_, golden)| *golden);
    sqlx::query(concat!(
        "insert into entity (entity, kind, title, crm_record, erp_record, fields, deleted, updated_at) select e, k, coalesce(n, ''), c, r, f::jsonb, false, ",
        at!("t"),
        " from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) as x(e, k, n, c, r, f, t) \
         on conflict (entity) do update set kind = excluded.kind, title = coalesce(nullif(excluded.title, ''), entity.title), crm_record = excluded.crm_record, \
         erp_record = excluded.erp_record, fields = excluded.fields, deleted = false, updated_at = excluded.updated_at",
    ))
    .bind(texts(there.iter().map(|(entity, _)| *entity)))
    .bind(texts(all().map(|golden| golden.kind.as_str())))
    .bind(maybe(all().map(|golden| golden.title.as_ref())))
    .bind(maybe(all().map(|golden| golden.crm_record.as_ref())))
    .bind(maybe(all().map(|golden| golden.erp_record.as_ref())))
    .bind(all().map(|golden| golden.fields.clone()).collect::<Vec<String>>())
    .bind(all().map(|golden| moment(golden.updated_at)).collect::<Vec<i64>>())
    .execute(&mut *connection)
    .await?;
    let gone: Vec<String> = batch.golden.iter().filter(|(_, golden)| golden.is_none()).map(|(entity, _)| entity.clone()).collect();
    if !gone.is_empty() {
        sqlx::query("update entity set deleted = true where entity = any($1)").bind(gone).execute(connection).await?;
    }
    Ok(())
}

async fn source(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    for step in &batch.source.0 {
        changed.insert("source_record");
        match step {
            Step::Emptied { side, object, at } => {
                sqlx::query(concat!(
                    "update source_record set deleted = true, committed_at = ",
                    at!("$3"),
                    " where side = $1 and object = $2 and not deleted"
                ))
                .bind(side.as_str())
                .bind(clean(object))
                .bind(moment(*at))
                .execute(&mut *connection)
                .await?;
            }
            Step::Rows(rows) => {
                for whole in [true, false] {
                    let part: Vec<_> = rows.iter().filter(|(_, row)| row.whole == whole).collect();
                    if part.is_empty() {
                        continue;
                    }
                    let values = || part.iter().map(|(_, row): &(_, &Row)| *row);
                    let sql = if whole { SOURCE_WHOLE } else { SOURCE_PART };
                    sqlx::query(sql)
                        .bind(texts(part.iter().map(|((side, ..), _)| side.as_str())))
                        .bind(texts(part.iter().map(|((_, object, _), _)| object.as_str())))
                        .bind(texts(part.iter().map(|((.., record), _)| record.as_str())))
                        .bind(values().map(|row| serde_json::Value::Object(row.data.clone()).to_string()).collect::<Vec<String>>())
                        .bind(values().map(|row| row.deleted).collect::<Vec<bool>>())
                        .bind(values().map(|row| moment(row.committed_at)).collect::<Vec<i64>>())
                        .execute(&mut *connection)
                        .await?;
                }
            }
        }
    }
    Ok(())
}

const SOURCE_WHOLE: &str = concat!(
    "insert into source_record (side, object, record, data, deleted, committed_at) select s, o, r, d::jsonb, x.deleted, ",
    at!("t"),
    " from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[]) as x(s, o, r, d, deleted, t) \
     on conflict (side, object, record) do update set data = excluded.data, deleted = excluded.deleted, committed_at = excluded.committed_at",
);

const SOURCE_PART: &str = concat!(
    "insert into source_record (side, object, record, data, deleted, committed_at) select s, o, r, d::jsonb, x.deleted, ",
    at!("t"),
    " from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[]) as x(s, o, r, d, deleted, t) \
     on conflict (side, object, record) do update set data = source_record.data || excluded.data, deleted = excluded.deleted, committed_at = excluded.committed_at",
);

async fn conflicts(
    connection: &mut PgConnection,
    batch: &Batch,
    flow: &mut Flow,
    changed: &mut BTreeSet<&'static str>,
) -> Result<(), sqlx::Error> {
    if batch.conflicts.is_empty() {
        return Ok(());
    }
    changed.insert("conflict");
    let ids: Vec<String> = batch.conflicts.keys().cloned().collect();
    let known: Vec<String> = sqlx::query_scalar("select id from conflict where id = any($1)").bind(ids).fetch_all(&mut *connection).await?;
    for (_, conflict) in batch.conflicts.iter().filter(|(id, _)| !known.contains(id)) {
        flow.conflict(conflict);
    }
    let all = || batch.conflicts.values();
    let column = |text: fn(&Conflict) -> &str| texts(all().map(text));
    let option = |text: fn(&Conflict) -> Option<&String>| maybe(all().map(text));
    let value = |value: fn(&Conflict) -> &schemas::Value| all().map(|conflict| plain(value(conflict)).to_string()).collect::<Vec<String>>();
    sqlx::query(concat!(
        "insert into conflict (id, entity, kind, title, field, label, state, base_crm, base_erp, crm, erp, crm_at, erp_at, crm_actor, erp_actor, crm_record, erp_record, \
         crm_column, erp_column, policy, reason, winner, chosen, tie, overtaken, settled_by, settled_at, opened_at, mapping_version, kept_both) \
         select c1, c2, c3, c4, c5, c6, c7, c8::jsonb, c9::jsonb, c10::jsonb, c11::jsonb, ",
        at!("c12"), ", ", at!("c13"), ", c14, c15, c16, c17, c18, c19, c20, c21, c22, c23::jsonb, c24, c25, c26, ", at!("c27"), ", ", at!("c28"), ", c29, c30 \
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], \
         $13::bigint[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::bool[], $25::bool[], \
         $26::text[], $27::bigint[], $28::bigint[], $29::bigint[], $30::bool[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30) \
         on conflict (id) do update set title = excluded.title, label = excluded.label, state = excluded.state, base_crm = excluded.base_crm, base_erp = excluded.base_erp, \
         crm = excluded.crm, erp = excluded.erp, crm_at = excluded.crm_at, erp_at = excluded.erp_at, crm_actor = excluded.crm_actor, erp_actor = excluded.erp_actor, \
         crm_record = excluded.crm_record, erp_record = excluded.erp_record, crm_column = excluded.crm_column, erp_column = excluded.erp_column, policy = excluded.policy, \
         reason = excluded.reason, winner = excluded.winner, chosen = excluded.chosen, tie = excluded.tie, overtaken = excluded.overtaken, settled_by = excluded.settled_by, \
         settled_at = excluded.settled_at, opened_at = excluded.opened_at, mapping_version = excluded.mapping_version, kept_both = excluded.kept_both",
    ))
    .bind(column(|it| &it.id))
    .bind(column(|it| &it.entity))
    .bind(column(|it| &it.kind))
    .bind(column(|it| &it.title))
    .bind(column(|it| &it.field))
    .bind(column(|it| &it.label))
    .bind(column(|it| it.state.as_str()))
    .bind(value(|it| &it.base_crm))
    .bind(value(|it| &it.base_erp))
    .bind(value(|it| &it.crm))
    .bind(value(|it| &it.erp))
    .bind(all().map(|it| moment(it.crm_at)).collect::<Vec<i64>>())
    .bind(all().map(|it| moment(it.erp_at)).collect::<Vec<i64>>())
    .bind(option(|it| it.crm_actor.as_ref()))
    .bind(option(|it| it.erp_actor.as_ref()))
    .bind(option(|it| it.crm_record.as_ref()))
    .bind(option(|it| it.erp_record.as_ref()))
    .bind(column(|it| &it.crm_column))
    .bind(column(|it| &it.erp_column))
    .bind(column(|it| &it.policy))
    .bind(column(|it| &it.reason))
    .bind(all().map(|it| it.winner.map(|side| side.to_string())).collect::<Vec<Option<String>>>())
    .bind(value(|it| &it.chosen))
    .bind(all().map(|it| it.tie).collect::<Vec<bool>>())
    .bind(all().map(|it| it.overtaken).collect::<Vec<bool>>())
    .bind(option(|it| it.settled_by.as_ref()))
    .bind(all().map(|it| it.settled_at.map(moment)).collect::<Vec<Option<i64>>>())
    .bind(all().map(|it| moment(it.opened_at)).collect::<Vec<i64>>())
    .bind(all().map(|it| it.mapping_version).collect::<Vec<i64>>())
    .bind(all().map(|it| it.both).collect::<Vec<bool>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn figures(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    if !batch.financials.is_empty() {
        changed.insert("customer_financials");
        let there: Vec<_> = batch.financials.values().flatten().collect();
        sqlx::query(concat!(
            "insert into customer_financials (customer, ar_balance, overdue, open_orders, open_order_value, as_of, at) \
             select c, a::numeric, o::numeric, n, v::numeric, date '1970-01-01' + d, ",
            at!("t"),
            " from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::bigint[]) as x(c, a, o, n, v, d, t) \
             on conflict (customer) do update set ar_balance = excluded.ar_balance, overdue = excluded.overdue, open_orders = excluded.open_orders, \
             open_order_value = excluded.open_order_value, as_of = excluded.as_of, at = excluded.at",
        ))
        .bind(texts(there.iter().map(|it| it.customer.as_str())))
        .bind(texts(there.iter().map(|it| it.ar_balance.as_str())))
        .bind(texts(there.iter().map(|it| it.overdue.as_str())))
        .bind(there.iter().map(|it| it.open_orders).collect::<Vec<i64>>())
        .bind(texts(there.iter().map(|it| it.open_order_value.as_str())))
        .bind(there.iter().map(|it| it.as_of).collect::<Vec<i32>>())
        .bind(there.iter().map(|it| moment(it.at)).collect::<Vec<i64>>())
        .execute(&mut *connection)
        .await?;
        let gone: Vec<String> = batch.financials.iter().filter(|(_, it)| it.is_none()).map(|(key, _)| key.clone()).collect();
        sqlx::query("delete from customer_financials where customer = any($1)").bind(gone).execute(&mut *connection).await?;
    }
    if !batch.pipeline.is_empty() {
        changed.insert("pipeline_summary");
        let there: Vec<_> = batch.pipeline.values().flatten().collect();
        sqlx::query(concat!(
            "insert into pipeline_summary (stage, count, value, weighted, won, lost, win_rate_bp, at) select s, n, v::numeric, g::numeric, w, l, r, ",
            at!("t"),
            " from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) as x(s, n, v, g, w, l, r, t) \
             on conflict (stage) do update set count = excluded.count, value = excluded.value, weighted = excluded.weighted, won = excluded.won, lost = excluded.lost, \
             win_rate_bp = excluded.win_rate_bp, at = excluded.at",
        ))
        .bind(texts(there.iter().map(|it| it.stage.as_str())))
        .bind(there.iter().map(|it| it.count).collect::<Vec<i64>>())
        .bind(texts(there.iter().map(|it| it.value.as_str())))
        .bind(texts(there.iter().map(|it| it.weighted.as_str())))
        .bind(there.iter().map(|it| it.won).collect::<Vec<i64>>())
        .bind(there.iter().map(|it| it.lost).collect::<Vec<i64>>())
        .bind(there.iter().map(|it| it.win_rate_bp).collect::<Vec<Option<i64>>>())
        .bind(there.iter().map(|it| moment(it.at)).collect::<Vec<i64>>())
        .execute(&mut *connection)
        .await?;
        let gone: Vec<String> = batch.pipeline.iter().filter(|(_, it)| it.is_none()).map(|(key, _)| key.clone()).collect();
        sqlx::query("delete from pipeline_summary where stage = any($1)").bind(gone).execute(connection).await?;
    }
    Ok(())
}

async fn health(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    if !batch.health.is_empty() {
        changed.insert("health");
        let all = || batch.health.values();
        let column = |text: fn(&Health) -> &str| texts(all().map(text));
        sqlx::query(concat!(
            "insert into health (component, state, reason, remedy, since, at, facts) select c, s, r, m, ",
            at!("b"), ", ", at!("t"), ", f::jsonb from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]) as x(c, s, r, m, b, t, f) \
             on conflict (component) do update set state = excluded.state, reason = excluded.reason, remedy = excluded.remedy, since = excluded.since, at = excluded.at, facts = excluded.facts",
        ))
        .bind(column(|it| &it.component))
        .bind(column(|it| it.state.as_str()))
        .bind(column(|it| &it.reason))
        .bind(column(|it| &it.remedy))
        .bind(all().map(|it| moment(it.since)).collect::<Vec<i64>>())
        .bind(all().map(|it| moment(it.at)).collect::<Vec<i64>>())
        .bind(all().map(facts).collect::<Vec<String>>())
        .execute(&mut *connection)
        .await?;
    }
    if !batch.settings.is_empty() {
        changed.insert("setting");
        let all = || batch.settings.values();
        let column = |text: fn(&Setting) -> &str| texts(all().map(text));
        sqlx::query(concat!(
            "insert into setting (name, value, version, actor, at) select n, v::jsonb, r, a, ",
            at!("t"),
            " from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[]) as x(n, v, r, a, t) \
             on conflict (name) do update set value = excluded.value, version = excluded.version, actor = excluded.actor, at = excluded.at",
        ))
        .bind(column(|it| &it.name))
        .bind(column(|it| &it.value))
        .bind(all().map(|it| it.version).collect::<Vec<i64>>())
        .bind(column(|it| &it.actor))
        .bind(all().map(|it| moment(it.at)).collect::<Vec<i64>>())
        .execute(connection)
        .await?;
    }
    Ok(())
}

fn facts(health: &Health) -> String {
    health.facts.iter().map(|(name, value)| (clean(name), serde_json::Value::from(clean(value)))).collect::<serde_json::Value>().to_string()
}

/// Adds a batch's figures to their minutes; a batch spans few of them.
async fn minutes(connection: &mut PgConnection, flow: &Flow, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    for (start, side, minute) in flow.minutes() {
        changed.insert("flow_minute");
        sqlx::query(concat!(
            "insert into flow_minute as f (minute, side, confirmed, rejected, failed, conflicts, latency) values (",
            at!("$1"),
            ", $2, $3, $4, $5, $6, $7) on conflict (minute, side) do update set confirmed = f.confirmed + excluded.confirmed, rejected = f.rejected + excluded.rejected, \
             failed = f.failed + excluded.failed, conflicts = f.conflicts + excluded.conflicts, \
             latency = (select array_agg(coalesce(a, 0) + coalesce(b, 0) order by n) from unnest(f.latency, excluded.latency) with ordinality as x(a, b, n))",
        ))
        .bind(moment(start))
        .bind(side.as_str())
        .bind(minute.confirmed)
        .bind(minute.rejected)
        .bind(minute.failed)
        .bind(minute.conflicts)
        .bind(minute.latency.to_vec())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
