//! The list of records with conflicts.

use crate::command::Decided;
use crate::queries::At;
use crate::queries::conflicts::{COUNT_UP_TO, Conflict, Counts, State, cursor};
use crate::show::{self, When, plural, query_escape};

/// A record in the list.
pub(crate) struct Item {
    pub(crate) title: String,
    pub(crate) kind: String,
    pub(crate) fields: String,
    pub(crate) when: When,
    pub(crate) address: String,
    pub(crate) current: bool,
    /// A word about where it stands, and its class.
    pub(crate) state: (&'static str, String),
}

/// The list and what stands above it.
pub(crate) struct Queue {
    pub(crate) items: Vec<Item>,
    pub(crate) open: bool,
    pub(crate) open_count: String,
    pub(crate) settled_count: String,
    pub(crate) any_open: bool,
    pub(crate) oldest: String,
    /// The next page of a long list.
    pub(crate) next_page: Option<String>,
    /// The record after the one shown.
    pub(crate) next: Option<String>,
    /// Whether the address names a record; then that is what the page is about.
    pub(crate) named: bool,
}

impl Queue {
    pub(crate) fn new(
        rows: Vec<Conflict>,
        counts: &Counts,
        which: State,
        entity: Option<&str>,
        decided: &Decided,
        page: i64,
        now: At,
    ) -> Self {
        let next_page = (rows.len() as i64 == page).then(|| rows.last().map(|row| cursor(row).text())).flatten();
        let mut groups: Vec<Vec<Conflict>> = Vec::new();
        for row in rows {
            match groups.iter_mut().find(|group| group[0].entity == row.entity) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        let suffix = if which == State::Open { "" } else { "?state=settled" };
        let address = |entity: &str| format!("/conflicts/{}{suffix}", query_escape(entity).replace('/', "%2F"));
        let at = groups.iter().position(|group| Some(group[0].entity.as_str()) == entity);
        let next = groups
            .get(at.map_or(0, |at| at + 1))
            .or_else(|| groups.first())
            .filter(|group| Some(group[0].entity.as_str()) != entity)
            .map(|group| address(&group[0].entity));
        Self {
            items: groups.iter().map(|group| Item::new(group, decided, entity, address(&group[0].entity), now)).collect(),
            open: which == State::Open,
            named: false,
            any_open: counts.open > 0,
            open_count: show::count(counts.open),
            settled_count: if counts.settled >= COUNT_UP_TO {
                format!("{}+", show::count(COUNT_UP_TO))
            } else {
                show::count(counts.settled)
            },
            oldest: counts.oldest.map(|at| format!("oldest {}", When::calm(at, now).ago)).unwrap_or_default(),
            next_page: next_page.map(|cursor| format!("/conflicts?state={}&after={}", which.word(), query_escape(&cursor))),
            next,
        }
    }
}

impl Item {
    fn new(group: &[Conflict], decided: &Decided, entity: Option<&str>, address: String, now: At) -> Self {
        let first = &group[0];
        let waiting = group.iter().filter(|one| one.open() && decided.about(one, now).is_none()).count();
        let state = if !first.open() {
            let who = first.settled_by.as_deref().unwrap_or("policy");
            ("", format!("by {who}"))
        } else if waiting == 0 {
            ("ok", "Decided".to_owned())
        } else {
            ("", plural(waiting as i64, "field", "fields"))
        };
        let at = first.settled_at.filter(|_| !first.open()).unwrap_or(first.opened_at);
        Self {
            title: first.title.clone(),
            kind: show::capital(&first.kind),
            fields: group.iter().map(|one| one.label.as_str()).collect::<Vec<_>>().join(", "),
            when: When::calm(at, now),
            address,
            current: Some(first.entity.as_str()) == entity,
            state,
        }
    }
}
