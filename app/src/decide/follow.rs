//! Puts decisions on the log by way of the dashboard, and follows them until they are answered, or until both systems have
//! confirmed what follows.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::Common;
use super::list::plural;
use crate::print::Printer;
use crate::remote::{Remote, part};

/// Decisions in one request; the API takes no more.
const AT_ONCE: usize = 500;
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Some were refused.
const REFUSED: u8 = 3;
/// Not all were answered, or confirmed, in time.
const LATE: u8 = 4;

/// How to follow decisions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follow {
    wait: bool,
    timeout: Duration,
}

impl Follow {
    pub(crate) fn new(common: &Common) -> Self {
        Self { wait: common.wait, timeout: common.timeout }
    }
}

/// What the dashboard did not take, in its words.
struct Refusal {
    ask: Json,
    reason: String,
}

/// Decides, follows, and tells.
///
/// # Errors
/// When the dashboard does not answer, or refuses the only decision.
pub(crate) async fn carry_out(remote: &Remote, asks: &[Json], follow: &Follow, printer: &Printer) -> anyhow::Result<ExitCode> {
    let (batch, ids, refusals) = put(remote, asks, printer).await?;
    let (decisions, waited) = followed(remote, batch.as_deref(), &ids, follow, printer).await?;
    let count = |result: &str| decisions.iter().filter(|decision| decision["result"] == result).count();
    let (accepted, unchanged, refused) = (count("accepted"), count("unchanged"), count("refused") + refusals.len());
    let waiting = ids.len().saturating_sub(accepted + unchanged + count("refused"));
    let held = count("waiting").min(waiting);
    let unheard = waiting - held;
    let failed = decisions.iter().filter(|decision| decision["writes_failed"].as_i64() > Some(0)).count();
    let confirmed =
        decisions.iter().filter(|decision| decision["done"] == true && decision["result"] == "accepted").count() - failed.min(accepted);
    printer.object(&json!({
        "batch": batch, "decided": ids.len(), "accepted": accepted, "unchanged": unchanged, "refused": refused, "waiting": waiting,
        "confirmed": confirmed, "failed": failed, "in_time": waited, "decisions": decisions,
        "not_taken": refusals.iter().map(|one| json!({"ask": one.ask, "reason": one.reason})).collect::<Vec<_>>(),
    }));
    if !printer.is_json() {
        tell(&decisions, &refusals, printer);
        let mut words = Vec::new();
        for (number, word) in
            [(accepted, "taken up"), (unchanged, "changed nothing"), (refused, "refused"), (held, "waiting"), (unheard, "not answered yet")]
        {
            if number > 0 {
                words.push(format!("{number} {word}"));
            }
        }
        if follow.wait && accepted > 0 {
            words.push(format!("{confirmed} confirmed"));
        }
        let batch = batch.as_deref().map(|batch| format!(" (batch {batch})")).unwrap_or_default();
        printer.line(&format!("{}{batch}: {}", plural(asks.len(), "decision", "decisions"), words.join(", ")));
        if unheard > 0 {
            printer.line("The decisions that are not answered yet stand, and are carried out when the processors run.");
        }
        if held > 0 {
            printer.line("What waits stands, and is carried out as soon as what it waits for has ended; then it is answered again.");
        }
        if waiting == 0 && !waited {
            printer.line("Not everything is confirmed yet; it goes on by itself. The Sync page shows what is on its way.");
        }
    }
    Ok(match (refused + failed, waiting == 0 && waited) {
        (0, true) => ExitCode::SUCCESS,
        (0, false) => ExitCode::from(LATE),
        _ => ExitCode::from(REFUSED),
    })
}

async fn put(remote: &Remote, asks: &[Json], printer: &Printer) -> anyhow::Result<(Option<String>, Vec<String>, Vec<Refusal>)> {
    let (mut batch, mut ids, mut refusals) = (None::<String>, Vec::new(), Vec::new());
    let bar = progress(asks.len(), "deciding", printer);
    for part in asks.chunks(AT_ONCE) {
        let mut body = json!({"decisions": part});
        if let Some(batch) = &batch {
            body["batch"] = batch.as_str().into();
        }
        let taken = remote.post("decisions", &body).await.inspect_err(|_| {
            if !ids.is_empty() {
                printer.line(&format!("{} were decided before this", plural(ids.len(), "conflict or write", "conflicts or writes")));
            }
        })?;
        batch = batch.or_else(|| taken["batch"].as_str().map(str::to_owned));
        let answers = taken["decisions"].as_array().context("the dashboard's answer holds no decisions")?;
        for (ask, answer) in part.iter().zip(answers) {
            match answer["id"].as_str() {
                Some(id) => ids.push(id.to_owned()),
                None => {
                    let said = |name: &str| answer["error"][name].as_str().unwrap_or_default().to_owned();
                    refusals.push(Refusal { ask: ask.clone(), reason: crate::remote::said(&said("message"), &said("remedy")) });
                }
            }
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok((batch, ids, refusals))
}

/// The decisions as they stand at the end, and whether all we wait for came in time.
async fn followed(
    remote: &Remote,
    batch: Option<&str>,
    ids: &[String],
    follow: &Follow,
    printer: &Printer,
) -> anyhow::Result<(Vec<Json>, bool)> {
    let started = Instant::now();
    let bar = progress(ids.len(), if follow.wait { "confirmed" } else { "answered" }, printer);
    let complete = loop {
        let done = match (batch, ids) {
            (_, []) => break true,
            (Some(batch), _) => {
                let stands = remote.get(&format!("batches/{}", part(batch)), &[]).await?;
                let number = |name: &str| usize::try_from(stands[name].as_i64().unwrap_or(0)).unwrap_or(0);
                if follow.wait { number("done") } else { number("decisions") - number("waiting").min(number("decisions")) }
            }
            (None, [id, ..]) => {
                let found = remote.find(&format!("decisions/{}", part(id))).await?.unwrap_or_default();
                usize::from(if follow.wait { found["done"] == true } else { found["result"].is_string() && found["result"] != "waiting" })
            }
        };
        bar.set_position(done as u64);
        if done >= ids.len() {
            break true;
        }
        if started.elapsed() >= follow.timeout {
            break false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    bar.finish_and_clear();
    let mut decisions = Vec::new();
    match (batch, ids) {
        (_, []) => {}
        // Of many, those that need a look; of few, all.
        (Some(batch), _) if ids.len() > AT_ONCE => {
            // What waits first, as it may have its answer by the time that the others are listed.
            let mut last = BTreeMap::new();
            for result in ["waiting", "refused", "unchanged", "accepted"] {
                let found = remote.get("decisions", &[("batch", batch), ("result", result), ("limit", "500")]).await?;
                let items = found["items"].as_array().into_iter().flatten();
                last.extend(items.map(|item| (item["id"].as_str().unwrap_or_default().to_owned(), item.clone())));
            }
            decisions.extend(last.into_values());
            let stands = remote.get(&format!("batches/{}", part(batch)), &[]).await?;
            pad(&mut decisions, &stands);
        }
        (Some(batch), _) => {
            let found = remote.get("decisions", &[("batch", batch), ("limit", "500")]).await?;
            decisions.extend(found["items"].as_array().into_iter().flatten().cloned());
        }
        (None, [id, ..]) => decisions.extend(remote.find(&format!("decisions/{}", part(id))).await?),
    }
    Ok((decisions, complete))
}

/// A batch too long to be listed in full is counted in full: what is not listed stands as its result alone.
fn pad(decisions: &mut Vec<Json>, stands: &Json) {
    for result in ["accepted", "unchanged", "refused"] {
        let listed = decisions.iter().filter(|decision| decision["result"] == result).count();
        let all = usize::try_from(stands[result].as_i64().unwrap_or(0)).unwrap_or(0);
        decisions.extend((listed..all).map(|_| json!({"result": result, "done": true})));
    }
}

fn tell(decisions: &[Json], refusals: &[Refusal], printer: &Printer) {
    let said = |decision: &Json, name: &str| decision[name].as_str().unwrap_or_default().to_owned();
    let few = decisions.len() <= 10;
    for decision in decisions.iter().filter(|decision| few || decision["result"] == "refused" || decision["result"] == "waiting") {
        let name = match said(decision, "title") {
            title if title.is_empty() => said(decision, "entity"),
            title => title,
        };
        let result = match said(decision, "result").as_str() {
            "" => "not answered yet".to_owned(),
            "accepted" => "taken up".to_owned(),
            "unchanged" => "changed nothing".to_owned(),
            other => other.to_owned(),
        };
        if !name.is_empty() {
            printer.line(&format!("  {name}: {} {result}{}", said(decision, "action"), reason(&said(decision, "reason"))));
        }
    }
    for refusal in refusals {
        let about = ["conflict", "write", "review", "entity", "of"].into_iter().find_map(|name| refusal.ask[name].as_str());
        printer.line(&format!("  {}: not taken. {}", about.unwrap_or_default(), refusal.reason));
    }
}

fn reason(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// A bar on a terminal; nothing for programs.
fn progress(length: usize, what: &'static str, printer: &Printer) -> ProgressBar {
    if printer.is_json() || length < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}") {
        bar.set_style(style);
    }
    bar.with_message(what)
}
