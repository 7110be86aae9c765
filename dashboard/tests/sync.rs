//! The sync page in its states: empty, healthy, failing, paused, stale.

use anyhow::Result;
use schemas::message::Setting;
use serde_json::json;

use crate::rows;
use crate::stack::Stack;

/// The text of the headline.
fn headline(page: &str) -> &str {
    page.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).map_or("", |(text, _)| text)
}

#[tokio::test]
async fn an_empty_read_model_says_that_nothing_has_reported() -> Result<()> {
    let stack = Stack::start().await?;
    stack.sign_in().await?;
    let page = stack.page("/").await?;
    assert_eq!(headline(&page), "Nothing has reported yet");
    for text in ["No report yet", "No edits were carried across in the last hour", "Nothing yet", "No opportunities yet"] {
        assert!(page.contains(text), "{text}");
    }
    let failures = stack.page("/failures").await?;
    assert!(failures.contains("No write has failed") && failures.contains("No message was set aside"));
    Ok(())
}

#[tokio::test]
async fn the_headline_names_the_worst_state_first() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    stack.sign_in().await?;
    rows::all_well(pool).await?;
    assert_eq!(headline(&stack.page("/").await?), "Everything is in sync");
    rows::Conflict::default().open(pool).await?;
    assert_eq!(headline(&stack.page("/").await?), "1 conflict waits");
    rows::health(pool, "matcher", "running", "", "", 45, json!({})).await?;
    let page = stack.page("/").await?;
    assert_eq!(headline(&page), "Matching has been silent for 45 s, 1 conflict waits");
    assert!(page.contains("Stale"));
    rows::failed_write(pool, "w1").await?;
    rows::dead_letter(pool, "not a number").await?;
    assert_eq!(headline(&stack.page("/").await?), "2 records failed, matching has been silent for 45 s");
    rows::health(pool, "sink.crm", "failing", "Salesforce refused the token", "Connect again with concord check", 1, json!({})).await?;
    let page = stack.page("/").await?;
    assert_eq!(headline(&page), "Writing to Salesforce needs help, 2 records failed");
    assert!(page.contains("Salesforce refused the token. Connect again with concord check."));
    Ok(())
}

#[tokio::test]
async fn flow_latency_changes_and_figures_are_shown() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    rows::all_well(pool).await?;
    rows::figures(pool).await?;
    rows::flow(pool, "erp", 3, 312, 2, 4).await?;
    rows::flow(pool, "crm", 3, 148, 0, 14).await?;
    rows::audit(pool, "a1", "Ostrava Steelworks a.s.", "erp", json!("Net 60"), json!("<b>Net 30</b>"), 5).await?;
    rows::write(pool, "w1", "e1", "erp", "sent", None).await?;
    stack.sign_in().await?;
    let page = stack.page("/").await?;
    for text in [
        "Salesforce to ERP between 0 and 312",
        "2 conflicts were found",
        "p50 40 ms, p95 49 ms, 1 in flight",
        "<bdi>Ostrava Steelworks a.s.</bdi>",
        "<del><bdi>Net 60</bdi></del>",
        "&#60;b&#62;Net 30&#60;/b&#62;",
        "took 48 ms",
        "18,420,500.50",
        "65.5 %",
        "280,240.00",
        "61,204",
        "PostgreSQL 17.2, concord_erp",
        "18 MB",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(!page.contains("<b>Net 30</b>"));
    Ok(())
}

#[tokio::test]
async fn pausing_writes_the_setting_and_the_page_shows_it_at_once() -> Result<()> {
    let stack = Stack::start().await?;
    rows::all_well(&stack.pool).await?;
    stack.sign_in().await?;
    assert_eq!(stack.post("/pause", &[]).await?.status(), 303);
    let found = stack.messages::<Setting>(&stack.topics.control()).await?;
    let (key, setting) = &found[0];
    assert_eq!(
        (key.as_str(), setting.name.as_str(), setting.value.as_str(), setting.version, setting.actor.as_str()),
        ("pause", "pause", r#"{"paused":true}"#, 1, "admin")
    );
    assert!(stack.page("/").await?.contains("Pausing"));
    sqlx::query("insert into setting values ('pause', '{\"paused\": true}', 1, 'admin', now())").execute(&stack.pool).await?;
    let page = stack.page("/").await?;
    assert_eq!(headline(&page), "Sync is paused by admin");
    assert!(page.contains("Resume sync") && !page.contains("Pausing"));
    stack.post("/resume", &[]).await?;
    let found = stack.messages::<Setting>(&stack.topics.control()).await?;
    assert_eq!((found[1].1.value.as_str(), found[1].1.version), (r#"{"paused":false}"#, 2));
    Ok(())
}

#[tokio::test]
async fn failures_have_their_reason_and_remedy() -> Result<()> {
    let stack = Stack::start().await?;
    rows::failed_write(&stack.pool, "w1").await?;
    rows::dead_letter(&stack.pool, "credit_limit holds n/a").await?;
    stack.sign_in().await?;
    let page = stack.page("/failures").await?;
    for text in [
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "Change the value in the ERP.",
        "credit_limit holds n/a",
        "Correct the row; it is read again.",
        "offset 4711",
    ] {
        assert!(page.contains(text), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_set_aside_of_one_record_is_one_failure_under_its_name() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    stack.sign_in().await?;
    rows::all_well(pool).await?;
    rows::link(pool, "e1", "erp", "10482").await?;
    sqlx::query("insert into entity (entity, kind, title, updated_at) values ('e1', 'customer', $1, now())")
        .bind("Acme ".repeat(80))
        .execute(pool)
        .await?;
    for reason in ["first", "second", "cannot read \"N99\""] {
        rows::dead_letter(pool, reason).await?;
    }
    assert_eq!(headline(&stack.page("/").await?), "1 record failed");
    let page = stack.page("/failures").await?;
    assert!(page.contains("cannot read &#34;N99&#34;") && page.contains("3 times, first") && !page.contains("second"), "{page}");
    assert!(page.contains("Acme Acme") && page.contains('\u{2026}') && !page.contains(&"Acme ".repeat(20)), "{page}");
    let (_, failures) = stack.api(reqwest::Method::GET, "/api/crm/failures", dashboard::Scope::Read, None).await?;
    let letter = &failures["dead_letters"][0];
    assert_eq!((&letter["record"], &letter["times"]), (&json!("10482"), &json!(3)), "{failures}");
    Ok(())
}

#[tokio::test]
async fn a_refused_write_is_one_failure_until_a_later_one_gets_across() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    stack.sign_in().await?;
    rows::all_well(pool).await?;
    rows::failed_write(pool, "w1").await?;
    // The sink sets the refused write aside as well.
    rows::dead_letter(pool, "FIELD_CUSTOM_VALIDATION_EXCEPTION: Terms must be 14 or more").await?;
    sqlx::query("update dead_letter set source_topic = 'writes.crm', key = convert_to('e9', 'UTF8')").execute(pool).await?;
    assert_eq!(headline(&stack.page("/").await?), "1 record failed");
    let page = stack.page("/failures").await?;
    assert!(page.contains("Terms must be 14 or more") && page.contains("No message was set aside"));
    sqlx::query("update write set \"values\" = '{\"Terms__c\": 10}' where id = 'w1'").execute(pool).await?;
    rows::write(pool, "w2", "e9", "crm", "confirmed", None).await?;
    assert_eq!(headline(&stack.page("/").await?), "1 record failed", "the later write was of another column");
    sqlx::query("update write set \"values\" = '{\"Terms__c\": 14, \"Name\": \"x\"}' where id = 'w2'").execute(pool).await?;
    assert_eq!(headline(&stack.page("/").await?), "Everything is in sync");
    assert!(stack.page("/failures").await?.contains("No write has failed"));
    Ok(())
}
