//! What was refused is tried again by a decision, which is shown at once, and the failure ends when it gets across.

use anyhow::Result;
use dashboard::Scope;
use reqwest::Method;
use schemas::message::{Action, Decision, Side};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::rows;
use crate::stack::{Events, Stack, event, token};

/// A write to the CRM of these columns of a known record, in some state.
async fn write(pool: &PgPool, id: &str, entity: &str, state: &str, columns: &Value) -> Result<()> {
    rows::write(pool, id, entity, "crm", state, None).await?;
    sqlx::query(
        "update write set \"values\" = $2, caused_at = '2026-03-01T09:00:00Z', code = 'NO_ACCESS', message = 'Not yours.' where id = $1",
    )
    .bind(id)
    .bind(columns)
    .execute(pool)
    .await?;
    Ok(())
}

/// What the mapping could not write of an entity.
async fn unwritten(pool: &PgPool, entity: &str) -> Result<()> {
    rows::dead_letter(pool, "name: cannot write a value to erp column name: it has 60 characters, and the mapping allows 40").await?;
    sqlx::query(
        "update dead_letter set topic = 'entity.changes.dlq', source_topic = 'entity.changes', component = 'reconciler', key = convert_to($1, 'UTF8') \
         where component = 'matcher'",
    )
    .bind(entity)
    .execute(pool)
    .await?;
    Ok(())
}

async fn known(pool: &PgPool, entities: &[&str]) -> Result<()> {
    for entity in entities {
        rows::link(pool, entity, "crm", &format!("001{entity}")).await?;
    }
    Ok(())
}

fn buttons(page: &str) -> usize {
    page.matches("name=\"again\"").count()
}

#[tokio::test]
async fn a_failure_is_tried_again_by_a_button_and_shows_so_at_once() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    known(pool, &["e1", "e2"]).await?;
    write(pool, "e1:w1", "e1", "failed", &json!({"Name": "x"})).await?;
    write(pool, "e2:w1", "e2", "failed", &json!({})).await?;
    sqlx::query("update write set op = 'delete' where id = 'e2:w1'").execute(pool).await?;
    rows::dead_letter(pool, "credit_limit holds n/a").await?;
    stack.sign_in().await?;
    let page = stack.page("/failures").await?;
    assert_eq!(buttons(&page), 1, "neither a deletion nor what cannot be read is tried again, and one needs no button for all: {page}");
    let mut events = Events::open(&stack, "/events?page=failures").await?;
    let answer = stack.post("/failures/retry", &[("again", "retry:crm:e1")]).await?;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str()?), (303, "/failures"));
    event(&mut events, |_, data| data.contains("Decided, being carried out")).await?;
    let page = stack.page("/failures").await?;
    assert!(page.contains("Decided, being carried out") && buttons(&page) == 0, "it is not offered twice: {page}");
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    let (key, again) = &made[0];
    assert_eq!((key.as_str(), again.action, again.side, again.batch.as_deref()), ("e1", Action::Retry, Some(Side::Crm), None));

    // The answers of the reconciler.
    rows::decision(pool, again, Some(("refused", "name: cannot write it; correct the value or the mapping first"))).await?;
    let page = stack.page("/failures").await?;
    assert!(page.contains("Cannot be tried again yet") && page.contains("Name: cannot write it") && buttons(&page) == 1, "{page}");
    rows::decision(pool, again, Some(("accepted", "1 field is tried again"))).await?;
    let page = stack.page("/failures").await?;
    assert!(page.contains("Being tried again") && buttons(&page) == 0, "{page}");
    Ok(())
}

#[tokio::test]
async fn all_that_was_refused_is_tried_again_in_one_go_with_one_decision_for_each_record() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    known(pool, &["e1", "e2", "e3"]).await?;
    write(pool, "e1:w1", "e1", "failed", &json!({"Name": "x"})).await?;
    write(pool, "e1:w2", "e1", "failed", &json!({"Phone": "1"})).await?;
    write(pool, "e3:w1", "e3", "failed", &json!({"Name": "x"})).await?;
    sqlx::query("update write set kind = 'order', side = 'erp', op = 'create' where entity = 'e3'").execute(pool).await?;
    unwritten(pool, "e2").await?;
    stack.sign_in().await?;
    let page = stack.page("/failures").await?;
    assert!(page.contains("Try all again") && buttons(&page) == 5, "{page}");
    stack.post("/failures/retry", &[("again", "all")]).await?;
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    let mut asked: Vec<_> = made.iter().map(|(_, one)| (one.entity.as_str(), one.action, one.side)).collect();
    asked.sort_unstable_by_key(|(entity, ..)| *entity);
    assert_eq!(asked, [("e1", Action::Retry, None), ("e2", Action::Retry, None), ("e3", Action::Convert, None)]);
    assert!(made[0].1.batch.is_some() && made.iter().all(|(_, one)| one.batch == made[0].1.batch), "one batch");
    assert_eq!(buttons(&stack.page("/failures").await?), 0);
    let again = stack.post("/failures/retry", &[("again", "all")]).await?;
    assert_eq!(again.status().as_u16(), 422, "all of it is being carried out");
    assert!(again.text().await?.contains("nothing was decided"));
    Ok(())
}

#[tokio::test]
async fn a_failure_ends_when_what_was_tried_again_gets_across_and_is_told_anew_when_it_does_not() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    known(pool, &["e1"]).await?;
    let failures = async || -> Result<Vec<String>> {
        let (_, found) = stack.api(Method::GET, "/api/crm/failures", Scope::Read, None).await?;
        Ok(found["writes"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect())
    };
    // The write of the second try carries the same edit, made at the same time.
    write(pool, "e1:w9", "e1", "failed", &json!({"Name": "x", "Phone": "1"})).await?;
    write(pool, "e1:w10", "e1", "failed", &json!({"Name": "x", "Phone": "1"})).await?;
    assert_eq!(failures().await?, ["e1:w10"], "one failure, the newest");
    write(pool, "e1:w11", "e1", "sent", &json!({"Name": "x", "Phone": "1"})).await?;
    assert_eq!(failures().await?, ["e1:w10"], "nothing has got across yet");
    write(pool, "e1:w11", "e1", "confirmed", &json!({"Phone": "1"})).await?;
    assert_eq!(failures().await?, ["e1:w10"], "one of two columns has");
    write(pool, "e1:w12", "e1", "confirmed", &json!({"Name": "x"})).await?;
    assert_eq!(failures().await?, [""; 0]);

    // Somebody has put the value there by hand.
    write(pool, "e1:w13", "e1", "failed", &json!({"Email": "a@example.com"})).await?;
    assert_eq!(failures().await?, ["e1:w13"]);
    let retry = |id: &str, side| Decision { side, ..Decision::new(id, "e1", Action::Retry, "Ada", 0) };
    rows::decision(pool, &retry("d1", Some(Side::Erp)), Some(("unchanged", "nothing was refused"))).await?;
    rows::decision(pool, &retry("d2", None), Some(("unchanged", "this decision was taken before"))).await?;
    assert_eq!(failures().await?, ["e1:w13"], "neither says so of this side");
    rows::decision(pool, &retry("d3", Some(Side::Crm)), Some(("unchanged", "nothing was refused"))).await?;
    assert_eq!(failures().await?, [""; 0]);
    write(pool, "e1:w14", "e1", "failed", &json!({"Email": "b@example.com"})).await?;
    assert_eq!(failures().await?, ["e1:w14"], "a later one is told");
    Ok(())
}

#[tokio::test]
async fn a_program_is_told_what_to_ask_for_and_a_reader_gets_no_button() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    known(pool, &["e1"]).await?;
    write(pool, "e1:w1", "e1", "failed", &json!({"Name": "x"})).await?;
    unwritten(pool, "e1").await?;
    let (_, found) = stack.api(Method::GET, "/api/crm/failures", Scope::Read, None).await?;
    assert_eq!(found["writes"][0]["again"], json!({"action": "retry", "entity": "e1", "side": "crm"}));
    assert_eq!(found["dead_letters"][0]["again"], json!({"action": "retry", "entity": "e1"}));
    let body = |entity: &str, side: &str| Some(json!({"decisions": [{"action": "retry", "entity": entity, "side": side}]}));
    let ask = async |scope, body| stack.api(Method::POST, "/api/crm/decisions", scope, body).await;
    assert_eq!(ask(Scope::Read, body("e1", "crm")).await?.0, 403);
    assert_eq!(ask(Scope::Sync, body("nobody", "crm")).await?.0, 404);
    assert_eq!(ask(Scope::Sync, body("e1", "left")).await?.0, 422);
    // A record's own id will do.
    let (status, taken) = ask(Scope::Sync, body("001e1", "erp")).await?;
    assert_eq!(
        (status, taken["decisions"][0]["action"].as_str(), taken["decisions"][0]["entity"].as_str()),
        (200, Some("retry"), Some("e1"))
    );

    let page = reqwest::Client::new().get(stack.url("/failures")).bearer_auth(token(Scope::Read)).send().await?.text().await?;
    assert!(page.contains("NO_ACCESS") && buttons(&page) == 0, "{page}");
    Ok(())
}
