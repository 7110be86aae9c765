//! The command line of Concord.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use app::cli::{Cli, Command};
use app::print::Printer;
use clap::Parser as _;

/// How long work on blocking threads may go on when all else has ended. A read of standard input ends only with the
/// next line, and nobody should have to type one after Ctrl-C.
const LINGER: Duration = Duration::from_millis(200);

// Records become many small values on their way; the system's allocator took almost half of the processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.json);
    match start(cli, &printer) {
        Ok(code) => code,
        Err(error) => {
            printer.failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli, printer: &Printer) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("starting the async runtime")?;
    let ended = runtime.block_on(run(cli, printer));
    runtime.shutdown_timeout(LINGER);
    ended
}

async fn run(cli: Cli, printer: &Printer) -> anyhow::Result<ExitCode> {
    app::logging::init(&default_filter(&cli), cli.json)?;
    app::install_crypto();
    match cli.command {
        Command::Demo(demo) => app::demo::demo(demo, printer).await?,
        Command::Run(run) => app::run::run(run, printer).await?,
        Command::Check(file) => return app::check::check(&file.config, printer).await,
        Command::Migrate(file) => app::migrate::migrate(&file.config, printer).await?,
        Command::Mapping(mapping) => app::mapping::run(mapping, printer).await?,
        Command::Decide(options) => return app::decide::run(options, printer).await,
        Command::Undo(options) => return app::undo::run(options, printer).await,
        Command::Retry(options) => return app::retry::run(options, printer).await,
        Command::Review(options) => return app::review::run(options, printer).await,
        Command::Matching(matching) => app::matching::run(matching, printer)?,
        Command::Bench(bench) => app::bench::run(bench, printer).await?,
        Command::Topics(topics) => app::topics::print(&topics, printer),
        Command::Simulate(options) => return simulation::run(options, *printer).await,
        Command::Simulator(simulator) => app::simulate_org::run(simulator, printer).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is read by people shows, unless asked otherwise, only what needs attention.
fn default_filter(cli: &Cli) -> String {
    match (&cli.log, &cli.command) {
        (Some(filter), _) => filter.clone(),
        (None, Command::Demo(_) | Command::Check(_) | Command::Migrate(_) | Command::Mapping(_)) => "warn".to_owned(),
        (None, Command::Decide(_) | Command::Undo(_) | Command::Retry(_) | Command::Review(_)) => "warn".to_owned(),
        // What goes wrong there goes wrong on purpose.
        (None, Command::Simulate(_)) => "off".to_owned(),
        (None, _) => "info".to_owned(),
    }
}
