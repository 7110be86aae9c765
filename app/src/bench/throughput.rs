//! Changes made in the ERP as fast as it takes them, until Salesforce has the last value of every record.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::settle;
use crate::agreement::compare;
use crate::stack::Stack;

/// What [`throughput`] found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ThroughputReport {
    /// Changes committed in the ERP.
    pub changes: u64,
    /// From the first commit until both sides agreed.
    pub seconds: f64,
    /// Changes over seconds.
    pub changes_per_s: f64,
    /// Records whose last value did not arrive.
    pub lost: usize,
    /// Records that stand for the same thing as another one.
    pub duplicated: usize,
    /// Processor time of Concord alone.
    pub cpu_s: f64,
    /// Largest resident memory of Concord alone.
    pub peak_rss_mb: f64,
}

/// Rows changed by one statement.
const ROWS_A_TRANSACTION: i64 = 1_000;
/// Disagreement after so long is a finding.
const PATIENCE: Duration = Duration::from_secs(600);

/// Makes `changes` changes, 1,000 rows a transaction, round and round over all customers, and times until both sides
/// agree. `say` gets progress.
///
/// # Errors
/// When the stack does not work; lost changes are a finding, not an error.
pub async fn throughput(stack: &Stack, program: &Path, changes: u64, say: &(dyn Fn(String) + Sync)) -> anyhow::Result<ThroughputReport> {
    let concord = stack.run(program).await?;
    say("first copy".to_owned());
    settle(stack, Duration::from_secs(600)).await?;
    let erp = stack.erp().await?;
    let before = concord.usage()?;
    let count: i64 = erp.query_one("select count(*) from customers", &[]).await?.get(0);
    anyhow::ensure!(count > 0, "no customers to measure with");
    let update = erp
        .prepare("update customers set phone = '+2 ' || $1::bigint || ' ' || id, updated_by = 'bench' where id in (select id from customers order by id offset $2 limit $3)")
        .await?;
    let started = Instant::now();
    let (mut made, mut offset, mut round) = (0u64, 0i64, 0i64);
    while made < changes {
        let limit = ROWS_A_TRANSACTION.min(count - offset).min(i64::try_from(changes - made).unwrap_or(i64::MAX));
        made += erp.execute(&update, &[&round, &offset, &limit]).await.context("changing customers")?;
        offset += limit;
        if offset >= count {
            offset = 0;
            round += 1;
        }
        if made.is_multiple_of(50_000) {
            say(format!("{made} of {changes} changes committed in the ERP after {:.1} s", started.elapsed().as_secs_f64()));
        }
    }
    say(format!("all changes committed in the ERP after {:.1} s", started.elapsed().as_secs_f64()));
    // A full comparison costs more than what it waits for, so it comes once a sample agrees.
    let sample = sample(&erp, &stack.org()).await?;
    let (agreement, seconds) = loop {
        let looked = Instant::now();
        let given_up = started.elapsed() > PATIENCE;
        if given_up
            || sample.iter().all(|(account, phone)| {
                stack.org().with_record(*account, |record| record.text("Phone").as_deref() == Some(phone)).unwrap_or(false)
            })
        {
            let agreement = compare(&erp, &stack.org()).await?;
            if given_up || agreement.holds() {
                break (agreement, (looked - started).as_secs_f64());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let used = concord.usage()?;
    concord.stop().await?;
    Ok(ThroughputReport {
        changes: made,
        seconds: (seconds * 100.0).round() / 100.0,
        changes_per_s: (made as f64 / seconds).round(),
        lost: agreement.differences.len(),
        duplicated: agreement.duplicates,
        cpu_s: ((used.cpu_s - before.cpu_s) * 100.0).round() / 100.0,
        peak_rss_mb: used.peak_rss_mb.round(),
    })
}

/// Some accounts with the phone they should end with: every hundredth customer.
async fn sample(erp: &tokio_postgres::Client, org: &simulator::Org) -> anyhow::Result<Vec<(simulator::RecordId, String)>> {
    let mut found = Vec::new();
    for row in erp.query("select number, phone from customers where id % 100 = 0", &[]).await? {
        let phone: Option<String> = row.get(1);
        if let (Some(account), Some(phone)) = (org.find("Account", "ERP_Id__c", row.get(0)).first(), phone) {
            found.push((*account, phone));
        }
    }
    Ok(found)
}
