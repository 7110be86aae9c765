//! Who is asking, and may they.
//!
//! One local administrator signs in with a password and holds a session cookie; programs send a token.
//! Both become a [`Principal`], which the guard in front of every route compares with the scope the
//! route asks for. Secrets are compared by their hashes in constant time, sessions are stored as hashes,
//! and wrong passwords slow their sender down.

mod limit;
mod password;
mod session;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

pub(crate) use limit::Limit;
pub(crate) use password::Verifier;
use session::token_of;
pub(crate) use session::{clear_cookie, cookie, cookie_of, open};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::respond;
use crate::routes::Access;
use crate::server::Shared;

/// What somebody may do; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Scope {
    /// See everything.
    #[serde(rename = "crm.read")]
    Read,
    /// Also decide conflicts, pause and resume.
    #[serde(rename = "crm.sync")]
    Sync,
    /// Also change how Concord works.
    #[serde(rename = "crm.admin")]
    Admin,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "crm.read",
            Self::Sync => "crm.sync",
            Self::Admin => "crm.admin",
        })
    }
}

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// Hash of a token.
pub(crate) fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

/// Compares without telling by its duration where two hashes differ.
fn same(a: &Hash, b: &Hash) -> bool {
    let differ = a.iter().zip(b).fold(0u8, |sum, (x, y)| std::hint::black_box(sum | (x ^ y)));
    differ == 0
}

/// Somebody who has shown who they are.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) actor: String,
    pub(crate) scope: Scope,
    /// The session it came by; none for a token.
    pub(crate) session: Option<Hash>,
}

impl Principal {
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scope >= scope
    }
}

/// The guard has put it there; a handler of an open route has none.
impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get::<Principal>().cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

/// What is needed to tell who somebody is.
pub(crate) struct Auth {
    pub(crate) verifier: Verifier,
    pub(crate) limit: Limit,
    tokens: Vec<(Hash, String, Scope)>,
}

impl Auth {
    pub(crate) async fn new(config: &Config) -> Result<Self> {
        let password = config.admin_password.read()?;
        let tokens =
            config.api_tokens.iter().map(|token| (hash(token.token.reveal().as_bytes()), token.name.clone(), token.scope)).collect();
        Ok(Self { verifier: Verifier::new(password).await?, limit: Limit::default(), tokens })
    }

    /// Who sends these headers: a token counts before a cookie.
    pub(crate) async fn principal(&self, pool: &PgPool, headers: &HeaderMap) -> Result<Option<Principal>> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
            return Ok(token.and_then(|token| self.bearer(token.trim())));
        }
        match token_of(headers) {
            Some(token) => session::find(pool, hash(&token)).await,
            None => Ok(None),
        }
    }

    fn bearer(&self, token: &str) -> Option<Principal> {
        let wanted = hash(token.as_bytes());
        let mut found = None;
        for (hash, name, scope) in &self.tokens {
            if same(hash, &wanted) {
                found = Some(Principal { actor: name.clone(), scope: *scope, session: None });
            }
        }
        found
    }
}

/// True while a session has not ended; streams ask now and then.
pub(crate) async fn still_valid(pool: &PgPool, principal: &Principal) -> bool {
    match principal.session {
        None => true,
        // A read model that does not answer ends nobody's session.
        Some(token) => !matches!(session::find(pool, token).await, Ok(None)),
    }
}

/// Ends a session.
pub(crate) async fn close(pool: &PgPool, principal: &Principal) -> Result<()> {
    match principal.session {
        Some(token) => session::close(pool, token).await,
        None => Ok(()),
    }
}

/// Stands in front of every route.
pub(crate) async fn guard(State((app, access)): State<(Shared, Access)>, mut request: Request, next: Next) -> Response {
    let Access::Scope(scope) = access else {
        return next.run(request).await;
    };
    let program = respond::wants_json(request.uri().path());
    match app.auth.principal(&app.pool, request.headers()).await {
        Err(error) => respond::failure(&error, program),
        Ok(None) if program => {
            let error = Error::Refused {
                code: "unauthenticated",
                message: "This needs a sign-in or a token.".into(),
                remedy: "Send `Authorization: Bearer` with a configured API token.".into(),
            };
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], respond::error_json(&error)).into_response()
        }
        Ok(None) => Redirect::to(&sign_in_address(&request)).into_response(),
        Ok(Some(principal)) if !principal.may(scope) => {
            let error = Error::Refused {
                code: "forbidden",
                message: format!("This needs the scope {scope}; you have {}.", principal.scope),
                remedy: "Ask an administrator for a token with that scope.".into(),
            };
            respond::failure_as(&error, program, StatusCode::FORBIDDEN)
        }
        Ok(Some(principal)) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
    }
}

fn sign_in_address(request: &Request) -> String {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if request.method() == axum::http::Method::GET && path != "/" && is_local(path) {
        format!("/login?next={}", crate::show::query_escape(path))
    } else {
        "/login".to_owned()
    }
}

/// True for an address on this server, so that a sign-in cannot be made to lead elsewhere.
pub(crate) fn is_local(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_nowhere_else() {
        for (path, local) in [
            ("/conflicts?state=open", true),
            ("//evil.example", false),
            ("https://evil.example", false),
            ("/\\evil.example", false),
            ("/\t/evil", false),
            ("", false),
        ] {
            assert_eq!(is_local(path), local, "{path}");
        }
    }

    #[test]
    fn scopes_include_the_ones_before() {
        assert!(Scope::Admin > Scope::Sync && Scope::Sync > Scope::Read);
        assert!(same(&hash(b"a"), &hash(b"a")) && !same(&hash(b"a"), &hash(b"b")));
    }
}
