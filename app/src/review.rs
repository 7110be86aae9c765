//! `concord review`: possible matches, both records side by side, answered from the terminal.

mod show;

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use crate::decide::{Common, Follow, Side, carry_out, table, text};
use crate::print::Printer;
use crate::remote::{Connection, part};

/// `concord review`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 done, 1 error, 3 refused (in part), 4 decided and not carried out in time.")]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What can be done about matches.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Matches that wait, or were answered.
    List(List),
    /// Both records side by side, and what speaks for and against.
    Show {
        /// The pair, as `concord review list` shows it.
        pair: String,
        /// The dashboard.
        #[command(flatten)]
        connection: Connection,
    },
    /// The two are one.
    Same(Pair),
    /// The two are not one, and are not asked about again.
    Distinct(Pair),
    /// A record does not belong to its entity.
    Split {
        /// The entity's id, or the id of one of its records.
        entity: String,
        /// The side of the record that does not belong.
        #[arg(long, value_enum)]
        side: Side,
        /// The record's id, where that side has several.
        #[arg(long)]
        record: Option<String>,
        /// Where and how.
        #[command(flatten)]
        common: Common,
    },
    /// Take an answer back.
    Undo {
        /// The decision's id, as `concord review list --state answered` shows it.
        decision: String,
        /// Where and how.
        #[command(flatten)]
        common: Common,
    },
}

/// Two entities.
#[derive(Debug, Args)]
pub struct Pair {
    /// The pair as `concord review list` shows it, or one entity …
    pub pair: String,
    /// … and the other one.
    pub other: Option<String>,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
}

/// Which matches.
#[derive(Debug, Args)]
pub struct List {
    /// Those that wait, or those that were answered.
    #[arg(long, value_enum, default_value = "open")]
    pub state: State,
    /// Of one kind: customer, contact, …
    #[arg(long)]
    pub kind: Option<String>,
    /// At most so many, the newest first.
    #[arg(long, default_value_t = 50)]
    pub limit: u16,
    /// The dashboard.
    #[command(flatten)]
    pub connection: Connection,
}

/// Where a match stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// A person is asked.
    Open,
    /// Somebody has answered, or the question went away.
    Answered,
}

/// Lists, shows, answers.
///
/// # Errors
/// What is wrong with the request, or that the dashboard does not answer.
pub async fn run(options: Options, printer: &Printer) -> anyhow::Result<ExitCode> {
    let (ask, common) = match options.what {
        What::List(list) => return self::list(&list, printer).await,
        What::Show { pair, connection } => {
            let found = connection.open()?.get(&format!("matches/{}", part(&pair)), &[]).await?;
            printer.object(&found);
            if !printer.is_json() {
                show::show(&found, show::width(), printer);
            }
            return Ok(ExitCode::SUCCESS);
        }
        What::Same(pair) => (pair.ask("same")?, pair.common),
        What::Distinct(pair) => (pair.ask("distinct")?, pair.common),
        What::Split { entity, side, record, common } => {
            let mut ask = json!({"action": "split", "entity": entity, "side": side.word()});
            if let Some(record) = record {
                ask["record"] = record.into();
            }
            (ask, common)
        }
        What::Undo { decision, common } => (json!({"action": "unmatch", "of": decision}), common),
    };
    carry_out(&common.connection.open()?, &[ask], &Follow::new(&common), printer).await
}

impl Pair {
    fn ask(&self, action: &str) -> anyhow::Result<Json> {
        match (&self.other, self.pair.contains('~')) {
            (None, true) => Ok(json!({"action": action, "review": self.pair})),
            (Some(other), false) => Ok(json!({"action": action, "entity": self.pair, "other": other})),
            (Some(_), true) => bail!("give the pair alone, or two entities"),
            (None, false) => bail!("`{}` is one entity; give the pair as `concord review list` shows it, or another entity", self.pair),
        }
    }
}

async fn list(list: &List, printer: &Printer) -> anyhow::Result<ExitCode> {
    let remote = list.connection.open()?;
    let limit = list.limit.to_string();
    let state = if list.state == State::Open { "open" } else { "answered" };
    let mut query = vec![("state", state), ("limit", limit.as_str())];
    query.extend(list.kind.as_deref().map(|kind| ("kind", kind)));
    let found = remote.get("matches", &query).await?;
    printer.object(&found);
    let items = found["items"].as_array().cloned().unwrap_or_default();
    if items.is_empty() {
        printer.line(match (list.state, list.kind.is_some()) {
            (State::Open, false) => "No match waits for a person.",
            (State::Answered, false) => "No match has been answered yet.",
            (_, true) => "No match of this kind.",
        });
        return Ok(ExitCode::SUCCESS);
    }
    let last = if list.state == State::Open { ["LIKELY", "WHY"] } else { ["ANSWER", "DECISION"] };
    let mut rows = vec![["PAIR", "KIND", "ONE", "OTHER", last[0], last[1]].map(str::to_owned).to_vec()];
    for item in &items {
        let (fifth, sixth) = if list.state == State::Open {
            (show::likely(item), text(item, "reason"))
        } else {
            let by = item["decided_by"].as_str().map(|who| format!(", {who}")).unwrap_or_default();
            (format!("{}{by}", text(item, "state")), text(item, "decision"))
        };
        rows.push(vec![text(item, "id"), text(item, "kind"), text(item, "left_title"), text(item, "right_title"), fifth, sixth]);
    }
    table(&rows, printer);
    if !found["next_cursor"].is_null() {
        printer.line(&format!("… and more; --limit shows up to 500 (now {})", list.limit));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(arguments: &[&str]) -> anyhow::Result<Json> {
        let all = ["concord", "review"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Review(Options { what: What::Same(pair) }) => pair.ask("same"),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn a_pair_is_named_by_its_id_or_by_both_entities() {
        assert_eq!(asked(&["same", "a~b"]).expect("asked"), json!({"action": "same", "review": "a~b"}));
        assert_eq!(asked(&["same", "a", "b"]).expect("asked"), json!({"action": "same", "entity": "a", "other": "b"}));
        assert!(asked(&["same", "a"]).is_err() && asked(&["same", "a~b", "c"]).is_err() && asked(&["same"]).is_err());
    }
}
