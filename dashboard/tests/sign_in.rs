//! Signing in and out, wrong passwords, and sessions that end.

use anyhow::Result;
use dashboard::{PasswordSource, Secret};
use reqwest::{Method, header};

use crate::stack::{PASSWORD, Stack};

#[tokio::test]
async fn a_page_leads_to_the_sign_in_and_back() -> Result<()> {
    let stack = Stack::start().await?;
    let answer = stack.get("/conflicts?state=settled").await?;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()[header::LOCATION], "/login?next=/conflicts%3Fstate%3Dsettled");
    let form = stack.page("/login?next=/conflicts%3Fstate%3Dsettled").await?;
    assert!(form.contains(r#"name="next" value="/conflicts?state=settled""#), "{form}");
    let answer = stack.post("/login", &[("password", PASSWORD), ("next", "/conflicts?state=settled")]).await?;
    assert_eq!((answer.status().as_u16(), answer.headers()[header::LOCATION].to_str()?), (303, "/conflicts?state=settled"));
    let elsewhere = stack.post("/login", &[("password", PASSWORD), ("next", "//evil.example")]).await?;
    assert_eq!(elsewhere.headers()[header::LOCATION], "/");
    Ok(())
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_and_ends_with_the_sign_out() -> Result<()> {
    let stack = Stack::start().await?;
    let answer = stack.sign_in().await?;
    let cookie = answer.headers()[header::SET_COOKIE].to_str()?.to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    let stored: Vec<u8> = sqlx::query_scalar("select token_hash from session").fetch_one(&stack.pool).await?;
    assert!(stored.len() == 32 && !cookie.contains(&String::from_utf8_lossy(&stored).into_owned()));
    stack.page("/").await?;
    assert_eq!(stack.post("/logout", &[]).await?.status(), 303);
    assert_eq!(stack.get("/").await?.status(), 303);
    let left: i64 = sqlx::query_scalar("select count(*) from session").fetch_one(&stack.pool).await?;
    assert_eq!(left, 0);
    Ok(())
}

#[tokio::test]
async fn a_session_ends_with_its_time() -> Result<()> {
    let stack = Stack::start().await?;
    stack.sign_in().await?;
    sqlx::query("update session set expires_at = now() - interval '1 second'").execute(&stack.pool).await?;
    assert_eq!(stack.get("/").await?.status(), 303);
    Ok(())
}

#[tokio::test]
async fn after_five_wrong_passwords_even_the_right_one_must_wait() -> Result<()> {
    let stack = Stack::start().await?;
    for _ in 0..5 {
        assert_eq!(stack.post("/login", &[("password", "wrong")]).await?.status(), 401);
    }
    let answer = stack.post("/login", &[("password", PASSWORD)]).await?;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
    assert!(!answer.headers().contains_key(header::SET_COOKIE));
    Ok(())
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() -> Result<()> {
    let stack = Stack::start().await?;
    stack.sign_in().await?;
    let cross = stack.request(Method::POST, "/pause").header("sec-fetch-site", "cross-site").send().await?;
    assert_eq!(cross.status(), 403);
    let foreign = stack.request(Method::POST, "/pause").header("origin", "https://evil.example").send().await?;
    assert_eq!(foreign.status(), 403);
    let own = stack.request(Method::POST, "/pause").header("sec-fetch-site", "same-origin").send().await?;
    assert_eq!(own.status(), 303);
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_starts() -> Result<()> {
    for (change, setting) in [
        (
            Box::new(|config: &mut dashboard::Config| config.admin_password = PasswordSource::Plain(Secret::new(" ")))
                as Box<dyn FnOnce(&mut _)>,
            "admin_password",
        ),
        (Box::new(|config: &mut dashboard::Config| config.admin_password = PasswordSource::File("/no/such/file".into())), "admin_password"),
        (Box::new(|config: &mut dashboard::Config| config.api_tokens[0].token = Secret::new("short")), "api_tokens"),
        (Box::new(|config: &mut dashboard::Config| config.public_url = Some("concord.example.com".into())), "public_url"),
    ] {
        let error = Stack::on("postgres://nobody@127.0.0.1:1/none", change).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(setting), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_read_model_that_does_not_answer_is_said_and_nobody_gets_in() -> Result<()> {
    let stack = Stack::on("postgres://nobody@127.0.0.1:1/none", |_| ()).await?;
    let health = stack.get("/health").await?;
    assert_eq!(health.status(), 503);
    assert!(health.text().await?.contains("unavailable"));
    let answer = stack.request(Method::GET, "/api/crm/status").bearer_auth(crate::stack::token(dashboard::Scope::Read)).send().await?;
    assert_eq!(answer.status(), 503);
    let page = answer.text().await?;
    assert!(page.contains("read_model_unavailable") && page.contains("concord migrate") && !page.contains("nobody@"), "{page}");
    Ok(())
}
