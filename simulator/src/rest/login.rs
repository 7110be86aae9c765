//! Signing in: the OAuth token endpoint with its four grants, revoke, userinfo, and SOAP login.

use std::sync::Arc;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::front::{oauth_error, pairs};
use super::sessions::Code;
use super::{Reply, Server};
use crate::org::id::RecordId;

type Form = Vec<(String, String)>;

/// Answers below `/services/oauth2/`, `/services/Soap/` and `/id/`.
pub(crate) fn handle(server: &Arc<Server>, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(body);
    let mut form = pairs(query);
    form.extend(pairs(&text));
    let bearer = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("OAuth ")));
    let trimmed = path.trim_end_matches('/');
    match (method, trimmed) {
        ("POST", "/services/oauth2/token") => token(server, &form, headers),
        (_, "/services/oauth2/authorize") => authorize(server, &form),
        ("POST" | "GET", "/services/oauth2/revoke") => {
            let found = field(&form, "token").is_some_and(|token| server.sessions.revoke(token));
            if found { Reply::empty(200) } else { oauth_error("unsupported_token_type", "this token type is not supported") }
        }
        ("POST", "/services/oauth2/introspect") => {
            let active = field(&form, "token").and_then(|token| server.sessions.user(token, server.settings.clock.now_ms()));
            Reply::json(200, json!({"active": active.is_some()}))
        }
        (_, "/services/oauth2/userinfo") => {
            match bearer.or(field(&form, "access_token")).and_then(|token| server.sessions.user(token, server.settings.clock.now_ms())) {
                Some(user) => Reply::json(200, userinfo(server, user)),
                None => Reply::text(403, "text/plain", "Bad_OAuth_Token".to_owned()),
            }
        }
        ("POST", soap) if soap.starts_with("/services/Soap/") => soap_login(server, &text, soap),
        (_, id) if id.starts_with("/id/") => match bearer.and_then(|token| server.sessions.user(token, server.settings.clock.now_ms())) {
            Some(user) => Reply::json(200, userinfo(server, user)),
            None => Reply::text(403, "text/plain", "Missing_OAuth_Token".to_owned()),
        },
        _ => Reply::json(404, json!([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])),
    }
}

fn field<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

fn token(server: &Arc<Server>, form: &Form, headers: &HeaderMap) -> Reply {
    if server.live.read(|live| live.refuse_login) {
        return oauth_error("invalid_client", "invalid client credentials");
    }
    let basic = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|pair| pair.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned())));
    let client_id = basic.as_ref().map(|(id, _)| id.as_str()).or(field(form, "client_id"));
    let client_secret = basic.as_ref().map(|(_, secret)| secret.as_str()).or(field(form, "client_secret"));
    let known = client_id == Some(server.settings.client_id.as_str());
    let proven = known && client_secret == Some(server.settings.client_secret.as_str());
    let integration = server.org.integration_user();
    match field(form, "grant_type") {
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => match assertion(server, field(form, "assertion").unwrap_or_default()) {
            Ok(()) => granted(server, integration, None),
            Err(reason) => oauth_error("invalid_grant", reason),
        },
        Some("client_credentials") if proven => granted(server, integration, None),
        Some("client_credentials") if known => oauth_error("invalid_client", "invalid client credentials"),
        Some("password") if proven => {
            let matches = field(form, "username") == Some(server.settings.username.as_str())
                && field(form, "password").is_some_and(|password| password.starts_with(&server.settings.password));
            if matches { granted(server, integration, None) } else { oauth_error("invalid_grant", "authentication failure") }
        }
        Some("authorization_code") if known => {
            let Some(code) = field(form, "code").and_then(|code| server.sessions.redeem(code)) else {
                return oauth_error("invalid_grant", "expired authorization code");
            };
            let verified = match (&code.challenge, field(form, "code_verifier")) {
                (None, _) => proven,
                (Some(challenge), Some(verifier)) => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == *challenge,
                (Some(_), None) => return oauth_error("invalid_grant", "invalid code verifier"),
            };
            if field(form, "redirect_uri") != Some(code.redirect_uri.as_str()) {
                return oauth_error("redirect_uri_mismatch", "redirect_uri must match configuration");
            }
            if verified {
                granted(server, code.user, Some(server.sessions.refresh_token(code.user)))
            } else {
                oauth_error("invalid_grant", "invalid code verifier")
            }
        }
        Some("refresh_token") if known => match field(form, "refresh_token").and_then(|token| server.sessions.refreshed(token)) {
            Some(user) => granted(server, user, None),
            None => oauth_error("invalid_grant", "expired access/refresh token"),
        },
        Some("client_credentials" | "password" | "authorization_code" | "refresh_token") => {
            oauth_error("invalid_client_id", "client identifier invalid")
        }
        _ => oauth_error("unsupported_grant_type", "grant type not supported"),
    }
}

/// Checks an RS256 assertion; `exp` may be a number or its digits as text.
fn assertion(server: &Server, assertion: &str) -> Result<(), &'static str> {
    let (message, signature) = assertion.rsplit_once('.').ok_or("invalid assertion")?;
    let (head, claims) = message.split_once('.').ok_or("invalid assertion")?;
    let decode =
        |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok().and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok());
    let head = decode(head).ok_or("invalid assertion")?;
    let claims = decode(claims).ok_or("invalid assertion")?;
    if head.get("alg").and_then(Json::as_str) != Some("RS256") {
        return Err("algorithm not supported");
    }
    let genuine = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &server.jwt_key, jsonwebtoken::Algorithm::RS256);
    if !genuine.unwrap_or(false) {
        return Err("invalid assertion");
    }
    let text = |name: &str| claims.get(name).and_then(Json::as_str).unwrap_or_default();
    if text("iss") != server.settings.client_id {
        return Err("client identifier invalid");
    }
    if text("sub") != server.settings.username {
        return Err("user hasn't approved this consumer");
    }
    let audience = text("aud").trim_end_matches('/');
    if !["https://login.salesforce.com", "https://test.salesforce.com", server.rest_url.as_str(), server.instance_url.as_str()]
        .contains(&audience)
    {
        return Err("audience is invalid");
    }
    let expires = claims
        .get("exp")
        .and_then(|exp| exp.as_f64().or_else(|| exp.as_str().and_then(|text| text.parse().ok())))
        .ok_or("assertion has no expiry")?;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double exactly")]
    let now = server.settings.clock.now_ms() as f64 / 1000.0;
    if expires < now {
        return Err("expired authorization code");
    }
    Ok(())
}

fn granted(server: &Server, user: RecordId, refresh: Option<String>) -> Reply {
    let now = server.settings.clock.now_ms();
    let token = server.sessions.open(user, now);
    let id = format!("{}/id/{}/{user}", server.instance_url, server.org.org_id());
    let signature = STANDARD.encode(Sha256::digest(format!("{id}{now}{}", server.settings.client_secret)));
    let mut body = json!({
        "access_token": token,
        "signature": signature,
        "scope": "api refresh_token",
        "instance_url": server.instance_url,
        "id": id,
        "token_type": "Bearer",
        "issued_at": now.to_string(),
    });
    if let (Some(refresh), Some(fields)) = (refresh, body.as_object_mut()) {
        fields.insert("refresh_token".to_owned(), json!(refresh));
    }
    Reply::json(200, body)
}

/// Everybody has approved: the redirect comes at once.
fn authorize(server: &Server, form: &Form) -> Reply {
    if field(form, "client_id") != Some(server.settings.client_id.as_str()) {
        return oauth_error("invalid_client_id", "client identifier invalid");
    }
    let Some(redirect_uri) = field(form, "redirect_uri") else { return oauth_error("invalid_request", "redirect_uri is missing") };
    if field(form, "response_type") != Some("code") {
        return oauth_error("unsupported_response_type", "response type not supported");
    }
    let code = server.sessions.code(Code {
        redirect_uri: redirect_uri.to_owned(),
        challenge: field(form, "code_challenge").map(str::to_owned),
        user: server.org.integration_user(),
    });
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    let state = field(form, "state").map(|state| format!("&state={}", encode(state))).unwrap_or_default();
    Reply::empty(302).with("location", format!("{redirect_uri}{joint}code={code}{state}"))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

fn userinfo(server: &Server, user: RecordId) -> Json {
    let record = server.org.record(user).unwrap_or_default();
    let text = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let rest = format!("{}/services/data/v{{version}}/", server.instance_url);
    json!({
        "sub": format!("{}/id/{}/{user}", server.instance_url, server.org.org_id()),
        "user_id": user.to_string(),
        "organization_id": server.org.org_id().to_string(),
        "preferred_username": text("Username"),
        "username": text("Username"),
        "nickname": text("FirstName"),
        "name": text("Name"),
        "email": text("Email"),
        "email_verified": true,
        "active": true,
        "user_type": "STANDARD",
        "urls": {"rest": rest, "sobjects": format!("{rest}sobjects/"), "query": format!("{rest}query/")},
    })
}

fn soap_login(server: &Server, body: &str, path: &str) -> Reply {
    let (username, password) = (element(body, "username"), element(body, "password"));
    let refuse = server.live.read(|live| live.refuse_login);
    if refuse
        || username.as_deref() != Some(server.settings.username.as_str())
        || !password.is_some_and(|password| password.starts_with(&server.settings.password))
    {
        return Reply::text(
            500,
            "text/xml; charset=utf-8",
            r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: Invalid username, password, security token; or user locked out.</faultstring><detail><sf:LoginFault><sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode><sf:exceptionMessage>Invalid username, password, security token; or user locked out.</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"#.to_owned(),
        );
    }
    let user = server.org.integration_user();
    let token = server.sessions.open(user, server.settings.clock.now_ms());
    let (org, url) = (server.org.org_id(), format!("{}{path}/{}", server.instance_url, server.org.org_id()));
    Reply::text(
        200,
        "text/xml; charset=utf-8",
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result><metadataServerUrl>{url}</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>false</sandbox><serverUrl>{url}</serverUrl><sessionId>{token}</sessionId><userId>{user}</userId><userInfo><organizationId>{org}</organizationId><userId>{user}</userId><userName>{}</userName><sessionSecondsValid>7200</sessionSecondsValid></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"#,
            server.settings.username
        ),
    )
}

/// The text of the first element with this local name.
fn element(xml: &str, name: &str) -> Option<String> {
    let mut rest = xml;
    while let Some(open) = rest.find('<') {
        let (tag, after) = rest[open + 1..].split_once('>')?;
        let local = tag.split_whitespace().next().unwrap_or_default();
        if local.rsplit(':').next() == Some(name) && !local.starts_with('/') {
            let text = after.split('<').next().unwrap_or_default();
            return Some(
                text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&"),
            );
        }
        rest = after;
    }
    None
}
