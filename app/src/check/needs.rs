//! What the mapping asks of one side: columns, what is done with each, and whether a column's type can hold its field.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, FieldMapping, FieldType, Mapping, Side, When};

/// What is asked of one column.
#[derive(Debug, Default, Clone)]
pub(super) struct Need {
    /// Values of existing records are changed.
    pub(super) update: bool,
    /// New records get a value.
    pub(super) insert: bool,
    /// Types of the fields that take its values as they are.
    pub(super) kinds: Vec<FieldType>,
    /// Where the mapping says so.
    pub(super) said: String,
}

/// Columns by object.
pub(super) type Needs = BTreeMap<String, BTreeMap<String, Need>>;

/// What the mapping asks of a side.
pub(super) fn of(mapping: &Mapping, side: Side) -> Needs {
    let mut needs = Needs::new();
    for entity in &mapping.entities {
        let own = &entity.sides[side];
        let columns = needs.entry(own.object.clone()).or_default();
        let create = entity.create[side] == CreatePolicy::Auto;
        let archive = entity.delete[side] == DeletePolicy::Archive;
        let mut ask = |column: &str, update: bool, insert: bool, kind: Option<FieldType>, said: String| {
            let need = columns.entry(column.to_owned()).or_insert_with(|| Need { said, ..Need::default() });
            need.update |= update;
            need.insert |= insert;
            need.kinds.extend(kind);
        };
        for field in &entity.fields {
            let rule = &field.columns[side];
            let plain = rule.read.is_none() && rule.words.is_empty();
            for column in rule.names() {
                let written = field.direction.allows(side) && rule.written().any(|written| written == column);
                let said = format!("entity.{}.field.{}", entity.kind, field.name);
                ask(column, written, written && create, plain.then(|| field.kind.clone()), said);
            }
        }
        ask(&own.id_column, false, create, None, format!("entity.{}.{}.id_column", entity.kind, side.as_str()));
        if let Some(actor) = &own.actor_column {
            ask(actor, false, false, None, format!("entity.{}.{}.actor_column", entity.kind, side.as_str()));
        }
        for (column, constant) in &own.constants {
            ask(column, constant.when == When::Always, create, None, format!("entity.{}.{}.constants", entity.kind, side.as_str()));
        }
        for column in own.archive.keys().filter(|_| archive) {
            ask(column, true, false, None, format!("entity.{}.{}.archive", entity.kind, side.as_str()));
        }
        for key in &entity.keys {
            let column = &key.columns[side];
            // `$id` is the record's own id.
            if !column.is_empty() && !column.starts_with('$') {
                ask(column, false, false, None, format!("entity.{}.keys, {:?}", entity.kind, key.name));
            }
        }
    }
    for captured in mapping.captured.iter().filter(|captured| captured.side == side) {
        let columns = needs.entry(captured.object.clone()).or_default();
        for (name, column) in &captured.columns {
            let said = format!("captured.{}.columns.{name}", captured.kind);
            let need = columns.entry(column.clone()).or_insert_with(|| Need { said, ..Need::default() });
            need.kinds.extend(captured.types.get(name).cloned());
        }
        if let Some(column) = &captured.customer_column {
            columns
                .entry(column.clone())
                .or_insert_with(|| Need { said: format!("captured.{}.customer_column", captured.kind), ..Need::default() });
        }
    }
    if side == Side::Erp {
        super::rows::take_apart(&mut needs, mapping);
    }
    needs
}

/// How a column's values come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bool,
    Int,
    Number,
    Date,
    Timestamp,
    List,
    Text,
    /// Not judged.
    Other,
}

/// Whether any value of such a column could become a value of the field.
pub(super) fn fits(kind: &FieldType, family: Family) -> bool {
    let samples: Vec<Value> = match family {
        Family::Other => return true,
        Family::Bool => vec![Value::Bool(true)],
        Family::Int => vec![Value::Int(0)],
        Family::Number => vec![Value::Decimal(Default::default())],
        Family::Date => vec![Value::Date(0)],
        Family::Timestamp => vec![Value::Timestamp(0)],
        Family::List => vec![Value::List(vec![Value::text("a")])],
        Family::Text => return true,
    };
    // A table of words is no matter of types.
    let kind = match kind {
        FieldType::Enum(_) => FieldType::Text,
        other => other.clone(),
    };
    let field = FieldMapping::plain("", kind, "", "");
    samples.iter().any(|sample| reconcile::mapping::read(&field, Side::Erp, std::slice::from_ref(sample)).is_ok())
}

/// A field's type as the mapping spells it.
pub(super) fn spelled(kind: &FieldType) -> String {
    match kind {
        FieldType::Text => "text".to_owned(),
        FieldType::Int => "int".to_owned(),
        FieldType::Decimal { scale } => format!("decimal({scale})"),
        FieldType::Bool => "bool".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::Timestamp => "timestamp".to_owned(),
        FieldType::Enum(_) => "enum".to_owned(),
        FieldType::Reference { kind } => format!("reference({kind})"),
        FieldType::List { of, ordered: false } => format!("list({})", spelled(of)),
        FieldType::List { of, ordered: true } => format!("list({}, ordered)", spelled(of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> Mapping {
        processors::mapping_file::parse(crate::sample::MAPPING).expect("the demo's mapping")
    }

    #[test]
    fn what_travels_one_way_is_written_on_one_side_only() {
        let (erp, crm) = (of(&demo(), Side::Erp), of(&demo(), Side::Crm));
        let number = &erp["public.customers"]["number"];
        assert!(!number.update && !number.insert, "{number:?}");
        let number = &crm["Account"]["ERP_Id__c"];
        assert!(number.update && number.insert && number.said == "entity.customer.field.number", "{number:?}");
    }

    #[test]
    fn everything_that_the_mapping_names_is_asked_for() {
        let erp = of(&demo(), Side::Erp);
        let columns = |object: &str| erp[object].keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(
            columns("public.contacts"),
            ["concord_id", "customer_id", "email", "first_name", "last_name", "phone", "title", "updated_by"]
        );
        assert_eq!(columns("public.payments"), ["amount", "customer_id", "invoice_id", "paid_on"]);
        assert!(erp["public.customers"]["concord_id"].insert && !erp["public.customers"]["concord_id"].update);
    }

    #[test]
    fn a_type_fits_when_some_value_could() {
        assert!(fits(&FieldType::Decimal { scale: 2 }, Family::Number) && fits(&FieldType::Decimal { scale: 2 }, Family::Int));
        assert!(fits(&FieldType::Text, Family::Date) && fits(&FieldType::Date, Family::Timestamp) && fits(&FieldType::Date, Family::Text));
        assert!(
            !fits(&FieldType::Date, Family::Number)
                && !fits(&FieldType::Text, Family::List)
                && !fits(&FieldType::Decimal { scale: 0 }, Family::Bool)
        );
    }
}
