//! The list of possible matches.

use super::{Wanted, address};
use crate::command::Decided;
use crate::queries::At;
use crate::queries::matches::{COUNT_UP_TO, Counts, Review, State};
use crate::show::{self, When, query_escape};

/// A match in the list.
pub(crate) struct Item {
    pub(crate) left: String,
    pub(crate) right: String,
    pub(crate) kind: String,
    pub(crate) when: When,
    pub(crate) address: String,
    pub(crate) current: bool,
    /// How likely it is, or what was answered; and its class.
    pub(crate) state: (&'static str, String),
}

/// A filter: address, words, whether it is on.
pub(crate) struct Choice {
    pub(crate) address: String,
    pub(crate) words: String,
    pub(crate) on: bool,
}

/// The list and what stands above it.
pub(crate) struct Queue {
    pub(crate) items: Vec<Item>,
    pub(crate) open: bool,
    pub(crate) any_open: bool,
    pub(crate) oldest: String,
    pub(crate) states: Vec<Choice>,
    /// Kinds, where there is more than one.
    pub(crate) kinds: Vec<Choice>,
    pub(crate) next_page: Option<String>,
    /// The match after the one shown.
    pub(crate) next: Option<String>,
    /// Whether the address names a match; then that is what the page is about.
    pub(crate) named: bool,
    pub(crate) home: String,
}

fn counted(count: i64) -> String {
    if count >= COUNT_UP_TO { format!("{}+", show::count(COUNT_UP_TO)) } else { show::count(count) }
}

impl Queue {
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the page, used once")]
    pub(super) fn new(
        rows: &[Review],
        counts: &Counts,
        wanted: &Wanted,
        shown: Option<&str>,
        named: bool,
        decided: &Decided,
        page: i64,
        now: At,
    ) -> Self {
        let which = wanted.which();
        let suffix = wanted.suffix();
        let waits = |row: &Review| row.open() && decided.about_match(&row.id, true, now).is_none();
        let at = rows.iter().position(|row| Some(row.id.as_str()) == shown);
        // The next one that waits; in the list of answers, simply the next.
        let after = rows.iter().skip(at.map_or(0, |at| at + 1)).chain(rows.iter().take(at.unwrap_or(0)));
        let next = after
            .filter(|row| Some(row.id.as_str()) != shown)
            .find(|row| which == State::Answered || waits(row))
            .map(|row| format!("{}{suffix}", address(&row.id)));
        let state = |state: State, words: String| Choice {
            address: format!("/matches{}", Wanted { state: Some(state.word().to_owned()), ..wanted.clone() }.suffix()),
            words,
            on: which == state,
        };
        let kind = |kind: Option<&str>, words: String| Choice {
            address: format!("/matches{}", Wanted { kind: kind.map(str::to_owned), ..wanted.clone() }.suffix()),
            words,
            on: wanted.kind() == kind,
        };
        let several = counts.kinds.len() > 1 || wanted.kind().is_some();
        let kinds = if several {
            std::iter::once(kind(None, "All kinds".to_owned()))
                .chain(counts.kinds.iter().map(|(name, count)| kind(Some(name), format!("{} {}", show::capital(name), counted(*count)))))
                .collect()
        } else {
            Vec::new()
        };
        let next_page = (rows.len() as i64 == page).then(|| rows.last().map(|row| row.cursor().text())).flatten();
        let and = if suffix.is_empty() { "?" } else { "&" };
        Self {
            items: rows.iter().map(|row| Item::new(row, decided, shown, &suffix, now)).collect(),
            open: which == State::Open,
            any_open: counts.open > 0,
            oldest: counts.oldest.map(|at| format!("oldest {}", When::calm(at, now).ago)).unwrap_or_default(),
            states: vec![
                state(State::Open, format!("Open {}", counted(counts.open))),
                state(State::Answered, format!("Answered {}", counted(counts.answered))),
            ],
            kinds,
            next_page: next_page.map(|cursor| format!("/matches{suffix}{and}after={}", query_escape(&cursor))),
            next,
            named,
            home: format!("/matches{suffix}"),
        }
    }
}

impl Item {
    fn new(row: &Review, decided: &Decided, shown: Option<&str>, suffix: &str, now: At) -> Self {
        let by = |words: &str| match &row.decided_by {
            Some(who) => format!("{words}, {who}"),
            None => words.to_owned(),
        };
        let state = match row.state.as_str() {
            "same" => ("ok", by("Same")),
            "distinct" => ("", by("Not the same")),
            "withdrawn" => ("", "No longer a question".to_owned()),
            _ if decided.about_match(&row.id, true, now).is_some() => ("ok", "Answered".to_owned()),
            _ => ("", row.probability_bp.map(likely).unwrap_or_default()),
        };
        Self {
            left: title(&row.left_title, &row.left_entity),
            right: title(&row.right_title, &row.right_entity),
            kind: show::capital(&row.kind),
            when: When::calm(row.decided_at.filter(|_| !row.open()).unwrap_or(row.opened_at), now),
            address: format!("{}{suffix}", address(&row.id)),
            current: Some(row.id.as_str()) == shown,
            state,
        }
    }
}

/// A name for an entity that has none.
pub(super) fn title(title: &str, entity: &str) -> String {
    if title.is_empty() { entity.to_owned() } else { title.to_owned() }
}

/// How likely a match is, in words.
pub(super) fn likely(basis_points: i64) -> String {
    match basis_points {
        9_990.. => "over 99.9 % likely".to_owned(),
        ..10 => "below 0.1 % likely".to_owned(),
        some => format!("{}.{} % likely", some / 100, some % 100 / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::likely;

    #[test]
    fn a_probability_never_claims_certainty() {
        for (basis_points, words) in
            [(10_000, "over 99.9 % likely"), (9_480, "94.8 % likely"), (10, "0.1 % likely"), (0, "below 0.1 % likely")]
        {
            assert_eq!(likely(basis_points), words);
        }
    }
}
