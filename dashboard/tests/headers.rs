//! What every answer carries: the content security policy, caching, and no entry for foreign forms.

use anyhow::{Context as _, Result};
use reqwest::Method;

use crate::stack::Stack;

#[tokio::test]
async fn every_answer_carries_the_policy_and_pages_hold_no_inline_script_or_style() -> Result<()> {
    let stack = Stack::start().await?;
    crate::rows::all_well(&stack.pool).await?;
    crate::rows::Conflict::default().open(&stack.pool).await?;
    stack.sign_in().await?;
    for path in ["/", "/conflicts", "/conflicts/e1", "/failures", "/login", "/nowhere", "/api/crm/status", "/health"] {
        let answer = stack.get(path).await?;
        let headers = answer.headers().clone();
        let policy = headers.get("content-security-policy").context("a policy")?.to_str()?;
        assert!(policy.contains("default-src 'none'; script-src 'self'; style-src 'self'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(
            (&headers["x-content-type-options"], &headers["referrer-policy"]),
            (&"nosniff".parse()?, &"same-origin".parse()?),
            "{path}"
        );
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        let text = answer.text().await?;
        let lower = text.to_lowercase();
        assert!(
            !lower.contains(" style=") && !lower.contains("<style") && !lower.contains(" onclick=") && !lower.contains("<script>"),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn assets_keep_for_a_year_are_small_and_known_by_their_tag() -> Result<()> {
    let stack = Stack::start().await?;
    let page = stack.page("/login").await?;
    let styles = page.split('"').find(|part| part.starts_with("/assets/app.") && part.ends_with(".css")).context("a style sheet")?;
    let answer = stack.request(Method::GET, styles).header("accept-encoding", "br").send().await?;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-encoding"].to_str()?), (200, "br"));
    assert!(answer.headers()["cache-control"].to_str()?.contains("immutable"));
    let tag = answer.headers()["etag"].to_str()?.to_owned();
    assert!(answer.bytes().await?.len() < 9000);
    let again = stack.request(Method::GET, styles).header("if-none-match", tag).send().await?;
    assert_eq!(again.status(), 304);
    assert_eq!(stack.get("/assets/../Cargo.toml").await?.status(), 404);
    Ok(())
}

#[tokio::test]
async fn health_and_metrics_need_no_sign_in_and_tell_no_values() -> Result<()> {
    let stack = Stack::start().await?;
    crate::rows::all_well(&stack.pool).await?;
    let health = stack.get("/health").await?;
    assert_eq!(health.status(), 200);
    crate::rows::health(&stack.pool, "sink.crm", "failing", "Salesforce refused the token of Northwind", "", 1, serde_json::json!({}))
        .await?;
    let health = stack.get("/health").await?;
    assert_eq!(health.status(), 503);
    let body = health.text().await?;
    assert!(body.contains(r#""component":"sink.crm","state":"failing""#) && !body.contains("Northwind"), "{body}");
    let metrics = stack.page("/metrics").await?;
    assert!(
        metrics.contains("dashboard_request_seconds_bucket") && metrics.contains("# TYPE dashboard_responses_total counter"),
        "{metrics}"
    );
    Ok(())
}
