//! What becomes of a captured kind in the ERP, as the file says it.
//!
//! ```toml
//! [convert.order]
//! from = "opportunity"                           # a captured kind of the CRM
//! when = "record.is_won"                         # CEL over its columns: it is won
//! auto = true                                    # as soon as that holds; otherwise (the default) by hand
//! erp = { object = "public.orders", id_column = "concord_id", customer_column = "customer_id", number_column = "number", constants = { status = "new" } }
//! fields = { total = "record.amount", ordered_on = "record.close_date" }
//! ```

use std::collections::BTreeSet;

use reconcile::convert::Conversion;
use reconcile::mapping::{CapturedMapping, Mapping, Scope, Side};

use super::convert::{Result, expression, plain};
use super::shape::{self, Word};

pub(super) fn conversion(kind: String, shape: shape::Convert, captured: &[CapturedMapping]) -> Result<Conversion> {
    let here = format!("convert.{kind}");
    // That there is no such captured kind is said by `check`.
    let from = captured.iter().find(|captured| captured.kind == *shape.from.get_ref());
    let names: BTreeSet<String> = from.into_iter().flat_map(|from| from.columns.keys().cloned()).collect();
    let known = Scope { values: &[], parts: Some(("record", &names)) };
    let compiled = |what: &str, word: &Word| expression(word.span().start, &format!("{here}.{what}"), word.get_ref(), known);
    let constants = shape.erp.constants.into_iter().map(|(column, value)| {
        let value = plain(&format!("{here}.erp.constants.{column}"), value)?;
        Ok((column, value))
    });
    let columns = shape.fields.iter().map(|(column, word)| Ok((column.clone(), compiled(&format!("fields.{column}"), word)?)));
    Ok(Conversion {
        from: shape.from.get_ref().clone(),
        when: compiled("when", &shape.when)?,
        auto: shape.auto,
        object: shape.erp.object.into_inner(),
        id_column: shape.erp.id_column,
        customer_column: shape.erp.customer_column,
        number_column: shape.erp.number_column,
        constants: constants.collect::<Result<_>>()?,
        columns: columns.collect::<Result<_>>()?,
        kind,
    })
}

/// What must hold between a conversion and the rest.
pub(super) fn check(mapping: &Mapping) -> std::result::Result<(), String> {
    for conversion in &mapping.conversions {
        let here = format!("convert.{}", conversion.kind);
        let from = mapping.captured.iter().find(|captured| captured.kind == conversion.from && captured.side == Side::Crm);
        let Some(from) = from else {
            return Err(format!("{here}: from is {:?}, which is not a captured kind of the crm side", conversion.from));
        };
        if from.customer_column.is_none() || from.via.is_some() {
            return Err(format!("{here}: {} needs a customer_column of its own, or nobody knows whose it is", conversion.from));
        }
        let own = [&conversion.id_column, &conversion.customer_column];
        for column in conversion.columns.keys().chain(conversion.constants.keys()) {
            if own.contains(&column) {
                return Err(format!("{here}: {column} is filled by Concord itself and cannot be a field or constant too"));
            }
        }
        if let Some(column) = conversion.columns.keys().find(|column| conversion.constants.contains_key(*column)) {
            return Err(format!("{here}: {column} is both a field and a constant"));
        }
        if mapping.conversions.iter().filter(|other| other.from == conversion.from).count() > 1 {
            return Err(format!("{here}: {} is converted twice", conversion.from));
        }
    }
    Ok(())
}
