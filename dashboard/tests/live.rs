//! Live updates: only what changed, only while signed in.

use anyhow::Result;

use crate::rows::{self, Conflict};
use crate::stack::{Events, Stack, event};

#[tokio::test]
async fn a_change_reaches_an_open_page_as_the_regions_that_differ() -> Result<()> {
    let stack = Stack::start().await?;
    rows::all_well(&stack.pool).await?;
    stack.sign_in().await?;
    let mut events = Events::open(&stack, "/events?page=sync").await?;
    let first = event(&mut events, |name, _| name == "html").await?;
    assert!(first.contains("id=\"head\" data-region") && first.contains("Everything is in sync"));
    Conflict::default().open(&stack.pool).await?;
    stack.notify().await?;
    let next = event(&mut events, |name, data| name == "html" && data.contains("1 conflict waits")).await?;
    assert!(next.contains("id=\"badge\"") && !next.contains("id=\"pipeline\""), "only what differs is sent");
    Ok(())
}

#[tokio::test]
async fn a_decision_reaches_other_pages_at_once() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict::default().open(&stack.pool).await?;
    stack.sign_in().await?;
    let mut events = Events::open(&stack, "/events?page=conflicts&entity=e1&state=open").await?;
    event(&mut events, |_, data| data.contains("data-state=\"open\"")).await?;
    stack.post("/conflicts/e1/resolve", &[("choice:e1:1", "erp")]).await?;
    event(&mut events, |_, data| data.contains("data-state=\"decided\"")).await?;
    rows::settle(&stack.pool, "e1:1", Some("erp"), &serde_json::json!("180000.00"), "admin").await?;
    rows::write(&stack.pool, "w1", "e1", "crm", "confirmed", Some("e1:1")).await?;
    stack.notify().await?;
    let shown = event(&mut events, |_, data| data.contains("data-state=\"confirmed\"")).await?;
    assert!(shown.contains("confirmed on both sides"));
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_its_session() -> Result<()> {
    let stack = Stack::start().await?;
    stack.sign_in().await?;
    let mut events = Events::open(&stack, "/events?page=sync").await?;
    event(&mut events, |name, _| name == "html").await?;
    sqlx::query("delete from session").execute(&stack.pool).await?;
    let ended = event(&mut events, |name, _| name == "ended");
    let poke = async {
        loop {
            stack.notify().await?;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        found = ended => { found?; }
        failed = poke => return failed,
    }
    Ok(())
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_open_pages() -> Result<()> {
    let stack = Stack::start().await?;
    stack.sign_in().await?;
    let mut events = Events::open(&stack, "/events?page=sync").await?;
    event(&mut events, |name, _| name == "html").await?;
    tokio::time::timeout(std::time::Duration::from_secs(4), stack.stop()).await?;
    Ok(())
}
