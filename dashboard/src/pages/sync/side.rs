//! The state of one side, and the list of named checks.

use super::Facts;
use crate::queries::At;
use crate::queries::health::Component;
use crate::queries::writes::InFlight;
use crate::show::{self, When};

/// A state: an icon, a word, never a colour alone.
pub(crate) struct Status {
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) word: &'static str,
}

const FINE: Status = Status { class: "ok", icon: "okc", word: "Connected" };

fn rank(part: &Component, now: At) -> u8 {
    match part.state.as_str() {
        "failing" => 5,
        "paused" => 4,
        _ if part.stale(now) => 3,
        "starting" => 2,
        "stopped" => 1,
        _ => 0,
    }
}

fn status(rank: u8) -> Status {
    match rank {
        5 => Status { class: "bad", icon: "x", word: "Needs help" },
        4 => Status { class: "warn", icon: "pause", word: "Paused" },
        3 => Status { class: "warn", icon: "clock", word: "Stale" },
        2 => Status { class: "run", icon: "run", word: "Starting" },
        1 => Status { class: "off", icon: "slash", word: "Stopped" },
        _ => FINE,
    }
}

/// A part's name for people.
pub(crate) fn part_name(component: &str) -> String {
    let (part, of) = component.split_once('.').unwrap_or((component, ""));
    match (part, of) {
        ("ingest", "erp") => "ERP change capture".into(),
        ("ingest", "crm") => "Salesforce change events".into(),
        ("sink", "crm") => "writing to Salesforce".into(),
        ("sink", "erp") => "writing to the ERP".into(),
        ("sink", "readmodel" | "read_model" | "read-model") | ("read_model" | "read-model" | "readmodel", _) => "the read model".into(),
        ("matcher", _) => "matching".into(),
        ("reconciler", _) => "reconciling".into(),
        ("aggregates", _) => "totals".into(),
        _ => component.replace(['.', '_'], " "),
    }
}

/// The ERP reports its version, and the package it came in: `15.18 (Debian 15.18-0+deb12u1)`.
fn server_name(side: &str, server: String) -> String {
    match server.split_once(' ') {
        _ if side != "erp" || !server.starts_with(|first: char| first.is_ascii_digit()) => server,
        Some((version, _)) => format!("Postgres {version}"),
        None => format!("Postgres {server}"),
    }
}

/// One side as the bridge shows it.
pub(crate) struct SideView {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    pub(crate) server: String,
    pub(crate) status: Status,
    /// When what we show was last true, when that is too long ago.
    pub(crate) stale: Option<When>,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    pub(crate) rows: Vec<(&'static str, String)>,
    /// API calls: used, limit, width in percent.
    pub(crate) calls: Option<(String, String, u8)>,
}

impl SideView {
    pub(crate) fn new(side: &'static str, components: &[Component], in_flight: &InFlight, now: At) -> Self {
        let parts: Vec<&Component> = components.iter().filter(|part| part.component.split('.').nth(1) == Some(side)).collect();
        let worst = parts.iter().max_by_key(|part| rank(part, now));
        let fact = |name: &str| parts.iter().find_map(|part| part.fact(name));
        let number = |name: &str| parts.iter().filter_map(|part| part.number(name)).max();
        let lag = parts
            .iter()
            .find(|part| part.component.starts_with("ingest"))
            .and_then(|part| part.number("lag_ms"))
            .or_else(|| number("lag_ms"));
        let mut rows = vec![("Writes in flight", show::count(in_flight.total()))];
        if let Some(lag) = lag {
            rows.push((if side == "erp" { "Capture lag" } else { "Event lag" }, show::millis(lag)));
        }
        if let Some(changes) = number("changes") {
            rows.push(("Changes read", show::count(changes)));
        }
        if let Some(size) = number("slot_bytes") {
            rows.push(("Replication slot", show::bytes(size)));
        }
        let calls = number("api_calls").zip(number("api_limit")).filter(|(_, limit)| *limit > 0);
        Self {
            class: side,
            name: show::side_name(side),
            server: fact("server").map(|server| server_name(side, server)).unwrap_or_default(),
            status: worst.map_or(Status { class: "off", icon: "clock", word: "No report yet" }, |part| status(rank(part, now))),
            stale: parts.iter().filter(|part| part.stale(now)).map(|part| part.at).min().map(|at| When::new(at, now)),
            reason: worst.map(|part| show::sentence(&part.reason)).unwrap_or_default(),
            remedy: worst.map(|part| show::sentence(&part.remedy)).unwrap_or_default(),
            rows,
            calls: calls.map(|(used, limit)| {
                (show::count(used), show::count(limit), u8::try_from((used * 100 / limit).clamp(0, 100)).unwrap_or(100))
            }),
        }
    }
}

/// A named check.
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) passes: bool,
    pub(crate) detail: String,
    pub(crate) remedy: String,
    /// Where the list behind it is.
    pub(crate) link: Option<(&'static str, &'static str)>,
}

/// Every check, failing ones first.
pub(crate) fn checks(facts: &Facts) -> Vec<Check> {
    let now = facts.now;
    let mut ranked: Vec<(u8, Check)> = facts
        .components
        .iter()
        .map(|part| {
            let rank = rank(part, now);
            let age = show::span(part.since.age_s(now) / 60 * 60);
            let detail = match rank {
                3 => format!("last report {}", When::new(part.at, now).ago),
                _ if !part.reason.is_empty() => show::sentence(&part.reason),
                0 => part.number("lag_ms").map_or_else(|| "running".to_owned(), |lag| format!("{} behind", show::millis(lag))),
                _ => format!("for {age}"),
            };
            (
                rank,
                Check {
                    name: show::capital(&part_name(&part.component)),
                    status: status(rank),
                    passes: rank == 0,
                    detail,
                    remedy: show::sentence(&part.remedy),
                    link: None,
                },
            )
        })
        .collect();
    let failed = |count: i64, one: &str, many: &str, rest: &str, link| {
        let bad = count > 0;
        let detail = if bad { rest.to_owned() } else { "none".to_owned() };
        let name = if bad { show::plural(count, one, many) } else { show::capital(many) };
        (
            if bad { 5 } else { 0 },
            Check { name, status: status(if bad { 5 } else { 0 }), passes: !bad, detail, remedy: String::new(), link: bad.then_some(link) },
        )
    };
    ranked.push(failed(
        facts.unfinished.failed,
        "failed write",
        "failed writes",
        "Refused by the target; the list has each reason and remedy.",
        ("/failures#writes", "List"),
    ));
    ranked.push(failed(
        facts.dead_letters,
        "dead letter",
        "dead letters",
        "Set aside with its bytes; everything else goes on.",
        ("/failures#dead-letters", "List"),
    ));
    ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    ranked.into_iter().map(|(_, check)| check).collect()
}
