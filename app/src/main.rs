//! The command line of Concord.

use std::process::ExitCode;

use app::cli::{Cli, Command};
use app::print::Printer;
use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.json);
    match run(cli, &printer).await {
        Ok(code) => code,
        Err(error) => {
            printer.failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, printer: &Printer) -> anyhow::Result<ExitCode> {
    app::logging::init(&default_filter(&cli), cli.json)?;
    app::install_crypto();
    match cli.command {
        Command::Demo(demo) => app::demo::demo(demo, printer).await?,
        Command::Run(run) => app::run::run(run, printer).await?,
        Command::Check(file) => return app::check::check(&file.config, printer).await,
        Command::Migrate(file) => app::migrate::migrate(&file.config, printer).await?,
        Command::Bench(bench) => app::bench::run(bench, printer).await?,
        Command::Topics(topics) => app::topics::print(&topics, printer),
        Command::Simulate(simulate) => return app::simulate::run(simulate, printer).await,
        Command::Simulator(simulator) => app::simulate_org::run(simulator, printer).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The demo is read by people: unless asked otherwise it shows only what needs attention.
fn default_filter(cli: &Cli) -> String {
    match (&cli.log, &cli.command) {
        (Some(filter), _) => filter.clone(),
        (None, Command::Demo(_)) => "warn".to_owned(),
        // What goes wrong there goes wrong on purpose.
        (None, Command::Simulate(_)) => "off".to_owned(),
        (None, _) => "info".to_owned(),
    }
}
