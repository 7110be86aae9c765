//! `simulation`: what `concord simulate` does, without the rest of Concord, so that `make proof` is soon built.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(clap::Parser)]
#[command(name = "simulation", about = "Simulates the whole pipeline under faults, and looks whether its promises hold")]
struct Arguments {
    #[command(flatten)]
    options: simulation::Options,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

struct Standard {
    json: bool,
}

impl simulation::Output for Standard {
    fn is_json(&self) -> bool {
        self.json
    }

    fn line(&self, text: &str) {
        // A reader who has gone away is no reason to fail.
        if self.json {
            writeln!(std::io::stderr(), "{text}").ok();
        } else {
            writeln!(std::io::stdout(), "{text}").ok();
        }
    }

    fn object(&self, object: &serde_json::Value) {
        if self.json {
            writeln!(std::io::stdout(), "{object}").ok();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { options, json } = Arguments::parse();
    simulation::run(options, Standard { json }).await
}
