//! The pages on invented rows, for whoever works on their look: `cargo run -p dashboard --example preview`.
//!
//! It prints the address and the password, carries decisions out as the pipeline would, and ends with Ctrl-C.

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/rows.rs"]
mod rows;
#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/stack.rs"]
mod stack;

use std::time::Duration;

use anyhow::Result;
use schemas::message::{Action, Choice, Decision, Setting};
use serde_json::{Value, json};
use stack::Stack;

#[tokio::main]
#[expect(clippy::disallowed_macros, reason = "it tells a person where to look")]
async fn main() -> Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7410".into()).parse()?;
    let stack = Stack::with(|config| config.listen = listen).await?;
    fill(&stack).await?;
    println!("http://{} password: {}", stack.address, stack::PASSWORD);
    let mut round = 0i64;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        round += 1;
        step(&stack, round).await?;
    }
    stack.stop().await;
    Ok(())
}

async fn fill(stack: &Stack) -> Result<()> {
    let pool = &stack.pool;
    rows::all_well(pool).await?;
    rows::figures(pool).await?;
    for minute in 1..60i32 {
        let wave = f64::from(minute) / 6.0;
        rows::flow(pool, "erp", minute, (120.0 + 60.0 * wave.sin()) as i64, i64::from(minute % 13 == 5), 4).await?;
        rows::flow(pool, "crm", minute, (70.0 + 40.0 * (wave * 1.3).cos()) as i64, 0, 7).await?;
    }
    for (nth, (title, before, after)) in [
        ("Northwind Traders GmbH", json!("+49 40 1234"), json!("+49 40 123456")),
        ("شركة الواحة للتجارة", Value::Null, json!("billing@waha.example")),
        ("Ostrava Steelworks a.s.", json!("Net 60"), json!("Net 30")),
        ("<script>alert(1)</script>", json!("<b>bold</b>"), json!("a & b")),
        ("Alder & Pine LLP", json!(false), json!(true)),
    ]
    .into_iter()
    .enumerate()
    {
        let side = if nth % 2 == 0 { "erp" } else { "crm" };
        rows::audit(pool, &format!("a{nth}"), title, side, before, after, 7 + 40 * nth as i32).await?;
    }
    rows::failed_write(pool, "w-failed").await?;
    rows::dead_letter(pool, "The column credit_limit holds `n/a`, which is not a number.").await?;
    rows::Conflict::default().open(pool).await?;
    let terms = ("Payment_Terms__c", "payment_terms");
    rows::Conflict {
        id: "e1:2",
        field: "terms",
        label: "Payment terms",
        base: json!("Net 60"),
        crm: json!("Net 45"),
        erp: json!("Net 30"),
        columns: terms,
        ..Default::default()
    }
    .open(pool)
    .await?;
    let street = ("BillingStreet", "billing_street");
    rows::Conflict {
        id: "e1:3",
        field: "street",
        label: "Billing street",
        base: json!("Hafenstraße 12"),
        crm: json!("Hafenstraße 14"),
        erp: json!("Hafenstr. 12, Geb. B"),
        columns: street,
        ..Default::default()
    }
    .open(pool)
    .await?;
    for (nth, title) in
        ["Ingrid Halvorsen", "Ostrava Steelworks a.s.", "Brightwater Foods Ltd", "شركة الواحة للتجارة", "Tamarind Retail Pte"]
            .iter()
            .enumerate()
    {
        let entity = format!("e{}", nth + 2);
        let (id, on_hold) = (format!("{entity}:1"), nth == 4);
        let (label, columns) =
            if on_hold { ("On hold", ("On_Hold__c", "on_hold")) } else { ("Credit limit", ("Credit_Limit__c", "credit_limit")) };
        let crm = if on_hold { json!(true) } else { json!("120000.00") };
        let erp = if on_hold { json!(false) } else { Value::Null };
        rows::Conflict { id: &id, entity: &entity, title, label, crm, erp, columns, age_s: 700 * (nth as i32 + 1), ..Default::default() }
            .open(pool)
            .await?;
    }
    rows::Conflict { id: "e20:1", entity: "e20", title: "Lindqvist AB", ..Default::default() }.open(pool).await?;
    rows::settle(pool, "e20:1", Some("erp"), &json!("180000.00"), "policy").await?;
    rows::write(pool, "w20", "e20", "crm", "confirmed", Some("e20:1")).await?;
    for (nth, titles) in [
        ("Northwind Traders GmbH", "Northwind Trading"),
        ("شركة الواحة للتجارة", "Al Waha Trading"),
        ("Alder & Pine LLP", "Alder and Pine"),
    ]
    .into_iter()
    .enumerate()
    {
        let age = 60 + 900 * nth as i32;
        rows::review(pool, &format!("m{nth}"), &format!("n{nth}"), titles, age).await?;
    }
    Ok(())
}

/// What the rest of Concord would do meanwhile.
async fn step(stack: &Stack, round: i64) -> Result<()> {
    let pool = &stack.pool;
    sqlx::query("update health set at = now()").execute(pool).await?;
    let minute = "insert into flow_minute (minute, side, confirmed) values (date_trunc('minute', now()), $1, 1) on conflict (minute, side) do update set confirmed = flow_minute.confirmed + 1";
    sqlx::query(minute).bind(if round % 2 == 0 { "crm" } else { "erp" }).execute(pool).await?;
    for (_, setting) in stack.messages::<Setting>(&stack.topics.control()).await? {
        sqlx::query("insert into setting values ($1, $2::jsonb, $3, $4, now()) on conflict (name) do update set value = excluded.value, version = excluded.version")
            .bind(setting.name)
            .bind(setting.value)
            .bind(setting.version)
            .bind(setting.actor)
            .execute(pool)
            .await?;
    }
    sqlx::query(
        "update write set state = case state when 'sent' then 'applied' else 'confirmed' end, answered_at = coalesce(answered_at, now()), \
         confirmed_at = case when state = 'applied' then now() end where state in ('sent', 'applied')",
    )
    .execute(pool)
    .await?;
    for (_, decision) in stack.messages::<Decision>(&stack.topics.decisions()).await? {
        rows::decision(pool, &decision, Some(("accepted", "carried out"))).await?;
        if let (Action::Same | Action::Distinct, Some(other)) = (decision.action, &decision.other) {
            let review = format!("{}~{other}", decision.entity);
            rows::answered(pool, &review, decision.action.as_str(), &decision.id, &decision.actor).await?;
        }
        let open: Option<(Option<Value>, Option<Value>)> = sqlx::query_as("select crm, erp from conflict where id = $1 and state = 'open'")
            .bind(&decision.conflict)
            .fetch_optional(pool)
            .await?;
        let Some((crm, erp)) = open else { continue };
        let (winner, chosen, sides) = match decision.choice {
            Choice::Crm => (Some("crm"), crm.unwrap_or_default(), vec!["erp"]),
            Choice::Erp => (Some("erp"), erp.unwrap_or_default(), vec!["crm"]),
            Choice::Value => (None, json!(decision.value.as_text().unwrap_or_default()), vec!["crm", "erp"]),
            Choice::Both => (None, Value::Null, vec![]),
        };
        rows::settle(pool, &decision.conflict, winner, &chosen, &decision.actor).await?;
        for side in sides {
            rows::write(pool, &format!("{}-{side}", decision.id), &decision.entity, side, "sent", Some(&decision.conflict)).await?;
        }
    }
    stack.notify().await
}
