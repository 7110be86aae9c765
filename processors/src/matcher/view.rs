//! Two entities as a person sees them side by side: records, titles, values, and what speaks for a match and what against.

use reconcile::mapping::EntityMapping;
use reconcile::matching::KeyValue;
use schemas::message::{Field, MatchReason, Side};

use super::Matcher;
use super::entity::{canonical_known, title};
use super::link::keys;
use super::plan::Plan;
use super::state::{Entity, Known, column, entity_key};
use crate::canon;
use crate::convert;
use crate::error::Result;
use crate::task::Context;

impl Matcher {
    /// An entity as people see it.
    pub(super) fn view(&self, context: &Context<'_>, mapping: &EntityMapping, entity: &str) -> Result<View> {
        let mut rows = Vec::new();
        if let Some(known) = context.get::<Entity>(&entity_key(entity))? {
            for (side, record) in known.records() {
                rows.extend(self.row(context, mapping, side, record)?.map(|row| (side, record.clone(), row)));
            }
        }
        Ok(View { rows })
    }
}

/// An entity's records as last seen.
pub(super) struct View {
    rows: Vec<(Side, String, Known)>,
}

impl View {
    fn row(&self, side: Side) -> Option<&(Side, String, Known)> {
        self.rows.iter().find(|(there, ..)| *there == side)
    }

    pub(super) fn record(&self, side: Side) -> Option<String> {
        self.row(side).map(|(_, record, _)| record.clone())
    }

    pub(super) fn title(&self, mapping: &EntityMapping) -> String {
        self.rows.iter().map(|(side, _, row)| title(mapping, *side, &row.columns)).find(|title| !title.is_empty()).unwrap_or_default()
    }

    /// The CRM's values, and the ERP's where the CRM has none.
    pub(super) fn fields(&self, mapping: &EntityMapping) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        for (side, _, row) in &self.rows {
            for field in canonical_known(mapping, *side, row) {
                if !fields.iter().any(|there| there.name == field.name) {
                    fields.push(field);
                }
            }
        }
        fields
    }
}

/// What speaks for a match and what against it, and the score where there are rules.
pub(super) fn explain(plan: &Plan, mapping: &EntityMapping, one: &View, two: &View) -> (Option<i64>, Vec<MatchReason>) {
    // Across the two systems where that is possible: that is the question.
    let across = [Side::Crm, Side::Erp].into_iter().find_map(|side| Some((one.row(side)?, two.row(side.other())?)));
    let Some((left, right)) = across.or_else(|| Some((one.rows.first()?, two.rows.first()?))) else { return (None, Vec::new()) };
    let mut reasons = Vec::new();
    let (own, other) = (keys(mapping, left.0, &left.1, &left.2.columns), keys(mapping, right.0, &right.1, &right.2.columns));
    for (index, key) in mapping.keys.iter().enumerate() {
        let value = |list: &[KeyValue]| list.iter().find(|value| value.key == index).map(|value| value.value.clone());
        let (Some(left), Some(right)) = (value(&own), value(&other)) else { continue };
        let finding = if left == right { "equal" } else { "differs" };
        reasons.push(MatchReason { label: key.name.clone(), left, right, finding: finding.to_owned(), weight: 0 });
    }
    let Some(rules) = plan.scorers.of(mapping) else { return (None, reasons) };
    let comparison = rules.scorer.compare(&rules.prepare(left.0, &left.2.columns), &rules.prepare(right.0, &right.2.columns));
    let mut compared: Vec<MatchReason> = rules
        .scorer
        .reasons(&comparison)
        .into_iter()
        .map(|reason| {
            let field = rules.rules.fields.iter().find(|field| field.name == reason.field);
            let text = |side: Side, row: &Known| {
                let columns = field.map(|field| field.columns[convert::side(side)].as_slice()).unwrap_or_default();
                let values = columns.iter().filter_map(|name| convert::value(column(&row.columns, name)?).ok());
                values.map(|value| canon::plain(&value)).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
            };
            MatchReason {
                label: reason.field,
                left: text(left.0, &left.2),
                right: text(right.0, &right.2),
                finding: reason.words,
                weight: millibits(reason.bits),
            }
        })
        .collect();
    compared.sort_by_key(|reason| std::cmp::Reverse(reason.weight.abs()));
    compared.extend(reasons);
    (Some(millibits(comparison.score)), compared)
}

/// Thousandths of a bit.
fn millibits(bits: f64) -> i64 {
    (bits * 1000.0).round() as i64
}
