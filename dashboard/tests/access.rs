//! Every route with every scope: who gets in, and who is told to sign in.

use anyhow::Result;
use dashboard::{Access, Scope, table};
use reqwest::{Client, redirect};

use crate::rows::Conflict;
use crate::stack::{Stack, token};

/// Every route × (nobody, read, sync, admin): nobody gets past a guard, and a scope opens exactly what it includes.
#[tokio::test]
async fn every_route_opens_for_its_scope_and_for_no_less() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict::default().open(&stack.pool).await?;
    let client = Client::builder().redirect(redirect::Policy::none()).build()?;
    let mut seen = 0;
    for route in table() {
        for who in [None, Some(Scope::Read), Some(Scope::Sync), Some(Scope::Admin)] {
            // An id that is not there: the table is about who may ask, not about what is found.
            let path = route
                .path
                .replace("{entity}", "nothing")
                .replace("{id}", "nothing")
                .replace("{name}", "nothing")
                .replace("/events", "/events?page=nothing");
            let mut request = client.request(route.method.clone(), stack.url(&path));
            if route.path == "/api/crm/decisions" && route.method == reqwest::Method::POST {
                request = request.json(&serde_json::json!({"decisions": [{"action": "reopen", "conflict": "nothing"}]}));
            } else if route.path.ends_with("/resolve") && route.path.starts_with("/api") {
                request = request.json(&serde_json::json!({"choice": "crm"}));
            } else if ["/resolve", "/restore", "/answer", "/undo", "/retry"].iter().any(|end| route.path.ends_with(end))
                && route.method == reqwest::Method::POST
            {
                request = request.form(&[("choice:x", "crm"), ("answer", "same"), ("of", "nothing"), ("restore", "crm:nothing")]);
            } else if route.path == "/login" && route.method == reqwest::Method::POST {
                request = request.form(&[("password", crate::stack::PASSWORD)]);
            }
            if let Some(scope) = who {
                request = request.bearer_auth(token(scope));
            }
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let to_sign_in = answer.headers().get("location").is_some_and(|to| to.to_str().unwrap_or_default().starts_with("/login"));
            let may = match (route.access, who) {
                (Access::Open, _) => true,
                (Access::Scope(_), None) => false,
                (Access::Scope(needed), Some(scope)) => scope >= needed,
            };
            let turned_away = status == 401 || (status == 403) || (to_sign_in && who.is_none() && route.path != "/logout");
            let turned_away = turned_away || (who.is_none() && route.path == "/logout" && to_sign_in);
            assert_eq!(!turned_away, may, "{} {} as {who:?} answers {status}", route.method, route.path);
            seen += 1;
        }
    }
    assert!(seen >= 39 * 4, "the table has become shorter: {seen}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_cookie_open_nothing() -> Result<()> {
    let stack = Stack::start().await?;
    let client = Client::builder().redirect(redirect::Policy::none()).build()?;
    for value in ["Bearer wrong", "Bearer ", "Basic YWRtaW46YWRtaW4=", "token-for-tests-crm.admin"] {
        let answer = client.get(stack.url("/api/crm/status")).header("authorization", value).send().await?;
        assert_eq!(answer.status(), 401, "{value}");
        let body: serde_json::Value = answer.json().await?;
        assert_eq!(body["error"]["code"], "unauthenticated");
    }
    for cookie in ["concord_session=", "concord_session=AAAA", "concord_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = client.get(stack.url("/")).header("cookie", cookie).send().await?;
        assert_eq!(answer.status(), 303, "{cookie}");
    }
    Ok(())
}

#[tokio::test]
async fn further_routes_are_open_on_loopback_unless_told_otherwise() -> Result<()> {
    let open = Stack::start().await?;
    assert_eq!(open.get("/subjects").await?.status(), 200);
    let closed = Stack::with(|config| config.extra_open = Some(false)).await?;
    assert_ne!(closed.get("/subjects").await?.status(), 200);
    let client = Client::new();
    assert_eq!(client.get(closed.url("/subjects")).bearer_auth(token(Scope::Read)).send().await?.status(), 200);
    Ok(())
}
