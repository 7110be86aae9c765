//! The matches page: both records side by side, the answer, and taking it back.

use anyhow::Result;
use dashboard::Scope;
use reqwest::Method;
use schemas::message::{Action, Decision};
use serde_json::json;

use crate::rows;
use crate::stack::{Events, Stack, event};

async fn two(stack: &Stack) -> Result<()> {
    rows::review(&stack.pool, "e1", "e2", ("Northwind Traders GmbH", "Northwind Trading"), 60).await?;
    rows::review(&stack.pool, "e3", "e4", ("<b>Acme</b>", "Acme Ltd"), 600).await
}

#[tokio::test]
async fn both_records_stand_side_by_side_with_reasons_in_words() -> Result<()> {
    let stack = Stack::start().await?;
    two(&stack).await?;
    stack.sign_in().await?;
    let page = stack.page("/matches").await?;
    assert_eq!(page.matches("class=\"cf\"").count(), 2);
    for text in [
        "Open 2",
        "Answered 0",
        "Are these the same?",
        "Northwind <ins>Traders GmbH</ins>",
        "Northwind <ins>Trading</ins>",
        "94.8 % likely",
        "2 fields differ",
        "on one side only",
        "nearly equal",
        "speaks against it",
        "\u{2212}2.6",
        "+4.2 bits together",
        "The names are alike and the postcode is the same, but no key says so.",
        "mapping version 3",
        "&#60;b&#62;Acme&#60;/b&#62;",
    ] {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    assert!(stack.page("/").await?.contains("id=\"matches-badge\" data-region class=\"tag warn n\">2"));
    assert_eq!(stack.get("/matches/none~none").await?.status(), 404);
    Ok(())
}

#[tokio::test]
async fn an_answer_goes_to_the_log_and_on_to_the_next_match_and_can_be_taken_back() -> Result<()> {
    let stack = Stack::start().await?;
    two(&stack).await?;
    stack.sign_in().await?;
    let answer = stack.post("/matches/e1~e2/answer", &[("answer", "same"), ("next", "/matches/e3~e4")]).await?;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str()?), (303, "/matches/e3~e4"));
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    let (key, same) = &made[0];
    assert_eq!(
        (made.len(), key.as_str(), same.action, same.entity.as_str(), same.other.as_deref()),
        (1, "e1", Action::Same, "e1", Some("e2"))
    );

    // Until the matcher has carried it out, nobody answers it twice, and it is told.
    let page = stack.page("/matches/e3~e4").await?;
    assert!(page.contains("Northwind Traders GmbH and Northwind Trading: the same") && page.contains("being carried out"), "{page}");
    let twice = stack.post("/matches/e1~e2/answer", &[("answer", "distinct")]).await?;
    assert_eq!(twice.status(), 422);
    assert!(twice.text().await?.contains("answered already (admin)"));
    assert!(stack.page("/matches").await?.contains("data-review=\"e3~e4\""), "the page goes on with what waits");

    rows::decision(&stack.pool, same, Some(("accepted", "merged"))).await?;
    rows::answered(&stack.pool, "e1~e2", "same", &same.id, "admin").await?;
    let page = stack.page("/matches/e1~e2").await?;
    assert!(page.contains("admin said that they are the same") && page.contains(&format!("value=\"{}\"", same.id)), "{page}");
    let undo = stack.post("/matches/undo", &[("of", &same.id)]).await?;
    assert_eq!((undo.status().as_u16(), undo.headers()["location"].to_str()?), (303, "/matches/e1~e2"));
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    let undo = made.iter().map(|(_, one)| one).find(|one| one.action == Action::Unmatch).expect("an undo");
    assert_eq!((undo.of.as_deref(), undo.entity.as_str(), undo.other.as_deref()), (Some(same.id.as_str()), "e1", Some("e2")));
    assert!(!stack.page("/matches").await?.contains("id=\"last\""), "an answer that was taken back is not offered again");
    Ok(())
}

#[tokio::test]
async fn a_refused_answer_is_told_with_its_reason_and_another_may_be_given_at_once() -> Result<()> {
    let stack = Stack::start().await?;
    two(&stack).await?;
    stack.sign_in().await?;
    stack.post("/matches/e1~e2/answer", &[("answer", "same")]).await?;
    let made = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    rows::decision(&stack.pool, &made[0].1, Some(("refused", "both have a record in the ERP, 1 and 331"))).await?;
    let page = stack.page("/matches/e1~e2").await?;
    assert!(page.contains("refused: both have a record in the ERP, 1 and 331") && page.contains("Are these the same?"), "{page}");
    let again = stack.post("/matches/e1~e2/answer", &[("answer", "distinct")]).await?;
    assert_eq!(again.status(), 303, "{}", again.text().await?);
    Ok(())
}

#[tokio::test]
async fn an_answer_by_a_reader_is_refused_and_a_page_says_so() -> Result<()> {
    let stack = Stack::start().await?;
    two(&stack).await?;
    let body = json!({"decisions": [{"action": "same", "review": "e1~e2"}]});
    let (status, _) = stack.api(Method::POST, "/api/crm/decisions", Scope::Read, Some(body.clone())).await?;
    assert_eq!(status, 403);
    let (status, answer) = stack.api(Method::POST, "/api/crm/decisions", Scope::Sync, Some(body)).await?;
    assert_eq!((status, answer["decisions"][0]["action"].as_str()), (200, Some("same")), "{answer}");
    let (status, error) = stack
        .api(
            Method::POST,
            "/api/crm/decisions",
            Scope::Sync,
            Some(json!({"decisions": [{"action": "distinct", "entity": "e1", "other": "e1"}]})),
        )
        .await?;
    assert_eq!((status, error["error"]["code"].as_str()), (404, Some("not_found")), "{error}");
    Ok(())
}

#[tokio::test]
async fn filters_and_states_keep_to_themselves() -> Result<()> {
    let stack = Stack::start().await?;
    two(&stack).await?;
    sqlx::query("update match_review set kind = 'contact' where id = 'e3~e4'").execute(&stack.pool).await?;
    stack.sign_in().await?;
    let page = stack.page("/matches?kind=contact").await?;
    assert!(page.matches("class=\"cf\"").count() == 1 && page.contains("All kinds") && page.contains("Contact 1"), "{page}");
    rows::answered(&stack.pool, "e3~e4", "distinct", "d1", "Ada").await?;
    let page = stack.page("/matches?state=answered").await?;
    assert!(page.contains("Not the same, Ada") && page.contains("Answered 1"), "{page}");
    rows::answered(&stack.pool, "e1~e2", "withdrawn", "", "").await?;
    let page = stack.page("/matches").await?;
    assert!(page.contains("No match waits") && page.contains("Open 0"));
    Ok(())
}

#[tokio::test]
async fn the_page_changes_by_itself_when_the_matcher_has_answered() -> Result<()> {
    let stack = Stack::start().await?;
    two(&stack).await?;
    stack.sign_in().await?;
    let mut events = Events::open(&stack, "/events?page=matches&entity=e1~e2").await?;
    event(&mut events, |name, data| name == "html" && data.contains("Are these the same?")).await?;
    rows::answered(&stack.pool, "e1~e2", "distinct", "d1", "Ada").await?;
    stack.notify().await?;
    event(&mut events, |name, data| name == "html" && data.contains("Ada said that they are not the same")).await?;
    Ok(())
}
