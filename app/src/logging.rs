//! Structured logs: JSON lines on standard error, or text on a terminal.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// Libraries that show customers' values at `debug`, or tell at `info` how they keep their files. They say no more than this
/// unless the filter names them.
const TALKATIVE: &str = "tokio_postgres=info,fjall=warn,lsm_tree=warn";

/// Sends logs to standard error; `filter` as in `info` or `sinks=debug,info`.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{TALKATIVE},{filter}"))
        .with_context(|| format!("--log {filter}: write it as info, debug, or sinks=debug,info"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json || !std::io::stderr().is_terminal() {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    } else {
        builder.compact().init();
    }
    Ok(())
}
