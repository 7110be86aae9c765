//! `concord simulator`: a Salesforce org in a process, for development and for `docker-compose.yml`.

use anyhow::Context as _;
use simulator::{Settings, Simulator};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::demo::stop_on_signal;
use crate::print::Printer;
use crate::sample;

/// Runs until a signal.
///
/// # Errors
/// When it cannot listen or its certificate cannot be written.
pub async fn run(options: cli::Simulator, printer: &Printer) -> anyhow::Result<()> {
    let mut settings = Settings {
        rest_address: options.listen,
        pubsub_address: options.pubsub,
        host: options.host.clone(),
        client_secret: options.client_secret,
        ..Settings::default()
    };
    if !settings.certificate_names.contains(&options.host) {
        settings.certificate_names.push(options.host);
    }
    let client_id = settings.client_id.clone();
    let simulator = Simulator::start(settings).await?;
    if let Some(folder) = options.certificate_dir {
        let path = folder.join("ca.pem");
        std::fs::write(&path, simulator.ca_pem()).with_context(|| format!("writing {}", path.display()))?;
    }
    let companies: Vec<_> = sample::companies(options.companies, 1).collect();
    let today = i32::try_from(jiff::Timestamp::now().as_second() / 86_400).unwrap_or_default();
    sample::load_crm(&simulator.org(), &companies, true, today)?;
    printer.line(&format!(
        "Salesforce org: {} (page and REST), {} (Pub/Sub), client id {client_id}",
        simulator.rest_url(),
        simulator.pubsub_url()
    ));
    printer.object(&serde_json::json!({"rest": simulator.rest_url(), "pubsub": simulator.pubsub_url(), "client_id": client_id}));
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone());
    shutdown.cancelled().await;
    Ok(())
}
