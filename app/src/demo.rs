//! `concord demo`: everything on this machine, so that a stranger can edit a record on either side, cause a conflict,
//! resolve it, and believe it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::distr::{Alphanumeric, SampleString as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use crate::agreement::compare;
use crate::cli;
use crate::config::Config;
use crate::print::Printer;
use crate::run;
use crate::stack::{ERP_DATABASE, LogChoice, Stack, StackOptions};
use crate::traffic::{self, Pause};

/// How long the first copy may take before the demo says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs until Ctrl-C.
///
/// # Errors
/// When a part does not start; the text says which and what may help.
pub async fn demo(options: cli::Demo, printer: &Printer) -> anyhow::Result<()> {
    let started = Instant::now();
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone());
    printer.line(&format!(
        "Concord demo: a private Postgres with a small ERP of {} companies, and a simulated Salesforce org",
        options.companies
    ));
    let password = std::env::var("CONCORD_ADMIN_PASSWORD").unwrap_or_else(|_| Alphanumeric.sample_string(&mut rand::rng(), 12));
    let token = Alphanumeric.sample_string(&mut rand::rng(), 24);
    let log = options.kafka.as_deref().map_or(LogChoice::Embedded, LogChoice::parse);
    let starting = Stack::start(StackOptions {
        companies: options.companies,
        log,
        listen: options.listen.to_string(),
        password: password.clone(),
        more: format!("[[dashboard.api_tokens]]\nname = \"terminal\"\nscope = \"crm.admin\"\ntoken = \"{token}\"\n"),
        ..StackOptions::default()
    });
    let stack = tokio::select! {
        stack = starting => stack?,
        () = shutdown.cancelled() => return Ok(()),
    };
    printer.line(&format!("  both systems are up after {:.1} s; starting the pipeline", started.elapsed().as_secs_f64()));
    let config = Config::load(&stack.config_path())?;
    let pipeline = run::start(config, &[], shutdown.clone()).await?;
    let url = pipeline.url().context("the dashboard's address")?.to_owned();

    let erp = stack.erp().await?;
    let agreement = loop {
        let agreement = compare(&erp, &stack.org()).await?;
        if agreement.holds() || shutdown.is_cancelled() || pipeline.has_ended() {
            break agreement;
        }
        if started.elapsed() > PATIENCE {
            printer.line(&format!("  after {PATIENCE:?} both sides still differ; the Sync page says why. {agreement}"));
            break agreement;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    drop(erp);
    if agreement.holds() {
        printer.line(&format!(
            "  both sides agree on {} customers and {} contacts after {:.1} s",
            agreement.customers,
            agreement.contacts,
            started.elapsed().as_secs_f64()
        ));
    }
    printer.object(&serde_json::json!({
        "dashboard": url, "user": "admin", "password": password, "token": token, "salesforce": stack.simulator.rest_url(),
        "erp": stack.postgres.url(ERP_DATABASE), "customers": agreement.customers, "contacts": agreement.contacts,
        "agreed": agreement.holds(), "seconds": started.elapsed().as_secs_f64(),
    }));
    if !shutdown.is_cancelled() {
        printer.line(&guide(&stack, &url, &password, &token, options.traffic));
    }

    let pause = Pause::default();
    let mut helpers = tokio::task::JoinSet::new();
    if !options.traffic.is_zero() {
        helpers.spawn(traffic::run(stack.postgres.url(ERP_DATABASE), stack.org(), 7, options.traffic, pause.clone(), shutdown.clone()));
    }
    let keys = tokio::spawn(keyboard(pause, *printer));
    let ended = pipeline.wait().await;
    shutdown.cancel();
    keys.abort();
    while helpers.join_next().await.is_some() {}
    printer.line("stopping both systems");
    drop(stack);
    printer.line("nothing is left behind");
    ended
}

/// Where to look and what to try.
fn guide(stack: &Stack, url: &str, password: &str, token: &str, traffic: Duration) -> String {
    let erp = stack.postgres.url(ERP_DATABASE);
    let psql = |sql: &str| format!("psql {erp} -c \"{sql}\"");
    let traffic = if traffic.is_zero() {
        String::new()
    } else {
        format!("\n  Somebody edits a record every {}; type p and Enter to pause or resume that.\n", humantime::format_duration(traffic))
    };
    format!(
        "
  Dashboard    {url}   (user admin, password {password})
  Salesforce   {salesforce}   (a plain page: edit an account, a contact, an opportunity)
  ERP          {erp}

  Try, and watch the dashboard:
    a new phone number in the ERP, which Salesforce has a moment later
      {edit}
    a new street on the Salesforce page, which the ERP has a moment later
      {read}
    a new customer in the ERP
      {create}
    a conflict that waits for a person: pause the sync on the dashboard, give one customer two credit limits above
    50,000 (one here, another on its Salesforce page), and resume; then decide on {url}/conflicts
      {limit}
    two customers with one tax id: which of them is the account? Answer on {url}/matches, or with `concord review list`
      {double}
    a name that Salesforce does not take: {url}/failures says so, until it is shortened
      {long}
    the same from a terminal, and what was carried across taken back
      export CONCORD_URL={url} CONCORD_TOKEN={token}
      concord decide list
      concord undo --from 10m --actor you --dry-run
{traffic}
  Ctrl-C ends all of it.
",
        salesforce = stack.simulator.rest_url(),
        edit = psql("update customers set phone = '+49 40 5550100', updated_by = 'you' where id = 1"),
        read = psql("select id, name, street, phone, credit_limit from customers where id = 1"),
        create =
            psql("insert into customers (name, city, country, updated_by) values ('Harbour Lights Ltd', 'Leeds', 'United Kingdom', 'you')"),
        double =
            psql("insert into customers (name, tax_id, updated_by) select name || ' branch', tax_id, 'you' from customers where id = 2"),
        long = psql("update customers set name = repeat('Long name ', 40), updated_by = 'you' where id = 3"),
        limit = psql("update customers set credit_limit = 90000, updated_by = 'you' where id = 1"),
    )
}

/// Pauses and resumes traffic when somebody types `p`.
async fn keyboard(pause: Pause, printer: Printer) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.trim() == "p" {
            printer.line(if pause.toggle() { "sample edits are paused" } else { "sample edits go on" });
        }
    }
}

/// Cancels on Ctrl-C or SIGTERM.
pub(crate) fn stop_on_signal(shutdown: CancellationToken) {
    tokio::spawn(async move {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM");
                return;
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    });
}
