//! One sentence for the whole of Concord: the worst state first.

use super::Facts;
use super::side::part_name;
use crate::queries::health::Component;
use crate::show::{self, capital, plural, sentence};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Fine,
    Starting,
    Paused,
    Attention,
    Failing,
}

/// The sentence and what stands below it.
#[derive(Debug, Clone)]
pub(crate) struct Headline {
    pub(crate) level: Level,
    pub(crate) text: String,
    pub(crate) below: String,
}

impl Headline {
    pub(super) fn new(facts: &Facts) -> Self {
        let mut clauses: Vec<(Level, String)> = Vec::new();
        let mut below: Vec<String> = Vec::new();
        // The worst part explains itself; the others do so in the list of checks.
        let mut explain = |part: &Component| {
            if below.is_empty() {
                below.extend([&part.reason, &part.remedy].into_iter().filter(|text| !text.is_empty()).map(|text| sentence(text)));
            }
        };
        let of = |state: &'static str| facts.components.iter().filter(move |part| part.state == state);

        for part in of("failing") {
            clauses.push((Level::Failing, format!("{} needs help", part_name(&part.component))));
            explain(part);
        }
        if facts.failed() > 0 {
            clauses.push((Level::Failing, format!("{} failed", plural(facts.failed(), "record", "records"))));
        }
        if facts.paused() {
            let who = facts.pause.as_ref().map(|pause| format!(" by {}", pause.actor)).unwrap_or_default();
            clauses.push((Level::Paused, format!("sync is paused{who}")));
        } else {
            for part in of("paused") {
                clauses.push((Level::Attention, format!("{} is paused", part_name(&part.component))));
                explain(part);
            }
        }
        for part in facts.components.iter().filter(|part| part.stale(facts.now)) {
            clauses.push((
                Level::Attention,
                format!("{} has been silent for {}", part_name(&part.component), show::span(part.at.age_s(facts.now))),
            ));
        }
        if facts.counts.open > 0 {
            clauses.push((
                Level::Attention,
                if facts.counts.open == 1 {
                    "1 conflict waits".into()
                } else {
                    format!("{} conflicts wait", show::count(facts.counts.open))
                },
            ));
        }
        if facts.components.is_empty() {
            clauses.push((Level::Starting, "nothing has reported yet".into()));
            below.push("Concord's parts say how they are doing once they run; this page shows it by itself.".into());
        } else {
            for part in of("starting") {
                clauses.push((Level::Starting, format!("{} is starting", part_name(&part.component))));
                explain(part);
            }
        }
        let parts_well = facts.components.iter().all(|part| part.state == "running" && !part.stale(facts.now));
        if parts_well && !facts.components.is_empty() && !clauses.is_empty() && !facts.paused() {
            below.push("Everything else is in sync.".into());
        }
        // A stable order: of equals, the one found first.
        clauses.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        below.push(Self::flow(facts, clauses.is_empty()));
        below.dedup();
        Self {
            level: clauses.first().map_or(Level::Fine, |(level, _)| *level),
            text: if clauses.is_empty() {
                "Everything is in sync".into()
            } else {
                capital(&clauses.iter().take(2).map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", "))
            },
            below: below.into_iter().filter(|text| !text.is_empty()).take(3).collect::<Vec<_>>().join(" "),
        }
    }

    pub(super) fn level_word(&self) -> &'static str {
        match self.level {
            Level::Fine => "fine",
            Level::Starting => "starting",
            Level::Paused => "paused",
            Level::Attention => "attention",
            Level::Failing => "failing",
        }
    }

    fn flow(facts: &Facts, fine: bool) -> String {
        match (facts.in_flight(), fine) {
            (0, true) => "No change is on its way.".into(),
            (0, false) => String::new(),
            (one, _) => format!("{} on the way.", plural(one, "change is", "changes are")),
        }
    }
}
