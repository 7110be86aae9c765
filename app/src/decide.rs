//! `concord decide`: conflicts, one or many; what lost, restored; records made or not; an opportunity made an order.

mod ask;
mod follow;
mod list;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

pub(crate) use ask::confirmed;
pub(crate) use follow::{Follow, carry_out};
pub(crate) use list::{plural, shorten, table, text, value};

use crate::print::Printer;
use crate::remote::{Connection, Remote, part};

/// `concord decide`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  concord decide list\n  concord decide 0190…:3 --take erp --wait\n  concord decide 0190…:3 --take erp --same-shape\n  \
                  concord decide --record 0010X00003 --take crm\n  concord decide 0190…:2 --restore crm\n\n\
                  Exit codes: 0 done, 1 error, 3 refused (in part), 4 decided and not carried out in time."
)]
pub struct Options {
    /// Something else than a conflict.
    #[command(subcommand)]
    pub what: Option<What>,
    /// A conflict.
    #[command(flatten)]
    pub settle: Settle,
}

/// What else can be decided.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Conflicts that wait, or were settled.
    List(list::Options),
    /// Make the record that a side lacks.
    Create(Record),
    /// Do not make the record that a side lacks.
    Refuse(Record),
    /// Make an order of a won opportunity.
    Convert {
        /// The opportunity: its entity id, or the id of its record.
        opportunity: String,
        /// Where and how.
        #[command(flatten)]
        common: Common,
    },
}

/// A record that one side lacks.
#[derive(Debug, Args)]
pub struct Record {
    /// Its entity id, or the id of the record on the side that has it.
    pub entity: String,
    /// The side that lacks it, where that is not clear.
    #[arg(long, value_enum)]
    pub side: Option<Side>,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
}

/// One of the two systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Salesforce.
    Crm,
    /// The ERP.
    Erp,
}

impl Side {
    /// As the API has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Erp => "erp",
        }
    }
}

/// What every deciding command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The dashboard.
    #[command(flatten)]
    pub connection: Connection,
    /// Also wait until what follows is confirmed by both systems.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait. The decision stands all the same.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub timeout: std::time::Duration,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// What makes conflicts alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// The same field of the same kind with the same two values.
    Values,
    /// The same field of the same kind; each takes that side's own value.
    Field,
}

/// A conflict, or several.
#[derive(Debug, Args)]
pub struct Settle {
    /// The conflict's id, as `concord decide list` shows it.
    #[arg(required_unless_present = "record", conflicts_with = "record")]
    pub conflict: Option<String>,
    /// All open fields of a record: its entity id, or its id on either side.
    #[arg(long, value_name = "ENTITY")]
    pub record: Option<String>,
    /// `crm`, `erp`, `both` (each side keeps its own), or another value.
    #[arg(long, value_name = "crm|erp|both|VALUE", required_unless_present_any = ["restore", "reopen", "value"])]
    pub take: Option<String>,
    /// Another value, also one that is itself `crm`, `erp` or `both`; nothing for an empty field.
    #[arg(long, conflicts_with = "take")]
    pub value: Option<String>,
    /// Decide every open conflict of this shape alike.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "values", conflicts_with = "record")]
    pub same_shape: Option<Shape>,
    /// Put back the value that this side lost when the conflict was settled.
    #[arg(long, value_enum, conflicts_with_all = ["take", "value", "reopen", "record", "same_shape"])]
    pub restore: Option<Side>,
    /// Take back how the conflict was settled: both sides get back what they held, and it is open again.
    #[arg(long, conflicts_with_all = ["take", "value", "record", "same_shape"])]
    pub reopen: bool,
    /// With --reopen: although a side was edited since; that edit is then kept on record only.
    #[arg(long, requires = "reopen", conflicts_with_all = ["take", "value", "restore", "record", "same_shape"])]
    pub force: bool,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
}

/// Decides.
///
/// # Errors
/// What is wrong with the request, or that the dashboard does not answer.
pub async fn run(options: Options, printer: &Printer) -> anyhow::Result<ExitCode> {
    let entity = |action: &str, record: &Record| {
        let mut ask = json!({"action": action, "entity": record.entity});
        if let Some(side) = record.side {
            ask["side"] = side.word().into();
        }
        ask
    };
    let (asks, common) = match &options.what {
        Some(What::List(list)) => return list::run(list, printer).await,
        Some(What::Create(record)) => (vec![entity("create", record)], &record.common),
        Some(What::Refuse(record)) => (vec![entity("refuse", record)], &record.common),
        Some(What::Convert { opportunity, common }) => (vec![json!({"action": "convert", "entity": opportunity})], common),
        None => {
            let common = &options.settle.common;
            let remote = common.connection.open()?;
            let asks = options.settle.asks(&remote).await?;
            if options.settle.same_shape.is_some() || options.settle.record.is_some() {
                let what = format!("decide {}", plural(asks.len(), "conflict", "conflicts"));
                if !confirmed(&what, common.yes, printer)? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            (asks, common)
        }
    };
    let remote = common.connection.open()?;
    carry_out(&remote, &asks, &Follow::new(common), printer).await
}

impl Settle {
    /// What is asked for, one decision for each conflict.
    async fn asks(&self, remote: &Remote) -> anyhow::Result<Vec<Json>> {
        if let Some(conflict) = &self.conflict {
            if let Some(side) = self.restore {
                return Ok(vec![json!({"action": "restore", "conflict": conflict, "choice": side.word()})]);
            }
            if self.reopen {
                let mut ask = json!({"action": "reopen", "conflict": conflict});
                if self.force {
                    ask["force"] = true.into();
                }
                return Ok(vec![ask]);
            }
        }
        let taken = self.taken()?;
        let conflicts = match (&self.conflict, &self.record, self.same_shape) {
            (Some(conflict), _, None) => vec![conflict.clone()],
            (Some(conflict), _, Some(shape)) => {
                let word = match shape {
                    Shape::Values => "values",
                    Shape::Field if taken["choice"] == "value" => {
                        bail!("one value for conflicts with different values? take a side for a whole field, or leave out `=field`")
                    }
                    Shape::Field => "field",
                };
                let found = remote.get(&format!("conflicts/{}/alike", part(conflict)), &[("shape", word)]).await?;
                ids(&found)
            }
            (None, Some(record), _) => {
                let found = remote.get("conflicts", &[("state", "open"), ("entity", record), ("limit", "500")]).await?;
                ids(&found)
            }
            (None, None, _) => bail!("name a conflict or a record"),
        };
        if conflicts.is_empty() {
            bail!("no conflict is open there; see `concord decide list`");
        }
        Ok(conflicts
            .into_iter()
            .map(|conflict| {
                let mut ask = taken.clone();
                ask["conflict"] = conflict.into();
                ask
            })
            .collect())
    }

    fn taken(&self) -> anyhow::Result<Json> {
        if let Some(value) = &self.value {
            return Ok(json!({"action": "settle", "choice": "value", "value": nothing_or(value)}));
        }
        let take = self.take.as_deref().context("say what is taken: --take crm, erp, both or a value")?;
        Ok(match take {
            "crm" | "erp" | "both" => json!({"action": "settle", "choice": take}),
            value => json!({"action": "settle", "choice": "value", "value": nothing_or(value)}),
        })
    }
}

fn nothing_or(value: &str) -> Json {
    if value.is_empty() { Json::Null } else { value.into() }
}

fn ids(found: &Json) -> Vec<String> {
    found["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["concord", "decide"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Decide(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_taken_is_a_side_both_or_a_value() {
        let taken = |arguments: &[&str]| parsed(arguments).expect("parsed").settle.taken().expect("taken");
        assert_eq!(taken(&["e:1", "--take", "erp"]), json!({"action": "settle", "choice": "erp"}));
        assert_eq!(taken(&["e:1", "--take", "both"]), json!({"action": "settle", "choice": "both"}));
        assert_eq!(taken(&["e:1", "--take", "Net 30"]), json!({"action": "settle", "choice": "value", "value": "Net 30"}));
        assert_eq!(taken(&["e:1", "--value", "erp"]), json!({"action": "settle", "choice": "value", "value": "erp"}));
        assert_eq!(taken(&["e:1", "--value="]), json!({"action": "settle", "choice": "value", "value": null}));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in [
            &[][..],
            &["e:1"],
            &["--take", "crm"],
            &["e:1", "--record", "e", "--take", "crm"],
            &["e:1", "--take", "crm", "--restore", "erp"],
            &["e:1", "--force", "--take", "crm"],
            &["--record", "e", "--take", "crm", "--same-shape"],
            &["create"],
        ] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
        assert!(matches!(parsed(&["list", "--state", "settled"]).expect("parsed").what, Some(What::List(_))));
        let shape = |arguments: &[&str]| parsed(arguments).expect("parsed").settle.same_shape;
        assert_eq!(shape(&["e:1", "--take", "crm", "--same-shape"]), Some(Shape::Values));
        assert_eq!(shape(&["e:1", "--take", "crm", "--same-shape=field"]), Some(Shape::Field));
        assert!(parsed(&["convert", "0061", "--wait"]).is_ok() && parsed(&["e:1", "--restore", "crm"]).is_ok());
    }
}
