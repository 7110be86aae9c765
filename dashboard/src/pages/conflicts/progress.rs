//! How far the settlement of a conflict has come: decided, written, confirmed on both sides. A state is
//! shown only when the read model says that it has been reached.

use serde::Serialize;
use serde_json::Value as Json;

use crate::queries::At;
use crate::queries::conflicts::Conflict;
use crate::queries::writes::Settling;

/// Where the settlement stands on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnSide {
    /// Nothing to do yet: the conflict is open.
    Open,
    /// Decided; no write has been seen yet.
    Waiting,
    /// The write is on its way.
    Sent,
    /// The target took it; its own stream has not shown it yet.
    Written,
    /// Seen in the target's own stream.
    Confirmed,
    /// It held the winning value already.
    Held,
    /// The target is paused or its limit is reached.
    Deferred,
    /// Somebody changed it meanwhile; it is being evaluated again.
    Rejected,
    /// The target refuses it.
    Failed,
}

impl OnSide {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Written => "written",
            Self::Confirmed => "confirmed",
            Self::Held => "held",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "waits for a decision",
            Self::Waiting => "about to be written",
            Self::Sent => "on its way",
            Self::Written => "written, waiting to be seen",
            Self::Confirmed => "confirmed",
            Self::Held => "has this value already",
            Self::Deferred => "waits until the side takes writes again",
            Self::Rejected => "changed meanwhile, looked at again",
            Self::Failed => "refused",
        }
    }

    pub(crate) fn icon(self) -> &'static str {
        match self {
            Self::Open | Self::Waiting | Self::Deferred => "clock",
            Self::Sent | Self::Written => "run",
            Self::Confirmed | Self::Held => "okc",
            Self::Rejected => "warn",
            Self::Failed => "x",
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Open | Self::Waiting => "off",
            Self::Sent | Self::Written => "run",
            Self::Confirmed | Self::Held => "ok",
            Self::Deferred | Self::Rejected => "warn",
            Self::Failed => "bad",
        }
    }

    fn done(self) -> bool {
        matches!(self, Self::Confirmed | Self::Held)
    }
}

/// Where the settlement stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    Open,
    Decided,
    Settled,
    Written,
    Confirmed,
    Failed,
}

impl Stage {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Decided => "decided",
            Self::Settled => "settled",
            Self::Written => "written",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
        }
    }
}

/// Both sides and the whole.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) crm: OnSide,
    pub(crate) erp: OnSide,
    /// When both sides had it.
    pub(crate) confirmed_at: Option<At>,
    /// What a side said when it refused.
    pub(crate) message: Option<String>,
}

impl Progress {
    /// From the conflict, whether it was decided a moment ago, and all writes of its entity that settle conflicts.
    pub(crate) fn new(conflict: &Conflict, decided: bool, writes: &[Settling]) -> Self {
        if conflict.open() {
            let (stage, side) = if decided { (Stage::Decided, OnSide::Waiting) } else { (Stage::Open, OnSide::Open) };
            return Self { stage, crm: side, erp: side, confirmed_at: None, message: None };
        }
        let writes: Vec<&Settling> = writes.iter().filter(|write| write.conflict == conflict.id).collect();
        let crm = on_side("crm", conflict, conflict.crm.as_ref(), &writes);
        let erp = on_side("erp", conflict, conflict.erp.as_ref(), &writes);
        let stage = match (crm, erp) {
            (OnSide::Failed, _) | (_, OnSide::Failed) => Stage::Failed,
            (a, b) if a.done() && b.done() => Stage::Confirmed,
            (a, b) if [a, b].iter().all(|side| side.done() || *side == OnSide::Written) => Stage::Written,
            _ => Stage::Settled,
        };
        let confirmed_at = (stage == Stage::Confirmed)
            .then(|| writes.iter().filter_map(|write| write.confirmed_at).max().or(conflict.settled_at))
            .flatten();
        let message = writes.iter().rev().filter(|write| write.state == "failed").find_map(|write| write.message.clone());
        Self { stage, crm, erp, confirmed_at, message }
    }
}

fn on_side(side: &str, conflict: &Conflict, value: Option<&Json>, writes: &[&Settling]) -> OnSide {
    match writes.iter().rev().find(|write| write.side == side).map(|write| write.state.as_str()) {
        Some("sent") => OnSide::Sent,
        Some("applied") => OnSide::Written,
        Some("confirmed") => OnSide::Confirmed,
        Some("rejected") => OnSide::Rejected,
        Some("failed") => OnSide::Failed,
        Some(_) => OnSide::Deferred,
        None => {
            let plain = |value: Option<&Json>| value.filter(|value| !value.is_null()).cloned();
            let held = conflict.kept_both || conflict.winner.as_deref() == Some(side) || plain(value) == plain(conflict.chosen.as_ref());
            // When our write had replaced the loser before its edit was seen, the target needs no other.
            if held || conflict.overtaken { OnSide::Held } else { OnSide::Waiting }
        }
    }
}
