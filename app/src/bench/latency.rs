//! Commit on one side to commit on the other, at a steady rate.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use serde_json::json;
use simulator::{Actor, Org};
use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use super::{Percentiles, settle};
use crate::agreement::compare;
use crate::stack::Stack;

/// What [`latency`] found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LatencyReport {
    /// Edits in the ERP, seen in Salesforce.
    pub to_crm: Percentiles,
    /// Edits in Salesforce, seen in the ERP.
    pub to_erp: Percentiles,
    /// Edits made.
    pub edits: usize,
    /// Edits seen on the other side.
    pub agreed: usize,
    /// Edits that never arrived.
    pub lost: usize,
    /// Records that stand for the same thing as another one.
    pub duplicated: usize,
    /// Processor time of Concord alone.
    pub cpu_s: f64,
    /// Largest resident memory of Concord alone.
    pub peak_rss_mb: f64,
}

/// How often edits that wait to be seen in Salesforce are looked for.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Edits not seen after so long are lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes `rate` edits a second for `seconds`, half on each side, each of another record than those on their way, and
/// times when the other side has them. `say` gets progress.
///
/// # Errors
/// When the stack does not work; lost edits are a finding, not an error.
pub async fn latency(
    stack: &Stack,
    program: &Path,
    rate: u32,
    seconds: u32,
    say: &(dyn Fn(String) + Sync),
) -> anyhow::Result<LatencyReport> {
    let concord = stack.run(program).await?;
    say("first copy".to_owned());
    settle(stack, Duration::from_secs(300)).await?;
    let erp = stack.erp().await?;
    let mut arrivals = watch_erp(stack).await?;
    let (customers, accounts) = records(&erp, &stack.org()).await?;
    let before = concord.usage()?;

    let pause = Duration::from_secs_f64(1.0 / f64::from(rate.max(1)));
    let edits = u64::from(rate) * u64::from(seconds);
    let lightning = Actor::lightning(stack.org().admin_user());
    let update = erp.prepare("update customers set phone = $1, updated_by = 'bench' where id = $2").await?;
    let mut to_crm: BTreeMap<String, (Instant, simulator::RecordId)> = BTreeMap::new();
    let mut to_erp: BTreeMap<String, Instant> = BTreeMap::new();
    let (mut crm_times, mut erp_times) = (Vec::new(), Vec::new());
    let started = Instant::now();
    let mut made = 0u64;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        while made < edits && started.elapsed() >= pause * u32::try_from(made).unwrap_or(u32::MAX) {
            let value = format!("+1 {made}");
            if made.is_multiple_of(2) {
                // Even places are edited in the ERP, odd ones in Salesforce, so that no edit meets another.
                let (id, account) = customers[made as usize % customers.len()];
                erp.execute(&update, &[&value, &id]).await.context("editing a customer")?;
                to_crm.insert(value, (Instant::now(), account));
            } else {
                let account = accounts[made as usize / 2 % accounts.len()];
                let org = stack.org();
                org.update(&lightning, account, &json!({"Phone": value}))
                    .map_err(|error| anyhow::anyhow!("editing an account: {}", error.message))?;
                to_erp.insert(value, Instant::now());
            }
            made += 1;
            if made.is_multiple_of(u64::from(rate.max(1)) * 5) {
                say(format!("{made} of {edits} edits"));
            }
        }
        tokio::select! {
            arrived = arrivals.recv() => {
                let (value, at) = arrived.context("the ERP stopped notifying")?;
                if let Some(sent) = to_erp.remove(&value) {
                    erp_times.push(at.saturating_duration_since(sent));
                }
            }
            _ = look.tick() => {
                let org = stack.org();
                to_crm.retain(|value, (sent, account)| {
                    let seen = org.with_record(*account, |record| record.text("Phone").as_deref() == Some(value)).unwrap_or(false);
                    if seen {
                        crm_times.push(sent.elapsed());
                    }
                    !seen
                });
            }
        }
        if made == edits && to_crm.is_empty() && to_erp.is_empty() || started.elapsed() > Duration::from_secs(u64::from(seconds)) + PATIENCE
        {
            break;
        }
    }
    let used = concord.usage()?;
    let agreement = compare(&erp, &stack.org()).await?;
    let agreed = crm_times.len() + erp_times.len();
    concord.stop().await?;
    Ok(LatencyReport {
        to_crm: Percentiles::of(crm_times),
        to_erp: Percentiles::of(erp_times),
        edits: made as usize,
        agreed,
        lost: made as usize - agreed,
        duplicated: agreement.duplicates,
        cpu_s: ((used.cpu_s - before.cpu_s) * 100.0).round() / 100.0,
        peak_rss_mb: used.peak_rss_mb.round(),
    })
}

/// The customers that both sides have: row id with account, and the accounts to edit in Salesforce.
async fn records(erp: &tokio_postgres::Client, org: &Org) -> anyhow::Result<(Vec<(i64, simulator::RecordId)>, Vec<simulator::RecordId>)> {
    let mut by_number = BTreeMap::new();
    org.scan("Account", |record| {
        if let (false, Some(number)) = (record.is_deleted(), record.text("ERP_Id__c")) {
            by_number.insert(number, record.id());
        }
    });
    let mut pairs = Vec::new();
    for row in erp.query("select id, number from customers order by id", &[]).await? {
        if let Some(account) = by_number.get(row.get::<_, &str>(1)) {
            pairs.push((row.get::<_, i64>(0), *account));
        }
    }
    // Round and round, even places stay even.
    pairs.truncate(pairs.len() / 2 * 2);
    anyhow::ensure!(!pairs.is_empty(), "too few customers to measure with");
    let accounts = pairs.iter().skip(1).step_by(2).map(|(_, account)| *account).collect();
    Ok((pairs, accounts))
}

/// Every phone number committed in the ERP, with the time we heard of it.
async fn watch_erp(stack: &Stack) -> anyhow::Result<mpsc::Receiver<(String, Instant)>> {
    let (sender, receiver) = mpsc::channel(100_000);
    let (client, mut connection) = tokio_postgres::connect(&stack.postgres.url(crate::stack::ERP_DATABASE), tokio_postgres::NoTls).await?;
    let heard = tokio::spawn(async move {
        let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(note) = message
                && sender.send((note.payload().to_owned(), Instant::now())).await.is_err()
            {
                break;
            }
        }
    });
    client
        .batch_execute(
            "create function announce() returns trigger language plpgsql as $$ begin perform pg_notify('phone', new.phone); return null; end $$;
             create trigger announce after update of phone on customers for each row execute function announce();
             listen phone",
        )
        .await?;
    // The connection lives as long as somebody listens.
    tokio::spawn(async move {
        let _client = client;
        heard.await.ok();
    });
    Ok(receiver)
}
