//! What a form decides: the fields chosen, and the conflicts of the same shape where they are meant too. The number of those is
//! shown before anything is decided, and no more are decided than were shown.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Echo;
use crate::command::{self, Wanted};
use crate::error::{Error, Result};
use crate::queries::conflicts::{Conflict, Shape};
use crate::queries::{self, At};
use crate::server::App;
use crate::show::plural;

/// A question: are all of these meant?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirm {
    /// Conflicts found by then count.
    pub(crate) until: At,
    pub(crate) conflicts: i64,
    pub(crate) records: i64,
    /// Titles of some of the records.
    pub(crate) titles: Vec<String>,
}

const TITLES: usize = 8;

impl Confirm {
    /// As it stands in the form.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.until.0, self.conflicts)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (until, conflicts) = text.split_once('.')?;
        Some(Self { until: At(until.parse().ok()?), conflicts: conflicts.parse().ok()?, records: 0, titles: Vec::new() })
    }

    pub(crate) fn words(&self) -> String {
        format!("{} in {}", plural(self.conflicts, "conflict", "conflicts"), plural(self.records, "record", "records"))
    }

    pub(crate) fn more(&self) -> i64 {
        self.records - self.titles.len() as i64
    }
}

/// A field that was chosen.
pub(super) struct Chosen {
    conflict: Conflict,
    choice: String,
    value: Option<Json>,
    shape: Option<Shape>,
}

/// The open fields of a record for which the form holds a choice.
pub(super) fn chosen(app: &App, conflicts: Vec<Conflict>, echo: &Echo, now: At) -> Result<Vec<Chosen>> {
    let mut out = Vec::new();
    for conflict in conflicts {
        let value = echo.values.get(&conflict.id).filter(|value| !value.is_empty());
        let choice = match (echo.choices.get(&conflict.id), value) {
            (Some(choice), _) => choice.as_str(),
            // A value typed in says what is meant even when its button was not pressed.
            (None, Some(_)) => "value",
            (None, None) => continue,
        };
        if !conflict.open() || app.decided.about(&conflict, now).is_some() {
            continue;
        }
        let shape = echo.everywhere.get(&conflict.id).and_then(|shape| Shape::parse(shape));
        if shape == Some(Shape::Field) && choice == "value" {
            return Err(Error::Refused {
                code: "bad_shape",
                message: format!("{}: one value for conflicts with different values?", conflict.label),
                remedy: "Choose a side for all of this field, or decide those with the same two values.".into(),
            });
        }
        out.push(Chosen { choice: choice.to_owned(), value: value.map(|value| Json::String(value.clone())), shape, conflict });
    }
    if out.is_empty() {
        return Err(Error::Refused {
            code: "nothing_chosen",
            message: "Nothing was chosen, so nothing was decided.".into(),
            remedy: "Choose a value for at least one open field.".into(),
        });
    }
    Ok(out)
}

/// All that is to be decided, or the question whether that many are meant.
pub(super) async fn everywhere(
    app: &App,
    chosen: Vec<Chosen>,
    confirmed: Option<&Confirm>,
    now: At,
) -> Result<Result<Vec<(Conflict, Wanted)>, Confirm>> {
    let until = confirmed.map_or(now, |confirm| confirm.until.min(now));
    let mut seen: BTreeSet<String> = chosen.iter().map(|one| one.conflict.id.clone()).collect();
    let mut wanted = Vec::new();
    let mut asks = false;
    for one in &chosen {
        wanted.push((one.conflict.clone(), command::wanted(&one.conflict, &one.choice, one.value.as_ref())?));
        let Some(shape) = one.shape else { continue };
        asks = true;
        for other in queries::conflicts::alike(&app.pool, &one.conflict, shape, until).await? {
            if app.decided.about(&other, now).is_none() && seen.insert(other.id.clone()) {
                let decision = command::wanted(&other, &one.choice, one.value.as_ref())?;
                wanted.push((other, decision));
            }
        }
    }
    let conflicts = wanted.len() as i64;
    if !asks || confirmed.is_some_and(|confirm| conflicts <= confirm.conflicts) {
        return Ok(Ok(wanted));
    }
    let mut records = BTreeSet::new();
    let titles: Vec<String> =
        wanted.iter().filter(|(one, _)| records.insert(one.entity.as_str())).map(|(one, _)| one.title.clone()).collect();
    Ok(Err(Confirm { until, conflicts, records: titles.len() as i64, titles: titles.into_iter().take(TITLES).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_back_as_it_was_asked() {
        let asked = Confirm { until: At(77), conflicts: 12, records: 9, titles: vec!["Acme".into()] };
        assert_eq!(Confirm::parse(&asked.text()).map(|back| (back.until, back.conflicts)), Some((At(77), 12)));
        assert_eq!((asked.words().as_str(), asked.more()), ("12 conflicts in 9 records", 8));
        assert_eq!(Confirm::parse("12"), None);
    }
}
