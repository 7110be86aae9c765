//! The conflicts page: the queue, the decision, and what is shown until both sides have it.

use anyhow::Result;
use schemas::Value;
use schemas::message::{Choice, Decision};
use serde_json::json;

use crate::rows::{self, Conflict};
use crate::stack::{Events, Stack, event};

async fn two_fields(stack: &Stack) -> Result<()> {
    Conflict::default().open(&stack.pool).await?;
    Conflict {
        id: "e1:2",
        field: "terms",
        label: "Payment terms",
        base: json!("Net 60"),
        crm: json!("Net 45"),
        erp: json!("Net 30"),
        columns: ("Payment_Terms__c", "payment_terms"),
        ..Default::default()
    }
    .open(&stack.pool)
    .await
}

/// The piece of a page that is about a conflict, with its state.
fn state<'a>(page: &'a str, id: &str) -> &'a str {
    page.split_once(&format!("data-conflict=\"{id}\" data-state=\""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(state, _)| state)
}

#[tokio::test]
async fn a_record_with_several_fields_is_one_entry_and_shows_what_differs() -> Result<()> {
    let stack = Stack::start().await?;
    two_fields(&stack).await?;
    Conflict { id: "e2:1", entity: "e2", title: "<script>x</script>", age_s: 900, ..Default::default() }.open(&stack.pool).await?;
    stack.sign_in().await?;
    let page = stack.page("/conflicts").await?;
    assert_eq!(page.matches("class=\"cf\"").count(), 2);
    for text in [
        "Open 3",
        "Settled 0",
        "Payment terms, Credit limit",
        "was <span class=\"mono\"><bdi>Net 60</bdi></span>",
        "<bdi>Net <ins>45</ins></bdi>",
        "<bdi><ins>180000</ins>.00</bdi>",
        "<bdi>Dana Ruiz</bdi>",
        "Amounts above 100,000 are decided by a person.",
        "<code>payment_terms</code>",
        "&#60;script&#62;x&#60;/script&#62;",
        "2 fields wait",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(!page.contains("<script>x"));
    assert_eq!((state(&page, "e1:1"), state(&page, "e1:2")), ("open", "open"));
    Ok(())
}

#[tokio::test]
async fn a_form_decides_the_chosen_fields_and_both_sides_are_followed_to_the_end() -> Result<()> {
    let stack = Stack::start().await?;
    two_fields(&stack).await?;
    stack.sign_in().await?;
    let answer = stack.post("/conflicts/e1/resolve", &[("choice:e1:1", "crm"), ("value:e1:1", ""), ("value:e1:2", "")]).await?;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str()?), (303, "/conflicts/e1"));
    let found = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    assert_eq!(found.len(), 1);
    let (key, decision) = &found[0];
    assert_eq!((key.as_str(), decision.entity.as_str(), decision.conflict.as_str()), ("e1", "e1", "e1:1"));
    assert_eq!((decision.choice, &decision.value, decision.actor.as_str()), (Choice::Crm, &Value::Null, "admin"));

    let page = stack.page("/conflicts/e1").await?;
    assert_eq!((state(&page, "e1:1"), state(&page, "e1:2")), ("decided", "open"));
    rows::settle(&stack.pool, "e1:1", Some("crm"), &json!("250000.00"), "admin").await?;
    let page = stack.page("/conflicts/e1").await?;
    assert_eq!(state(&page, "e1:1"), "settled");
    assert!(page.contains(r#"data-side="crm" data-on="held""#) && page.contains(r#"data-side="erp" data-on="waiting""#));
    for (written, on, stage) in [("sent", "sent", "settled"), ("applied", "written", "written"), ("confirmed", "confirmed", "confirmed")] {
        rows::write(&stack.pool, "w1", "e1", "erp", written, Some("e1:1")).await?;
        let page = stack.page("/conflicts/e1").await?;
        assert_eq!(state(&page, "e1:1"), stage);
        assert!(page.contains(&format!(r#"data-side="erp" data-on="{on}""#)), "{written}");
    }
    assert!(stack.page("/conflicts/e1").await?.contains("Credit limit: confirmed on both sides"));
    Ok(())
}

#[tokio::test]
async fn a_value_typed_in_goes_to_both_sides_even_without_its_button() -> Result<()> {
    let stack = Stack::start().await?;
    two_fields(&stack).await?;
    stack.sign_in().await?;
    stack.post("/conflicts/e1/resolve", &[("value:e1:1", "200000.00"), ("value:e1:2", "")]).await?;
    let found = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    assert_eq!((found[0].1.choice, &found[0].1.value), (Choice::Value, &Value::text("200000.00")));
    Ok(())
}

#[tokio::test]
async fn values_take_the_kind_that_the_sides_have() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict { id: "e3:1", entity: "e3", crm: json!(true), erp: json!(false), base: json!(null), ..Default::default() }
        .open(&stack.pool)
        .await?;
    Conflict { id: "e3:2", entity: "e3", label: "Seats", crm: json!(5), erp: json!(7), base: json!(4), ..Default::default() }
        .open(&stack.pool)
        .await?;
    stack.sign_in().await?;
    let page = stack.post("/conflicts/e3/resolve", &[("choice:e3:2", "value"), ("value:e3:2", "many")]).await?;
    assert_eq!(page.status(), 422);
    let page = page.text().await?;
    assert!(page.contains("Seats: the value entered does not fit this field.") && page.contains(r#"value="many""#), "{page}");
    stack.post("/conflicts/e3/resolve", &[("value:e3:1", "false"), ("value:e3:2", " 12 ")]).await?;
    let found = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    let value = |id: &str| found.iter().find(|(_, one)| one.conflict == id).map(|(_, one)| one.value.clone());
    assert_eq!((value("e3:1"), value("e3:2")), (Some(Value::Bool(false)), Some(Value::Int(12))));
    Ok(())
}

#[tokio::test]
async fn nothing_chosen_decides_nothing_and_deciding_twice_decides_once() -> Result<()> {
    let stack = Stack::start().await?;
    two_fields(&stack).await?;
    stack.sign_in().await?;
    let answer = stack.post("/conflicts/e1/resolve", &[("value:e1:1", "")]).await?;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await?.contains("Choose a value for at least one open field."));
    for _ in 0..2 {
        stack.post("/conflicts/e1/resolve", &[("choice:e1:1", "erp")]).await?;
    }
    assert_eq!(stack.messages::<Decision>(&stack.topics.decisions()).await?.len(), 1);
    assert_eq!(stack.get("/conflicts/nobody").await?.status(), 404);
    Ok(())
}

#[tokio::test]
async fn a_refused_decision_is_told_with_its_reason_and_may_be_made_anew_at_once() -> Result<()> {
    let stack = Stack::start().await?;
    two_fields(&stack).await?;
    stack.sign_in().await?;
    stack.post("/conflicts/e1/resolve", &[("choice:e1:1", "value"), ("value:e1:1", "abc")]).await?;
    let decided = |found: &[(String, Decision)]| found.iter().map(|(_, one)| one.clone()).collect::<Vec<_>>();
    let made = decided(&stack.messages::<Decision>(&stack.topics.decisions()).await?);
    let refused = Some(("refused", "\"abc\" cannot be a Credit limit: it is not a decimal number"));
    rows::decision(&stack.pool, &made[0], refused).await?;
    let page = stack.page("/conflicts/e1").await?;
    assert_eq!(state(&page, "e1:1"), "open");
    assert!(page.contains("was refused: &#34;abc&#34; cannot be a Credit limit") && page.contains("You may decide again"), "{page}");
    let answer = stack.post("/conflicts/e1/resolve", &[("choice:e1:1", "crm")]).await?;
    assert_eq!(answer.status(), 303, "{}", answer.text().await?);
    let page = stack.page("/conflicts/e1").await?;
    assert!(state(&page, "e1:1") == "decided" && !page.contains("was refused"), "{page}");

    // One that was settled and opened again meanwhile waits again.
    let made = decided(&stack.messages::<Decision>(&stack.topics.decisions()).await?);
    rows::decision(&stack.pool, &made[1], Some(("accepted", "settled"))).await?;
    sqlx::query("update decision set answered_at = now() - interval '20 seconds' where id = $1")
        .bind(&made[1].id)
        .execute(&stack.pool)
        .await?;
    assert_eq!(state(&stack.page("/conflicts/e1").await?, "e1:1"), "open");
    Ok(())
}

#[tokio::test]
async fn a_new_conflict_does_not_push_away_the_one_a_person_works_on() -> Result<()> {
    let stack = Stack::start().await?;
    two_fields(&stack).await?;
    stack.sign_in().await?;
    let page = stack.page("/conflicts").await?;
    let live = page
        .split_once("data-live=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(live, _)| live.replace("&#38;", "&"))
        .unwrap_or_default();
    assert_eq!(live, "/events?page=conflicts&state=open&shown=e1");
    Conflict { id: "e2:1", entity: "e2", title: "Newer", age_s: 1, ..Default::default() }.open(&stack.pool).await?;
    let mut events = Events::open(&stack, &live).await?;
    let shown = event(&mut events, |_, data| data.contains("Newer")).await?;
    assert_eq!(state(&shown, "e1:1"), "open");
    assert_eq!(state(&shown, "e2:1"), "");
    Ok(())
}

#[tokio::test]
async fn a_settled_conflict_shows_who_decided_and_the_value_that_lost() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict::default().open(&stack.pool).await?;
    rows::settle(&stack.pool, "e1:1", Some("erp"), &json!("180000.00"), "policy").await?;
    sqlx::query("update conflict set policy = 'last_write', tie = true").execute(&stack.pool).await?;
    stack.sign_in().await?;
    let page = stack.page("/conflicts?state=settled").await?;
    for text in [
        "Settled 1",
        "Policy last write",
        "Salesforce had <span class=\"mono\"><del><bdi>250000.00</bdi></del></span> from <bdi>Dana Ruiz</bdi>",
        "too close to tell",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(stack.page("/conflicts").await?.contains("Nothing to decide"));
    Ok(())
}
