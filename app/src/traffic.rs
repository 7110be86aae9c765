//! Gentle live traffic for the demo: people at both systems who change things now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use simulator::{Actor, Org};
use tokio_util::sync::CancellationToken;

use crate::sample::Dice;

/// Lets traffic be paused and resumed while it runs.
#[derive(Debug, Clone, Default)]
pub struct Pause(Arc<AtomicBool>);

impl Pause {
    /// Pauses or resumes; returns whether it is paused now.
    pub fn toggle(&self) -> bool {
        !self.0.fetch_xor(true, Ordering::Relaxed)
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Edits one record every `every`, on either side, until `shutdown`. A failed edit is a warning, never the end: the
/// demo invites people to stop Postgres.
pub async fn run(erp_url: String, org: Org, seed: u64, every: Duration, pause: Pause, shutdown: CancellationToken) {
    let mut dice = Dice::new(seed);
    let mut erp = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if pause.is_on() {
            continue;
        }
        if dice.below(2) == 0 {
            edit_crm(&org, &mut dice);
            continue;
        }
        if erp.is_none() {
            erp = connect(&erp_url).await.inspect_err(|error| tracing::warn!(%error, "sample traffic cannot reach the ERP")).ok();
        }
        if let Some(client) = &erp
            && let Err(error) = edit_erp(client, &mut dice).await
        {
            tracing::warn!(%error, "sample edit in the ERP failed");
            erp = None;
        }
    }
}

/// A connection whose driver task ends with it.
///
/// # Errors
/// What Postgres says.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    Ok(client)
}

fn edit_crm(org: &Org, dice: &mut Dice) {
    let actor = Actor::lightning(org.admin_user());
    let mut accounts = Vec::new();
    org.scan("Account", |record| {
        if !record.is_deleted() {
            accounts.push(record.id());
        }
    });
    if accounts.is_empty() {
        return;
    }
    let account = *dice.pick(&accounts);
    let change = match dice.below(4) {
        0 => json!({"Phone": format!("+49 40 {}", 1_000_000 + dice.below(8_999_999))}),
        1 => json!({"BillingStreet": format!("Mill Lane {}", 1 + dice.below(200))}),
        2 => json!({"Credit_Limit__c": 1_000 * (5 + dice.below(40))}),
        _ => json!({"Website": format!("https://www.site-{}.example", dice.below(10_000))}),
    };
    if let Err(error) = org.update(&actor, account, &change) {
        tracing::warn!(error = %error.message, "sample edit in Salesforce failed");
    }
}

async fn edit_erp(client: &tokio_postgres::Client, dice: &mut Dice) -> Result<(), tokio_postgres::Error> {
    let nth = i64::from(dice.below(100_000) as u32);
    let pick = "(select id from customers order by id offset ($1::bigint % (select count(*) from customers)) limit 1)";
    let number = i64::from(1 + dice.below(8_999_999) as u32);
    match dice.below(5) {
        0 => client.execute(&format!("update customers set phone = '+44 113 ' || $2::bigint, updated_by = 'mira.kovac' where id = {pick}"), &[&nth, &number]).await?,
        1 => client.execute(&format!("update customers set city = (array['Hamburg', 'Leeds', 'Porto', 'Lyon'])[1 + $2::bigint % 4], updated_by = 'ar-import' where id = {pick}"), &[&nth, &number]).await?,
        2 => client.execute(&format!("update customers set payment_terms = (array['N15', 'N30', 'N45', 'N60'])[1 + $2::bigint % 4], updated_by = 'mira.kovac' where id = {pick}"), &[&nth, &number]).await?,
        3 => client.execute(
            "update contacts set phone = '+31 30 ' || $2::bigint, updated_by = 'mira.kovac' where id = (select id from contacts order by id offset ($1::bigint % (select count(*) from contacts)) limit 1)",
            &[&nth, &number],
        ).await?,
        _ => client.execute(
            "insert into payments (customer_id, invoice_id, paid_on, amount)
             select customer_id, id, current_date, round(amount / 10, 2) from invoices where status = 'open' and $2::bigint > 0
             order by id offset ($1::bigint % greatest((select count(*) from invoices where status = 'open'), 1)) limit 1",
            &[&nth, &number],
        ).await?,
    };
    Ok(())
}
