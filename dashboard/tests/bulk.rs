//! Conflicts decided together and settled ones put back: keep both, the whole record, the same everywhere, restore, open again.

use anyhow::{Context as _, Result};
use dashboard::Scope;
use reqwest::Method;
use schemas::Value;
use schemas::message::{Action, Choice, Decision};
use serde_json::json;

use crate::rows::{self, Conflict};
use crate::stack::Stack;

async fn decisions(stack: &Stack) -> Result<Vec<Decision>> {
    Ok(stack.messages::<Decision>(&stack.topics.decisions()).await?.into_iter().map(|(_, decision)| decision).collect())
}

/// Twelve customers whose terms differ alike, three whose terms differ otherwise, one with another field.
async fn many(stack: &Stack) -> Result<()> {
    for nth in 0..16 {
        let (entity, id, title) = (format!("e{nth}"), format!("e{nth}:1"), format!("Customer {nth}"));
        let terms = Conflict {
            id: &id,
            entity: &entity,
            title: &title,
            field: "terms",
            label: "Payment terms",
            crm: json!("Net 45"),
            erp: if nth < 12 { json!("Net 30") } else { json!("Net 60") },
            ..Conflict::default()
        };
        if nth == 15 { Conflict { field: "credit_limit", ..terms }.open(&stack.pool).await? } else { terms.open(&stack.pool).await? }
    }
    Ok(())
}

fn attribute<'a>(page: &'a str, before: &str) -> &'a str {
    page.split_once(before).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(value, _)| value)
}

#[tokio::test]
async fn the_same_everywhere_says_how_many_and_decides_no_more_than_it_said() -> Result<()> {
    let stack = Stack::start().await?;
    many(&stack).await?;
    stack.sign_in().await?;
    let page = stack.page("/conflicts/e0").await?;
    assert!(page.contains("<b>11 more</b> with the same two values") && page.contains("<b>14</b> more of this field"), "{page}");
    let form = [("choice:e0:1", "erp"), ("everywhere:e0:1", "values")];
    let asked = stack.post("/conflicts/e0/resolve", &form).await?;
    assert_eq!(asked.status(), 200);
    let page = asked.text().await?;
    assert!(page.contains("This decides <b>12 conflicts in 12 records</b>") && page.contains("and 4 more"), "{page}");
    assert!(decisions(&stack).await?.is_empty(), "nothing is decided by asking");
    let confirm = attribute(&page, "name=\"confirm\" value=\"").to_owned();

    // One more of the same comes after the question: it is left alone.
    Conflict { id: "e50:1", entity: "e50", field: "terms", crm: json!("Net 45"), erp: json!("Net 30"), age_s: -5, ..Conflict::default() }
        .open(&stack.pool)
        .await?;
    let done = stack.post("/conflicts/e0/resolve", &[form[0], form[1], ("confirm", &confirm)]).await?;
    assert_eq!(done.status(), 303);
    let made = decisions(&stack).await?;
    assert_eq!((made.len(), made.iter().filter(|one| one.choice == Choice::Erp && one.action == Action::Settle).count()), (12, 12));
    let batch = made[0].batch.clone().context("a batch")?;
    assert!(made.iter().all(|one| one.batch.as_deref() == Some(&batch)) && made.iter().all(|one| one.conflict != "e50:1"));
    Ok(())
}

#[tokio::test]
async fn one_side_for_all_of_a_field_takes_each_conflicts_own_value() -> Result<()> {
    let stack = Stack::start().await?;
    many(&stack).await?;
    let path = "/api/crm/conflicts/e0:1/alike?shape=field";
    let (_, alike) = stack.api(Method::GET, path, Scope::Read, None).await?;
    assert_eq!((alike["conflicts"].as_i64(), alike["records"].as_i64()), (Some(15), Some(15)));
    stack.sign_in().await?;
    let value = [("choice:e0:1", "value"), ("value:e0:1", "Net 14"), ("everywhere:e0:1", "field")];
    let refused = stack.post("/conflicts/e0/resolve", &value).await?;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await?.contains("one value for conflicts with different values?"));
    let form = [("choice:e0:1", "crm"), ("everywhere:e0:1", "field")];
    let page = stack.post("/conflicts/e0/resolve", &form).await?.text().await?;
    let confirm = attribute(&page, "name=\"confirm\" value=\"").to_owned();
    stack.post("/conflicts/e0/resolve", &[form[0], form[1], ("confirm", &confirm)]).await?;
    let made = decisions(&stack).await?;
    assert_eq!(made.len(), 15);
    assert!(made.iter().all(|one| one.choice == Choice::Crm && one.value == Value::Null));
    Ok(())
}

#[tokio::test]
async fn both_values_are_kept_for_one_field_or_the_whole_record() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict::default().open(&stack.pool).await?;
    Conflict { id: "e1:2", field: "terms", label: "Terms", ..Conflict::default() }.open(&stack.pool).await?;
    stack.sign_in().await?;
    stack.post("/conflicts/e1/resolve", &[("choice:e1:1", "both")]).await?;
    let made = decisions(&stack).await?;
    assert_eq!((made.len(), made[0].choice), (1, Choice::Both));
    assert!(stack.page("/conflicts/e1").await?.contains("each side&#39;s own value"));
    stack.post("/conflicts/e1/resolve", &[("all", "erp")]).await?;
    let made = decisions(&stack).await?;
    assert_eq!((made.len(), made[1].conflict.as_str(), made[1].choice), (2, "e1:2", Choice::Erp), "what is decided already is left alone");
    sqlx::query("update conflict set state = 'settled', kept_both = true, settled_by = 'admin', settled_at = now() where id = 'e1:1'")
        .execute(&stack.pool)
        .await?;
    let page = stack.page("/conflicts/e1").await?;
    assert!(page.contains("each side keeps its own") && page.contains("data-state=\"confirmed\""), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_value_that_lost_is_restored_and_the_page_follows_it() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict::default().open(&stack.pool).await?;
    rows::settle(&stack.pool, "e1:1", Some("crm"), &json!("250000.00"), "policy").await?;
    stack.sign_in().await?;
    let page = stack.page("/conflicts/e1?state=settled").await?;
    assert!(
        page.contains("value=\"erp:e1:1\"") && !page.contains("value=\"crm:e1:1\"") && page.contains("value=\"reopen:e1:1\""),
        "{page}"
    );
    let answer = stack.post("/conflicts/e1/restore", &[("restore", "crm:e1:1")]).await?;
    assert_eq!(answer.status(), 422, "the value that stands is not restored");
    let answer = stack.post("/conflicts/e1/restore", &[("restore", "erp:e1:1")]).await?;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str()?), (303, "/conflicts/e1"));
    let made = decisions(&stack).await?;
    let restore = &made[0];
    assert_eq!((restore.action, restore.conflict.as_str(), restore.choice), (Action::Restore, "e1:1", Choice::Erp));
    assert_eq!((restore.field.as_deref(), &restore.value), (Some("credit_limit"), &Value::text("180000.00")));
    let page = stack.page("/conflicts/e1").await?;
    assert!(page.contains("Decided; it is being carried out") && !page.contains("value=\"erp:e1:1\""), "{page}");
    rows::decision(&stack.pool, restore, Some(("refused", "Credit limit was edited since, in the ERP"))).await?;
    let page = stack.page("/conflicts/e1").await?;
    assert!(page.contains("refused: Credit limit was edited since, in the ERP") && page.contains("value=\"erp:e1:1\""), "{page}");
    stack.post("/conflicts/e1/restore", &[("restore", "reopen:e1:1")]).await?;
    let made = decisions(&stack).await?;
    assert_eq!((made.len(), made[1].action), (2, Action::Reopen));
    Ok(())
}

#[tokio::test]
async fn a_record_that_one_side_lacks_is_made_or_not_as_a_person_says() -> Result<()> {
    let stack = Stack::start().await?;
    let record = Conflict {
        field: "$record",
        label: "$record",
        base: serde_json::Value::Null,
        crm: json!("present"),
        erp: json!("absent"),
        ..Conflict::default()
    };
    record.open(&stack.pool).await?;
    stack.sign_in().await?;
    let page = stack.page("/conflicts/e1").await?;
    for text in ["The record itself", "Make it in ERP", "Do not make it in ERP"] {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    assert!(!page.contains("Another value") && !page.contains("Keep both</span></label>"));
    rows::link(&stack.pool, "e7", "crm", "0015").await?;
    let body = json!({"decisions": [{"action": "create", "entity": "0015"}, {"action": "convert", "entity": "nobody"}], "batch": "b7"});
    let (status, answer) = stack.api(Method::POST, "/api/crm/decisions", Scope::Sync, Some(body)).await?;
    assert_eq!((status, answer["decisions"][0]["entity"].as_str()), (200, Some("e7")), "{answer}");
    assert_eq!(answer["decisions"][1]["error"]["code"], "not_found");
    let made = decisions(&stack).await?;
    assert_eq!((made.len(), made[0].side.map(|side| side.as_str()), made[0].batch.as_deref()), (1, Some("erp"), Some("b7")));
    Ok(())
}
