//! Taking writes back: what would be written is shown first, and what was shown is what is asked for.

use anyhow::Result;
use dashboard::Scope;
use reqwest::Method;
use schemas::message::{Action, Decision};
use serde_json::{Value, json};

use crate::rows::{self, Conflict};
use crate::stack::{Events, Stack, event};

async fn preview(stack: &Stack, query: &str) -> Result<(u16, Value)> {
    stack.api(Method::GET, &format!("/api/crm/undo?{query}"), Scope::Read, None).await
}

#[tokio::test]
async fn a_write_is_taken_back_after_it_was_shown_field_by_field() -> Result<()> {
    let stack = Stack::start().await?;
    rows::audit(&stack.pool, "a1", "Acme", "erp", json!("+49 1"), json!("+49 2"), 60).await?;
    stack.sign_in().await?;
    assert!(stack.page("/").await?.contains("href=\"/changes/a1/undo\""));
    let page = stack.page("/changes/a1/undo").await?;
    for text in ["Acme", "Goes back to", "+49 1", "+49 2", "Undo this write", "after an edit by <bdi>Dana Ruiz</bdi>"] {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    let mut events = Events::open(&stack, "/events?page=undo&entity=a1").await?;
    event(&mut events, |_, data| data.contains("Undo this write")).await?;
    let answer = stack.post("/changes/a1/undo", &[]).await?;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str()?), (303, "/changes/a1/undo"));
    let page = stack.page("/changes/a1/undo").await?;
    assert!(page.contains("Decided") && !page.contains("Undo this write"), "it is not offered twice: {page}");
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    let (key, undo) = &made[0];
    assert_eq!((key.as_str(), undo.action, undo.write.as_deref(), undo.force), ("e1", Action::Undo, Some("a1"), false));

    rows::decision(&stack.pool, undo, Some(("refused", "Phone was edited since, in the ERP"))).await?;
    stack.notify().await?;
    event(&mut events, |_, data| data.contains("Phone was edited since, in the ERP.")).await?;
    let page = stack.page("/changes/a1/undo").await?;
    assert!(page.contains("Undo this write"), "a refused undo may be asked for again: {page}");
    stack.post("/changes/a1/undo", &[("force", "yes")]).await?;
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    assert!(made[1].1.force);
    rows::decision(&stack.pool, &made[1].1, Some(("accepted", "both sides get back what they held"))).await?;
    sqlx::query("update decision set at = now() + interval '1 second' where id = $1").bind(&made[1].1.id).execute(&stack.pool).await?;
    let page = stack.page("/").await?;
    assert!(page.contains("undone by <bdi>admin</bdi>") && !page.contains("Undo<span"), "{page}");
    let (_, plan) = preview(&stack, "write=a1").await?;
    assert!(plan["items"][0]["ask"].is_null() && plan["items"][0]["refused"].as_str().is_some_and(|why| why.contains("already")), "{plan}");
    Ok(())
}

#[tokio::test]
async fn a_decision_that_waits_says_for_what_and_is_done_only_after_its_answer() -> Result<()> {
    let stack = Stack::start().await?;
    rows::audit(&stack.pool, "a1", "Acme", "erp", json!("+49 1"), json!("+49 2"), 60).await?;
    let made =
        |id: &str| Decision { write: Some("a1".into()), batch: Some("b1".into()), ..Decision::new(id, "e1", Action::Undo, "Ada", 0) };
    rows::decision(&stack.pool, &made("d1"), None).await?;
    rows::decision(&stack.pool, &made("d2"), Some(("waiting", "it waits for a write on its way to this record"))).await?;
    sqlx::query("update decision set answered_at = now() - interval '1 hour', at = at + interval '1 second' where id = 'd2'")
        .execute(&stack.pool)
        .await?;
    stack.sign_in().await?;
    let page = stack.page("/changes/a1/undo").await?;
    assert!(page.contains("Decided, waiting") && page.contains("It waits for a write on its way to this record."), "{page}");
    assert!(!page.contains("Undo this write"), "it is not offered twice: {page}");
    let list = async |result: &str| -> Result<Vec<(Value, Value)>> {
        let (_, list) = stack.api(Method::GET, &format!("/api/crm/decisions?result={result}"), Scope::Read, None).await?;
        Ok(list["items"].as_array().into_iter().flatten().map(|item| (item["id"].clone(), item["done"].clone())).collect())
    };
    assert_eq!(list("waiting").await?, [(json!("d2"), json!(false)), (json!("d1"), json!(false))]);
    let (_, stands) = stack.api(Method::GET, "/api/crm/batches/b1", Scope::Read, None).await?;
    assert_eq!((&stands["decisions"], &stands["waiting"], &stands["done"]), (&json!(2), &json!(2), &json!(0)), "{stands}");
    let (_, plan) = preview(&stack, "decision=d2").await?;
    assert!(plan["items"][0]["refused"].as_str().is_some_and(|why| why.contains("waits for a write")), "{plan}");

    rows::decision(&stack.pool, &made("d1"), Some(("refused", "Phone was edited since"))).await?;
    rows::decision(&stack.pool, &made("d2"), Some(("accepted", "both sides get back what they held"))).await?;
    sqlx::query("update decision set answered_at = now() - interval '1 hour'").execute(&stack.pool).await?;
    assert_eq!((list("waiting").await?, list("accepted").await?), (vec![], vec![(json!("d2"), json!(true))]));
    let (_, stands) = stack.api(Method::GET, "/api/crm/batches/b1", Scope::Read, None).await?;
    assert_eq!((&stands["waiting"], &stands["done"]), (&json!(0), &json!(2)), "{stands}");
    Ok(())
}

#[tokio::test]
async fn records_with_one_id_are_listed_with_what_they_are() -> Result<()> {
    let stack = Stack::start().await?;
    rows::link(&stack.pool, "e2", "erp", "7001").await?;
    sqlx::query("update link set kind = 'contact', object = 'public.contacts'").execute(&stack.pool).await?;
    rows::link(&stack.pool, "e1", "erp", "7001").await?;
    sqlx::query("insert into entity (entity, kind, title, updated_at) values ('e1', 'customer', 'Acme', now())")
        .execute(&stack.pool)
        .await?;
    let body = json!({"decisions": [{"action": "create", "entity": "7001"}]});
    let (status, error) = stack.api(Method::POST, "/api/crm/decisions", Scope::Sync, Some(body)).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (422, Some("several_records")), "{error}");
    assert_eq!(error["error"]["remedy"], "Give the entity's id: e2 (contact), e1 (customer Acme).");
    Ok(())
}

#[tokio::test]
async fn a_time_range_is_listed_newest_first_with_what_was_edited_since() -> Result<()> {
    let stack = Stack::start().await?;
    for (id, age) in [("a1", 300), ("a2", 200), ("a3", 100)] {
        rows::audit(&stack.pool, id, "Acme", "erp", json!(id), json!(format!("{id}+")), age).await?;
    }
    sqlx::query("update audit set actor = 'bulk.job' where id <> 'a3'").execute(&stack.pool).await?;
    sqlx::query("update audit set entity = 'e2' where id = 'a1'").execute(&stack.pool).await?;
    rows::link(&stack.pool, "e2", "erp", "7001").await?;
    let now = jiff::Timestamp::now();
    let at = |seconds: i64| (now - jiff::SignedDuration::from_secs(seconds)).to_string();
    let range = format!("from={}&to={}", at(1000), at(0));
    let ids = |plan: &Value| -> Vec<String> {
        plan["items"].as_array().into_iter().flatten().filter_map(|item| item["ask"]["write"].as_str().map(str::to_owned)).collect()
    };
    let (status, plan) = preview(&stack, &range).await?;
    assert_eq!((status, ids(&plan)), (200, vec!["a3".into(), "a2".into(), "a1".into()]), "{plan}");
    assert_eq!(plan["items"][1]["since"], json!([]), "what is taken back as well is no obstacle");
    let (_, plan) = preview(&stack, &format!("{range}&actor=BULK.job")).await?;
    assert_eq!(ids(&plan), ["a2", "a1"]);
    assert!(plan["items"][0]["since"][0].as_str().is_some_and(|told| told.starts_with("phone was changed again by Dana Ruiz")), "{plan}");
    let (_, plan) = preview(&stack, &format!("{range}&entity=7001")).await?;
    assert_eq!(ids(&plan), ["a1"]);
    let (_, plan) = preview(&stack, &format!("from={}&to={}&side=crm", at(250), at(50))).await?;
    assert_eq!(ids(&plan).len(), 0);
    // What people said of two records in that time is in it, unless it has been taken back or was refused.
    for (id, action, result) in [("d1", Action::Same, "accepted"), ("d2", Action::Distinct, "refused"), ("d3", Action::Split, "accepted")] {
        let made = Decision { id: id.into(), ..Decision::new(uuid::Uuid::now_v7(), "e1", action, "bulk.job", 0) };
        rows::decision(&stack.pool, &made, Some((result, "so it is"))).await?;
    }
    let back = Decision { id: "d4".into(), of: Some("d3".into()), ..Decision::new(uuid::Uuid::now_v7(), "e1", Action::Unmatch, "Ada", 0) };
    rows::decision(&stack.pool, &back, Some(("accepted", "so it is"))).await?;
    sqlx::query("update decision set at = now() - interval '150 seconds'").execute(&stack.pool).await?;
    let asks = |plan: &Value| -> Vec<String> {
        let items = plan["items"].as_array().into_iter().flatten();
        items.filter_map(|item| item["ask"]["write"].as_str().or(item["ask"]["of"].as_str()).map(str::to_owned)).collect()
    };
    let (_, plan) = preview(&stack, &format!("{range}&actor=bulk.job")).await?;
    assert_eq!(asks(&plan), ["d1", "a2", "a1"], "{plan}");
    let (_, plan) = preview(&stack, &format!("{range}&side=erp&actor=bulk.job")).await?;
    assert_eq!(asks(&plan), ["a2", "a1"], "only what was written there");
    // So is what was left to each side, until it is opened again.
    Conflict::default().open(&stack.pool).await?;
    rows::settle(&stack.pool, "e1:1", None, &json!(null), "bulk.job").await?;
    sqlx::query("update conflict set kept_both = true").execute(&stack.pool).await?;
    let both = Decision { conflict: "e1:1".into(), ..Decision::new(uuid::Uuid::now_v7(), "e1", Action::Settle, "bulk.job", 0) };
    rows::decision(&stack.pool, &both, Some(("accepted", ""))).await?;
    sqlx::query("update decision set at = now() - interval '150 seconds'").execute(&stack.pool).await?;
    let reopened = |plan: &Value| -> Vec<Value> {
        let items = plan["items"].as_array().into_iter().flatten();
        items.filter(|item| item["ask"]["action"] == "reopen").cloned().collect()
    };
    let (_, plan) = preview(&stack, &format!("{range}&actor=bulk.job")).await?;
    let [item] = reopened(&plan).try_into().map_err(|_| anyhow::anyhow!("{plan}"))?;
    assert_eq!((&item["ask"]["conflict"], &item["changes"]), (&json!("e1:1"), &json!([])), "{item}");
    let (_, plan) = preview(&stack, &format!("{range}&actor=Ada")).await?;
    assert_eq!(reopened(&plan), [] as [Value; 0]);
    sqlx::query("update conflict set state = 'open'").execute(&stack.pool).await?;
    let (_, plan) = preview(&stack, &format!("{range}&actor=bulk.job")).await?;
    assert_eq!(reopened(&plan), [] as [Value; 0]);
    for (query, code) in [
        ("", "bad_parameter"),
        ("write=a1&conflict=e1:1", "bad_parameter"),
        ("from=yesterday&to=today", "bad_parameter"),
        (&format!("from={}&to={}", at(0), at(100)), "bad_parameter"),
        ("write=none", "not_found"),
        ("decision=none", "not_found"),
    ] {
        let (status, error) = preview(&stack, query).await?;
        assert!(status >= 400 && error["error"]["code"] == code, "{query}: {status} {error}");
    }
    Ok(())
}

#[tokio::test]
async fn decisions_are_taken_back_each_in_its_way() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    Conflict::default().open(pool).await?;
    rows::settle(pool, "e1:1", Some("crm"), &json!("250000.00"), "Ada").await?;
    let made = |id: &str, action| Decision { batch: Some("b1".into()), ..Decision::new(id, "e1", action, "Ada", 0) };
    let settle = Decision { conflict: "e1:1".into(), ..made("d1", Action::Settle) };
    rows::decision(pool, &settle, Some(("accepted", ""))).await?;
    rows::decision(pool, &made("d2", Action::Distinct), Some(("accepted", ""))).await?;
    rows::decision(pool, &made("d3", Action::Create), Some(("accepted", ""))).await?;
    rows::decision(pool, &made("d4", Action::Undo), Some(("refused", "edited since"))).await?;
    let (_, plan) = preview(&stack, "decision=d1").await?;
    let item = &plan["items"][0];
    assert_eq!((&item["ask"]["action"], &item["ask"]["conflict"]), (&json!("reopen"), &json!("e1:1")), "{plan}");
    assert_eq!((&item["changes"][0]["side"], &item["changes"][0]["then"]), (&json!("erp"), &json!("180000.00")), "{plan}");
    let (_, plan) = preview(&stack, "decision=b1").await?;
    let asks: Vec<&Value> = plan["items"].as_array().into_iter().flatten().map(|item| &item["ask"]["action"]).collect();
    assert_eq!(asks.len(), 4);
    assert_eq!(asks.iter().filter(|ask| ask.is_null()).count(), 2, "{plan}");
    assert!(asks.contains(&&json!("unmatch")) && asks.contains(&&json!("reopen")));
    let (_, plan) = preview(&stack, "conflict=e1:1").await?;
    assert_eq!(plan["items"][0]["ask"]["action"], "reopen");
    Ok(())
}

#[tokio::test]
async fn force_takes_an_administrator() -> Result<()> {
    let stack = Stack::start().await?;
    rows::audit(&stack.pool, "a1", "Acme", "erp", json!(1), json!(2), 60).await?;
    let body = json!({"decisions": [{"action": "undo", "write": "a1", "force": true}]});
    let (status, error) = stack.api(Method::POST, "/api/crm/decisions", Scope::Sync, Some(body.clone())).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (403, Some("forbidden")));
    let (status, answer) = stack.api(Method::POST, "/api/crm/decisions", Scope::Admin, Some(body)).await?;
    assert_eq!((status, answer["batch"].is_null()), (200, true), "{answer}");
    let (_, list) = stack.api(Method::GET, "/api/crm/decisions?result=waiting", Scope::Read, None).await?;
    assert_eq!(list["items"], json!([]), "the read model has not heard of it");
    Ok(())
}
