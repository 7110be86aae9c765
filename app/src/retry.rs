//! `concord retry`: tries again what a target refused for good, or the mapping could not write, once the cause is gone.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::decide::{Common, Follow, Side, carry_out, confirmed, plural};
use crate::print::Printer;

/// `concord retry`.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["entity", "all"]),
    after_help = "Examples:\n  concord retry 0010X00003 --wait\n  concord retry --all --side erp\n  concord retry --all --yes --wait --json\n\n\
                  What is refused again is among the failures again. Nothing is written over an edit made since.\n\
                  Exit codes: 0 done, 1 error, 3 refused (in part), 4 decided and not carried out in time."
)]
pub struct Options {
    /// A record: its entity id, or its id on either side.
    pub entity: Option<String>,
    /// Everything in the list of failures that can be tried again, one decision for each record.
    #[arg(long)]
    pub all: bool,
    /// Only what this side refused.
    #[arg(long, value_enum)]
    pub side: Option<Side>,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
}

/// As many failures of each kind as the API gives at once.
const AT_ONCE: usize = 500;

/// Tries again.
///
/// # Errors
/// What is wrong with the request, or that the dashboard does not answer.
pub async fn run(options: Options, printer: &Printer) -> anyhow::Result<ExitCode> {
    let remote = options.common.connection.open()?;
    let asks = match &options.entity {
        Some(entity) => vec![ask("retry", entity, options.side)],
        None => {
            let found = remote.get("failures", &[("limit", &AT_ONCE.to_string())]).await?;
            let asks = all(&found, options.side);
            if asks.is_empty() {
                printer.line("Nothing that failed can be tried again.");
                printer.object(&json!({"batch": null, "decided": 0, "accepted": 0, "refused": 0, "decisions": []}));
                return Ok(ExitCode::SUCCESS);
            }
            if found.as_object().into_iter().flatten().any(|(_, items)| items.as_array().is_some_and(|items| items.len() >= AT_ONCE)) {
                printer.line(&format!("Of more than {AT_ONCE} failures the newest are tried again; say it once more for the others."));
            }
            if !confirmed(&format!("try {} again", plural(asks.len(), "record", "records")), options.common.yes, printer)? {
                return Ok(ExitCode::SUCCESS);
            }
            asks
        }
    };
    carry_out(&remote, &asks, &Follow::new(&options.common), printer).await
}

fn ask(action: &str, entity: &str, side: Option<Side>) -> Json {
    let mut ask = json!({"action": action, "entity": entity});
    if let Some(side) = side.filter(|_| action == "retry") {
        ask["side"] = side.word().into();
    }
    ask
}

/// What to ask for, once for each record: what a list of failures says may be tried again.
fn all(found: &Json, side: Option<Side>) -> Vec<Json> {
    let items = ["writes", "dead_letters"].into_iter().flat_map(|kind| found[kind].as_array().into_iter().flatten());
    let mut seen = BTreeSet::new();
    items
        .filter(|item| side.is_none_or(|side| item["side"].as_str().is_none_or(|refused| refused == side.word())))
        .filter_map(|item| Some((item["again"]["action"].as_str()?, item["again"]["entity"].as_str()?)))
        .filter(|what| seen.insert(*what))
        .map(|(action, entity)| ask(action, entity, side))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["concord", "retry"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Retry(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_record_is_tried_again_or_all() {
        for wrong in [&[][..], &["e1", "--all"], &["--side", "crm"], &["e1", "--side", "left"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        assert!(parsed(&["--all", "--side", "erp", "--yes"]).is_ok_and(|options| options.all));
        assert!(parsed(&["e1", "--side", "crm", "--wait"]).is_ok_and(|options| options.side == Some(Side::Crm)));
    }

    #[test]
    fn each_record_is_asked_for_once_and_only_where_that_helps() {
        let write = |side: &str, again: Json| json!({"side": side, "again": again});
        let found = json!({
            "writes": [
                write("crm", json!({"action": "retry", "entity": "e1", "side": "crm"})),
                write("erp", json!({"action": "retry", "entity": "e1", "side": "erp"})),
                write("erp", json!({"action": "convert", "entity": "e2"})),
                write("erp", json!(null)),
            ],
            "dead_letters": [{"again": {"action": "retry", "entity": "e3"}}, {"again": null}],
        });
        let retry = |entity: &str| json!({"action": "retry", "entity": entity});
        assert_eq!(all(&found, None), [retry("e1"), json!({"action": "convert", "entity": "e2"}), retry("e3")]);
        let crm = |entity: &str| json!({"action": "retry", "entity": entity, "side": "crm"});
        assert_eq!(all(&found, Some(Side::Crm)), [crm("e1"), crm("e3")]);
    }
}
