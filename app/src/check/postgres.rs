//! A connection for looking, and what a refusal means to the person who has to mend it.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Error};

use super::{Problem, address};

/// Connects for looking only: every transaction is read-only.
pub(super) async fn connect(place: &str, setting: &str, url: &str) -> Result<PgConnection, Problem> {
    let options: PgConnectOptions = url.parse().map_err(|error: Error| {
        Problem::new(setting, format!("it is not a connection string: {error}"), "write it as postgres://user:password@host:5432/database")
    })?;
    let options = options.application_name("concord check").options([("default_transaction_read_only", "on")]);
    PgConnection::connect_with(&options).await.map_err(|error| refused(place, setting, url, &error))
}

fn refused(place: &str, setting: &str, url: &str, error: &Error) -> Problem {
    let code = error.as_database_error().and_then(|error| error.code());
    let remedy = match code.as_deref() {
        Some("28P01") => format!("set the right password in {setting}"),
        Some("28000") => format!("create the role, or let it in with a line in pg_hba.conf, or correct {setting}"),
        Some("3D000") => format!("create the database, or correct {setting}"),
        Some("53300") => "raise max_connections, or close connections".to_owned(),
        _ => format!("see that a Postgres runs at {} and can be reached from here, or correct {setting}", address(url)),
    };
    Problem::new(place, format!("cannot connect: {error}"), remedy)
}

/// A question that went wrong although we are connected.
pub(super) fn failed(place: &str, doing: &str, error: &Error) -> Problem {
    Problem::new(place, format!("{doing} failed: {error}"), "read the server's message; it names what is missing")
}
