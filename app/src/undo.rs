//! `concord undo`: takes a write, a decision, a settlement or everything in a time range back, after showing field by field what
//! that would write.

mod time;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Value as Json, json};

use crate::decide::{Common, Follow, Side, carry_out, confirmed, shorten, text, value};
use crate::print::Printer;

/// `concord undo`.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["write", "decision", "conflict", "from"]),
    after_help = "Times: 2026-03-01T09:00:00Z, 2026-03-01 09:00 (this machine's zone), or so long ago: 2h.\n\n\
                  Examples:\n  concord undo --from 2h --actor bulk.job --dry-run\n  concord undo --from '2026-03-01 09:00' --to '2026-03-01 09:20' --actor bulk.job\n  \
                  concord undo --write 0190… --wait\n\n\
                  What is taken back goes newest first. Edits made since are left alone: such a decision is refused, unless --force.\n\
                  Exit codes: 0 done, 1 error, 3 refused (in part), 4 decided and not carried out in time."
)]
pub struct Options {
    /// A write, by its id (`concord undo --from … --dry-run --json` and the Sync page show ids).
    #[arg(long, value_name = "ID")]
    pub write: Option<String>,
    /// A decision, or a batch of decisions.
    #[arg(long, value_name = "ID")]
    pub decision: Option<String>,
    /// How a conflict was settled: both sides get back what they held, and it is open again.
    #[arg(long, value_name = "ID")]
    pub conflict: Option<String>,
    /// Everything carried across from edits made from this time, and answers about matches …
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// … until before this time; until now when it is not said.
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with_all = ["write", "decision", "conflict"])]
    pub to: Option<String>,
    /// Only edits by this person or program.
    #[arg(long, requires = "from", conflicts_with_all = ["write", "decision", "conflict"])]
    pub actor: Option<String>,
    /// Only of this record: its entity id, or its id on either side.
    #[arg(long, requires = "from", conflicts_with_all = ["write", "decision", "conflict"])]
    pub entity: Option<String>,
    /// Only of this kind.
    #[arg(long, requires = "from", conflicts_with_all = ["write", "decision", "conflict"])]
    pub kind: Option<String>,
    /// Only what was written to this side.
    #[arg(long, value_enum, requires = "from", conflicts_with_all = ["write", "decision", "conflict"])]
    pub side: Option<Side>,
    /// Show what would be written, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Although something was edited since; that edit is then kept on record only. Takes a token with crm.admin.
    #[arg(long)]
    pub force: bool,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
}

/// Previews, asks, and takes back.
///
/// # Errors
/// What is wrong with the request, or that the dashboard does not answer.
pub async fn run(options: Options, printer: &Printer) -> anyhow::Result<ExitCode> {
    let remote = options.common.connection.open()?;
    let query = options.query()?;
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let plan = remote.get("undo", &query).await?;
    let items = plan["items"].as_array().cloned().unwrap_or_default();
    let asks: Vec<Json> = items.iter().filter(|item| item["ask"].is_object()).map(|item| forced(&item["ask"], options.force)).collect();
    if options.dry_run {
        printer.object(&plan);
    }
    if items.is_empty() {
        printer.line("Nothing was carried across or answered then that matches; nothing to take back.");
        if !options.dry_run {
            printer.object(&json!({"batch": null, "decided": 0, "accepted": 0, "refused": 0, "decisions": []}));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !printer.is_json() {
        show(&items, options.dry_run, printer);
    }
    if plan["more"] == true {
        if !options.dry_run {
            bail!("there is more in this range than is taken back at once; take a shorter one");
        }
        printer.line("… and more; take a shorter range");
    }
    if !printer.is_json() && asks.iter().any(|ask| ask["action"] == "undo") {
        printer.line("Both sides get back what they held before: the one that was written, as shown, and the one where the edit was made.");
    }
    let held =
        items.iter().filter(|item| item["since"].as_array().is_some_and(|since| !since.is_empty()) && item["ask"].is_object()).count();
    let mut summary = format!("take back {} of {}", asks.len(), items.len());
    if held > 0 && !options.force {
        summary.push_str(&format!("; {held} of them with a later edit are likely to be refused without --force"));
    }
    if options.dry_run {
        printer.line(&format!("Nothing was written. Without --dry-run this would {summary}."));
        return Ok(ExitCode::SUCCESS);
    }
    if asks.is_empty() {
        bail!("none of this can be taken back; --dry-run says why for each");
    }
    // One thing that is named needs no second question.
    let named = asks.len() == 1 && options.from.is_none();
    if !confirmed(&summary, options.common.yes || named, printer)? {
        return Ok(ExitCode::SUCCESS);
    }
    carry_out(&remote, &asks, &Follow::new(&options.common), printer).await
}

fn forced(ask: &Json, force: bool) -> Json {
    let mut ask = ask.clone();
    if force && (ask["action"] == "undo" || ask["action"] == "reopen") {
        ask["force"] = true.into();
    }
    ask
}

impl Options {
    fn query(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut query = Vec::new();
        for (name, value) in [("write", &self.write), ("decision", &self.decision), ("conflict", &self.conflict)] {
            query.extend(value.clone().map(|value| (name, value)));
        }
        if let Some(from) = &self.from {
            let now = time::now();
            let since = time::read(from, now)?;
            let to = match &self.to {
                Some(to) => time::read(to, now)?,
                None => now,
            };
            if to <= since {
                let until = match &self.to {
                    Some(said) => format!("`{said}` ({to})"),
                    None => "now, and no --to is given".to_owned(),
                };
                bail!("the range is empty: --from `{from}` ({since}) is not before {until}");
            }
            query.push(("from", since.to_string()));
            query.push(("to", to.to_string()));
            for (name, value) in [("actor", &self.actor), ("entity", &self.entity), ("kind", &self.kind)] {
                query.extend(value.clone().map(|value| (name, value)));
            }
            query.extend(self.side.map(|side| ("side", side.word().to_owned())));
        }
        Ok(query)
    }
}

/// Items shown in full; of more, only the first are, unless nothing else was asked for.
const IN_FULL: usize = 20;

fn show(items: &[Json], all: bool, printer: &Printer) {
    let shown = if all { items.len() } else { IN_FULL };
    for item in items.iter().take(shown) {
        let who = item["actor"].as_str().map(|who| format!(", {who}")).unwrap_or_default();
        let record = item["record"].as_str().map(|record| format!(" {record}")).unwrap_or_default();
        let name = match text(item, "title") {
            title if title.is_empty() => text(item, "entity"),
            title => title,
        };
        printer.line(&format!("{name} ({}): {}{record}, {}{who}", text(item, "kind"), text(item, "what"), text(item, "at")));
        for change in item["changes"].as_array().into_iter().flatten() {
            let column = format!("{} {}", text(change, "side"), text(change, "column"));
            let (now, then) = (value(&change["now"]), value(&change["then"]));
            printer.line(&format!("    {column:<28} {} -> {}", shorten(&now, 40), shorten(&then, 40)));
        }
        for since in item["since"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            printer.line(&format!("    ! {since}"));
        }
        if let Some(why) = item["refused"].as_str() {
            printer.line(&format!("    cannot be taken back: {why}"));
        }
    }
    if items.len() > shown {
        printer.line(&format!("… and {} more; --dry-run shows all", items.len() - shown));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["concord", "undo"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Undo(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_thing_is_taken_back_or_one_range() {
        for wrong in [
            &[][..],
            &["--write", "w", "--decision", "d"],
            &["--to", "1h"],
            &["--write", "w", "--actor", "x"],
            &["--conflict", "c", "--from", "1h"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        let query = parsed(&["--from", "2026-03-01T09:00:00Z", "--to", "2026-03-01T10:00:00Z", "--side", "erp", "--actor", "x"])
            .expect("parsed")
            .query()
            .expect("read");
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(query, [("from", "2026-03-01T09:00:00Z"), ("to", "2026-03-01T10:00:00Z"), ("actor", "x"), ("side", "erp")]);
    }

    #[test]
    fn an_empty_range_is_told_with_both_ends() {
        let told = |arguments: &[&str]| parsed(arguments).expect("parsed").query().expect_err("empty").to_string();
        let crossed = told(&["--from", "1h", "--to", "2h"]);
        assert!(crossed.contains("--from `1h`") && crossed.contains("not before `2h`"), "{crossed}");
        let late = told(&["--from", "2199-01-01T00:00:00Z"]);
        assert!(late.contains("2199-01-01T00:00:00Z") && late.contains("not before now") && late.contains("--to"), "{late}");
    }

    #[test]
    fn force_goes_with_what_may_have_been_edited_since() {
        assert_eq!(forced(&json!({"action": "undo"}), true), json!({"action": "undo", "force": true}));
        assert_eq!(forced(&json!({"action": "unmatch"}), true), json!({"action": "unmatch"}));
        assert_eq!(forced(&json!({"action": "undo"}), false), json!({"action": "undo"}));
    }
}
