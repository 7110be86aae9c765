//! Sessions: a random token in a cookie, its hash in Postgres.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use sqlx::PgPool;

use super::{Hash, Principal, Scope, hash};
use crate::error::Result;
use crate::queries::reading;

const COOKIE: &str = "concord_session";

/// Opens a session and gives its token. Also forgets those that have ended.
pub(crate) async fn open(pool: &PgPool, actor: &str, hours: u32) -> Result<String> {
    let mut token = [0u8; 32];
    rand::rng().fill_bytes(&mut token);
    sqlx::query("delete from session where expires_at < now()").execute(pool).await.map_err(reading("sessions"))?;
    sqlx::query("insert into session (token_hash, actor, expires_at) values ($1, $2, now() + make_interval(hours => $3))")
        .bind(hash(&token).as_slice())
        .bind(actor)
        .bind(i32::try_from(hours).unwrap_or(i32::MAX / 3600))
        .execute(pool)
        .await
        .map_err(reading("sessions"))?;
    Ok(URL_SAFE_NO_PAD.encode(token))
}

/// Whose session this is, if it has not ended.
pub(crate) async fn find(pool: &PgPool, token: Hash) -> Result<Option<Principal>> {
    let actor: Option<String> = sqlx::query_scalar("select actor from session where token_hash = $1 and expires_at > now()")
        .bind(token.as_slice())
        .fetch_optional(pool)
        .await
        .map_err(reading("session"))?;
    Ok(actor.map(|actor| Principal { actor, scope: Scope::Admin, session: Some(token) }))
}

/// Ends a session.
pub(crate) async fn close(pool: &PgPool, token: Hash) -> Result<()> {
    sqlx::query("delete from session where token_hash = $1").bind(token.as_slice()).execute(pool).await.map_err(reading("session"))?;
    Ok(())
}

/// The token in the cookie.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<Vec<u8>> {
    let text = cookie_of(headers, COOKIE)?;
    URL_SAFE_NO_PAD.decode(text).ok().filter(|token| token.len() == 32)
}

/// The value of a cookie.
pub(crate) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Sets the cookie.
pub(crate) fn cookie(token: &str, hours: u32, https: bool) -> Option<HeaderValue> {
    let secure = if https { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", u64::from(hours) * 3600)).ok()
}

/// Removes it.
pub(crate) fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static("concord_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
}
