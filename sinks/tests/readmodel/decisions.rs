//! Stories of decisions, their answers, and matches to review.

use anyhow::Result;
use schemas::Value;
use schemas::message::{Action, Choice, Decision, DecisionOutcome, DecisionResult, Field, MatchReason, MatchReview, MatchState};
use stream::NewRecord;

use super::pages::Pages;
use crate::erp::rename;

fn decision(id: &str) -> Decision {
    Decision {
        conflict: "c1".to_owned(),
        choice: Choice::Value,
        value: "90".into(),
        batch: Some("b1".to_owned()),
        ..Decision::new(id, "e1", Action::Settle, "Ada", 60_000_000)
    }
}

fn answer(id: &str, result: DecisionResult) -> DecisionOutcome {
    DecisionOutcome {
        decision: id.to_owned(),
        batch: Some("b1".to_owned()),
        entity: "e1".to_owned(),
        kind: "customer".to_owned(),
        action: Action::Settle,
        result,
        reason: "settled before".to_owned(),
        conflict: Some("c2".to_owned()),
        actor: "Ada".to_owned(),
        at: 60_000_000,
        mapping_version: 3,
    }
}

#[tokio::test]
async fn a_decision_and_its_answer_are_one_row_whichever_comes_first() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    let row = |id: &str| {
        format!(
            "select concat_ws(' ', kind, action, conflict, choice, value, batch, actor, extract(epoch from at)::int, result, reason, replaced, mapping_version, answered_at is not null) \
             from decision where id = '{id}'"
        )
    };
    let whole = |kind: &str, rest: &str| format!("{kind}settle c1 value \"90\" b1 Ada 60{rest}");
    pages.rig.publish("decisions", &[("e1", decision("d1"))]).await?;
    pages.shows(&row("d1"), &format!(" {}", whole("", "  f"))).await?;
    pages.rig.publish("decision.outcomes", &[("e1", answer("d1", DecisionResult::Accepted))]).await?;
    pages.shows(&row("d1"), &whole("customer ", " accepted settled before c2 3 t")).await?;
    pages.rig.publish("decision.outcomes", &[("e1", answer("d2", DecisionResult::Unchanged))]).await?;
    pages.shows(&row("d2"), "customer settle b1 Ada 60 unchanged settled before c2 3 t").await?;
    pages.rig.publish("decisions", &[("e1", decision("d2")), ("e1", decision("d2"))]).await?;
    pages.shows(&row("d2"), &whole("customer ", " unchanged settled before c2 3 t")).await?;
    // That it waits is followed by what became of it, and stays so when both are read again, together or one by one.
    let said = |result| answer("d3", result);
    let (waits, done) = (said(DecisionResult::Waiting), said(DecisionResult::Refused));
    pages.rig.publish("decision.outcomes", &[("e1", waits.clone())]).await?;
    pages.shows(&row("d3"), "customer settle b1 Ada 60 waiting settled before c2 3 t").await?;
    pages.rig.publish("decision.outcomes", &[("e1", done.clone())]).await?;
    let refused = "customer settle b1 Ada 60 refused settled before c2 3 t";
    pages.shows(&row("d3"), refused).await?;
    for (nth, again) in [vec![("e1", waits.clone())], vec![("e1", done), ("e1", waits)]].into_iter().enumerate() {
        pages.rig.publish("decision.outcomes", &again).await?;
        let marker = format!("m{nth}");
        pages.rig.publish("decision.outcomes", &[("e1", answer(&marker, DecisionResult::Accepted))]).await?;
        pages.shows(&format!("select result from decision where id = '{marker}'"), "accepted").await?;
        pages.shows(&row("d3"), refused).await?;
    }
    // What follows from a decision carries its id.
    pages.rig.send(&[rename("w1", 1, "b", "a")]).await?;
    pages.shows("select sync_id from write where id = 'w1'", "sync-w1").await?;
    running.stop().await
}

fn review(state: MatchState) -> MatchReview {
    MatchReview {
        id: "e1~e2".to_owned(),
        kind: "customer".to_owned(),
        left: "e1".to_owned(),
        right: "e2".to_owned(),
        left_title: "Acme GmbH".to_owned(),
        right_title: "ACME".to_owned(),
        left_crm: Some("001".to_owned()),
        left_erp: None,
        right_crm: None,
        right_erp: Some("7".to_owned()),
        left_fields: vec![
            Field { name: "name".to_owned(), value: "Acme GmbH".into() },
            Field { name: "city".to_owned(), value: Value::Null },
        ],
        right_fields: vec![Field { name: "name".to_owned(), value: "AC\0ME".into() }],
        state,
        score: Some(4200),
        probability_bp: Some(9480),
        reason: "likely, and not certain".to_owned(),
        reasons: vec![MatchReason {
            label: "Name".to_owned(),
            left: "acme".to_owned(),
            right: "acme".to_owned(),
            finding: "equal".to_owned(),
            weight: 5100,
        }],
        opened_at: 60_000_000,
        decision: (state == MatchState::Same).then(|| "d9".to_owned()),
        decided_by: (state == MatchState::Same).then(|| "Ada".to_owned()),
        decided_at: (state == MatchState::Same).then_some(61_000_000),
        mapping_version: 2,
    }
}

#[tokio::test]
async fn a_possible_match_is_shown_as_it_stands_and_goes_when_it_is_forgotten() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.rig.publish("match.reviews", &[("e1~e2", review(MatchState::Open))]).await?;
    pages
        .shows("select state || ' ' || probability_bp || ' ' || left_crm || ' ' || right_erp from match_review", "open 9480 001 7")
        .await?;
    pages
        .shows(
            "select string_agg(f->>'name', ' ') || (right_fields->0->>'value') from match_review, jsonb_array_elements(left_fields) f group by right_fields",
            "name cityAC\u{fffd}ME",
        )
        .await?;
    pages.shows("select (reasons->0->>'label') || (reasons->0->>'weight') from match_review", "Name5100").await?;
    pages.rig.publish("match.reviews", &[("e1~e2", review(MatchState::Same))]).await?;
    pages
        .shows(
            "select state || ' ' || decided_by || ' ' || decision || ' ' || extract(epoch from decided_at)::int from match_review",
            "same Ada d9 61",
        )
        .await?;
    let gone = NewRecord::tombstone("match.reviews", "e1~e2");
    pages.rig.log.publish(vec![gone]).await?;
    pages.shows("select count(*)::text from match_review", "0").await?;
    running.stop().await
}
