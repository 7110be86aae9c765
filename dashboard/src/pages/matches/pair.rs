//! Two records side by side, with the fields that differ marked and the comparisons in words.

use serde_json::Value as Json;

use super::address;
use super::queue::{likely, title};
use crate::command::Answered;
use crate::queries::At;
use crate::queries::matches::{Field, Reason, Review};
use crate::show::{self, Piece, Shown, When, compare, shown};

/// One of the two.
pub(crate) struct Who {
    pub(crate) title: String,
    pub(crate) crm: Option<String>,
    pub(crate) erp: Option<String>,
}

/// A value with the words that differ from the other one's.
pub(crate) struct Cell {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) empty: bool,
    pub(crate) text: String,
}

/// A field of both.
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) left: Cell,
    pub(crate) right: Cell,
    /// `equal`, `differs`, or `one` where one side knows nothing.
    pub(crate) class: &'static str,
}

/// A comparison in words, with its weight as a bar from the middle.
pub(crate) struct ReasonView {
    pub(crate) label: String,
    pub(crate) finding: String,
    /// The values, when they are not told by the fields above.
    pub(crate) values: Option<(String, String)>,
    /// In bits, with its sign.
    pub(crate) weight: String,
    pub(crate) speaks: &'static str,
    pub(crate) class: &'static str,
    /// Where the bar begins and how long it is, in percent.
    pub(crate) x: u16,
    pub(crate) width: u16,
}

/// The pair.
pub(crate) struct Pair {
    pub(crate) action: String,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) left: Who,
    pub(crate) right: Who,
    pub(crate) why: String,
    pub(crate) likely: String,
    pub(crate) score: String,
    /// False when a key was ambiguous and nothing was weighed.
    pub(crate) scored: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) reasons: Vec<ReasonView>,
    pub(crate) differ: usize,
    pub(crate) version: i64,
    pub(crate) when: When,
    pub(crate) open: bool,
    /// What was answered, when somebody has.
    pub(crate) answer: Option<String>,
    /// The decision that can be taken back.
    pub(crate) undo: Option<String>,
}

impl Pair {
    pub(super) fn new(row: &Review, about: Option<Answered>, undone: bool, now: At) -> Self {
        let rows = rows(&row.left_fields.0, &row.right_fields.0);
        let heaviest = row.reasons.0.iter().map(|reason| reason.weight.unsigned_abs()).max().unwrap_or(0);
        let when = |at: Option<At>| at.map(|at| format!(", {}", When::calm(at, now).ago)).unwrap_or_default();
        let who = row.decided_by.as_deref().unwrap_or("Concord");
        let (answer, undo) = match (row.state.as_str(), &about) {
            ("same", _) => (Some(format!("{who} said that they are the same{}", when(row.decided_at))), row.decision.clone()),
            ("distinct", _) => (Some(format!("{who} said that they are not the same{}", when(row.decided_at))), row.decision.clone()),
            ("withdrawn", _) => (Some("The question went away: a record was changed, deleted or linked otherwise".to_owned()), None),
            (_, Some(about)) => {
                let words = if about.same { "the same" } else { "not the same" };
                (Some(format!("{} said that they are {words}; it is being carried out", about.actor)), Some(about.decision.clone()))
            }
            _ => (None, None),
        };
        Self {
            action: format!("{}/answer", address(&row.id)),
            id: row.id.clone(),
            kind: show::capital(&row.kind),
            left: Who { title: title(&row.left_title, &row.left_entity), crm: row.left_crm.clone(), erp: row.left_erp.clone() },
            right: Who { title: title(&row.right_title, &row.right_entity), crm: row.right_crm.clone(), erp: row.right_erp.clone() },
            why: show::sentence(&row.reason),
            likely: row.probability_bp.map(likely).unwrap_or_default(),
            score: row.score.map(bits).unwrap_or_default(),
            scored: row.score.is_some(),
            differ: rows.iter().filter(|row| row.class == "differs").count(),
            reasons: row.reasons.0.iter().map(|reason| ReasonView::new(reason, heaviest)).collect(),
            rows,
            version: row.mapping_version,
            when: When::calm(row.opened_at, now),
            open: row.open() && about.is_none(),
            answer,
            undo: undo.filter(|_| !undone),
        }
    }

    pub(crate) fn differ_words(&self) -> String {
        show::plural(self.differ as i64, "field differs", "fields differ")
    }
}

/// All fields that either has, in the order of the left one's.
fn rows(left: &[Field], right: &[Field]) -> Vec<Row> {
    let of = |fields: &[Field], name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value.clone());
    let only_right = right.iter().filter(|field| !left.iter().any(|one| one.name == field.name));
    left.iter()
        .chain(only_right)
        .filter_map(|field| {
            let (a, b): (Option<Json>, Option<Json>) = (of(left, &field.name), of(right, &field.name));
            let (a, b) = (shown(a.as_ref()), shown(b.as_ref()));
            let class = match (a.empty, b.empty) {
                (true, true) => return None,
                (false, false) if a.text == b.text => "equal",
                (false, false) => "differs",
                _ => "one",
            };
            Some(Row { label: show::capital(&field.name.replace('_', " ")), left: cell(&a, &b), right: cell(&b, &a), class })
        })
        .collect()
}

fn cell(shown: &Shown, other: &Shown) -> Cell {
    let pieces = if shown.empty || other.empty {
        vec![Piece { text: shown.text.clone(), differs: false }]
    } else {
        compare(&shown.text, &other.text).0
    };
    Cell { pieces, empty: shown.empty, text: shown.text.clone() }
}

/// Thousandths of a bit, to a tenth of one, with the sign.
fn bits(weight: i64) -> String {
    let tenths = (weight.unsigned_abs() + 50) / 100;
    let sign = match weight {
        _ if tenths == 0 => "",
        1.. => "+",
        _ => "\u{2212}",
    };
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

impl ReasonView {
    fn new(reason: &Reason, heaviest: u64) -> Self {
        let share = (reason.weight.unsigned_abs() * 50).checked_div(heaviest).unwrap_or(0);
        let half = u16::try_from(share).unwrap_or(50);
        let (speaks, class, x) = match reason.weight {
            1.. => ("speaks for it", "ok", 50),
            0 => ("says nothing", "off", 50),
            _ => ("speaks against it", "warn", 50 - half),
        };
        let told = reason.left.is_empty() && reason.right.is_empty();
        Self {
            label: show::capital(&reason.label),
            finding: reason.finding.clone(),
            values: (!told).then(|| (reason.left.clone(), reason.right.clone())),
            weight: bits(reason.weight),
            speaks,
            class,
            x,
            width: half,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str, value: Json) -> Field {
        Field { name: name.into(), value }
    }

    #[test]
    fn every_field_of_either_record_is_told_once() {
        let left = [field("name", json!("Acme GmbH")), field("city", json!("Bonn")), field("fax", Json::Null)];
        let right = [field("name", json!("Acme Ltd")), field("city", json!("Bonn")), field("phone", json!("1")), field("fax", Json::Null)];
        let rows = rows(&left, &right);
        let told: Vec<_> = rows.iter().map(|row| (row.label.as_str(), row.class)).collect();
        assert_eq!(told, [("Name", "differs"), ("City", "equal"), ("Phone", "one")]);
        assert!(rows[0].left.pieces.iter().any(|piece| piece.differs && piece.text == "GmbH"));
    }

    #[test]
    fn a_weight_is_a_bar_from_the_middle_in_proportion_to_the_heaviest() {
        let view = |weight| {
            let reason = Reason { label: "name".into(), left: "a".into(), right: "b".into(), finding: "differs".into(), weight };
            let view = ReasonView::new(&reason, 8000);
            (view.x, view.width, view.weight)
        };
        assert_eq!(view(8000), (50, 50, "+8.0".into()));
        assert_eq!(view(-4000), (25, 25, "\u{2212}4.0".into()));
        assert_eq!(view(0), (50, 0, "0.0".into()));
    }
}
