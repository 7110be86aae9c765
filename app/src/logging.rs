//! Structured logs: JSON lines on standard error, or text on a terminal.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Libraries that show customers' values at `debug`, or tell at `info` how they keep their files. They say no more than this,
/// and no more than everything else does, unless the filter names them.
const TALKATIVE: [(&str, LevelFilter); 3] =
    [("tokio_postgres", LevelFilter::INFO), ("fjall", LevelFilter::WARN), ("lsm_tree", LevelFilter::WARN)];

/// Sends logs to standard error; `filter` as in `info` or `sinks=debug,info`.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter = limited(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json || !std::io::stderr().is_terminal() {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    } else {
        builder.compact().init();
    }
    Ok(())
}

/// What is asked for, with the limits of the talkative before it: what the filter says of one of them is said later, and holds.
fn limited(filter: &str) -> anyhow::Result<EnvFilter> {
    let everything = filter.split(',').rev().find_map(|part| part.trim().parse::<LevelFilter>().ok()).unwrap_or(LevelFilter::OFF);
    let limits = TALKATIVE.map(|(library, most)| format!("{library}={}", most.min(everything)));
    EnvFilter::try_new(format!("{},{filter}", limits.join(",")))
        .with_context(|| format!("--log {filter}: write it as info, debug, or sinks=debug,info"))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The most that three targets may say.
    fn check(filter: &str, expected: [LevelFilter; 3]) {
        let subscriber = tracing_subscriber::registry().with(limited(filter).expect("a filter"));
        tracing::subscriber::with_default(subscriber, || {
            macro_rules! most {
                ($target:literal) => {
                    if tracing::enabled!(target: $target, tracing::Level::DEBUG) {
                        LevelFilter::DEBUG
                    } else if tracing::enabled!(target: $target, tracing::Level::INFO) {
                        LevelFilter::INFO
                    } else if tracing::enabled!(target: $target, tracing::Level::WARN) {
                        LevelFilter::WARN
                    } else if tracing::enabled!(target: $target, tracing::Level::ERROR) {
                        LevelFilter::ERROR
                    } else {
                        LevelFilter::OFF
                    }
                };
            }
            assert_eq!([most!("tokio_postgres::query"), most!("fjall"), most!("sinks")], expected, "{filter}");
        });
    }

    #[test]
    fn a_library_never_says_more_than_was_asked_for_nor_more_than_its_limit() {
        use LevelFilter as L;
        check("debug", [L::INFO, L::WARN, L::DEBUG]);
        check("info", [L::INFO, L::WARN, L::INFO]);
        check("warn", [L::WARN, L::WARN, L::WARN]);
        check("error", [L::ERROR, L::ERROR, L::ERROR]);
        check("off", [L::OFF, L::OFF, L::OFF]);
        check("sinks=debug,warn", [L::WARN, L::WARN, L::DEBUG]);
        check("sinks=debug", [L::OFF, L::OFF, L::DEBUG]);
        // Whoever names it means it.
        check("warn,tokio_postgres=debug", [L::DEBUG, L::WARN, L::WARN]);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_with_how_to_write_it() {
        let error = limited("sinks=loud").expect_err("no level");
        assert!(format!("{error:#}").contains("sinks=debug,info"), "{error:#}");
    }
}
