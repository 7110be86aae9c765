//! The read model's database: reachable, ours to change, and how far migrated.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;

use super::postgres::{connect, failed};
use super::{Looked, Problem, Seen, address};

/// The same migrations as the sink applies.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/read_model");

const SETTING: &str = "url in [read_model]";

pub(super) async fn look(config: &sinks::readmodel::Config) -> Looked {
    let place = place(config);
    let one = |problem| vec![problem];
    let mut connection = connect(&place, SETTING, config.url.reveal()).await.map_err(one)?;
    let rights = "SELECT current_user::text, current_database()::text, pg_is_in_recovery(), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let row = sqlx::query(rights).fetch_one(&mut connection).await.map_err(|error| one(failed(&place, "reading our rights", &error)))?;
    let (user, database): (String, String) = (row.get(0), row.get(1));
    let mut problems = Vec::new();
    if row.get::<bool, _>(2) {
        problems.push(Problem::new(&place, "it is a standby and cannot be written to", format!("name the primary as {SETTING}")));
    }
    if !row.get::<bool, _>(3) {
        problems.push(Problem::new(
            &place,
            format!("user {user} may not create tables in database {database}"),
            format!("make it the owner: ALTER DATABASE {database} OWNER TO {user};"),
        ));
    }
    let applied = applied(&mut connection).await.map_err(|error| one(failed(&place, "reading the migrations", &error)))?;
    let known: BTreeMap<i64, String> = MIGRATIONS.iter().map(|migration| (migration.version, migration.description.to_string())).collect();
    if let Some((version, name)) = applied.iter().find(|(version, _)| !known.contains_key(version)) {
        problems.push(Problem::new(
            &place,
            format!("migration {version} ({name}) was made by a newer Concord"),
            "run that version, or drop and create the database: it is built again from the log",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let missing = known.keys().filter(|version| !applied.contains_key(version)).count();
    let what = match missing {
        0 => format!("migrated ({} of {})", known.len(), known.len()),
        _ if applied.is_empty() => "reachable, not migrated yet; run and migrate do it".to_owned(),
        missing => format!("{missing} of {} migrations are missing; run and migrate apply them", known.len()),
    };
    Ok(Seen { place, what })
}

/// Where it is, for people.
pub(crate) fn place(config: &sinks::readmodel::Config) -> String {
    format!("read model at {}", address(config.url.reveal()))
}

/// Migrations that the database has, by version.
///
/// # Errors
/// What Postgres says, with what mends it.
pub(crate) async fn migrations(config: &sinks::readmodel::Config) -> anyhow::Result<BTreeMap<i64, String>> {
    let said = |problem: Problem| anyhow::anyhow!("{}: {}; mend it: {}", problem.place, problem.what, problem.remedy);
    let place = place(config);
    let mut connection = connect(&place, SETTING, config.url.reveal()).await.map_err(said)?;
    applied(&mut connection).await.map_err(|error| said(failed(&place, "reading the migrations", &error)))
}

async fn applied(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i64, String>> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !there {
        return Ok(BTreeMap::new());
    }
    let rows =
        sqlx::query("SELECT version, description FROM _sqlx_migrations WHERE success ORDER BY version").fetch_all(connection).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
