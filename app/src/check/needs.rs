//! What the mapping asks of one side: columns, what is done with each, and whether a column's type can hold its field.

use std::collections::{BTreeMap, BTreeSet};

use processors::mapping_file::Places;
use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, EntityMapping, FieldMapping, FieldType, Mapping, Side, When};

use crate::config::Config;

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
    /// What is known of the values that are written.
    pub(super) written: Written,
}

/// What is known of the values that are written to a column.
#[derive(Debug, Default, Clone)]
pub(super) struct Written {
    /// The longest text that the mapping allows, where it says one.
    pub(super) length: Option<usize>,
    /// Digits after the point.
    pub(super) scale: Option<u32>,
    /// The only words that are written.
    pub(super) words: BTreeSet<String>,
    /// Nothing may be written.
    pub(super) nothing: bool,
    /// Lists are written: as they are, or (true) as text.
    pub(super) list_as_text: Option<bool>,
    /// It holds entity ids.
    pub(super) id: bool,
    /// It takes the ids of writes.
    pub(super) write: bool,
}

impl Written {
    pub(super) fn extend(&mut self, more: Self) {
        self.length = self.length.max(more.length);
        self.scale = self.scale.max(more.scale);
        self.words.extend(more.words);
        self.nothing |= more.nothing;
        self.list_as_text = self.list_as_text.or(more.list_as_text);
        self.id |= more.id;
        self.write |= more.write;
    }

    /// What a field writes to one of its columns.
    fn of(entity: &EntityMapping, field: &FieldMapping, side: Side, column: &str) -> Self {
        let rule = &field.columns[side];
        let only = rule.parts.len() == 1 && rule.parts[0].write.is_none();
        let given = field.required || field.default.as_ref().is_some_and(|default| default.when == When::Always);
        let mut written = Self { nothing: !given && entity.title != field.name, ..Self::default() };
        if !only {
            // An expression makes what it makes.
            written.nothing = false;
            return written;
        }
        let words = |kind: &FieldType| match kind {
            FieldType::Enum(words) if rule.words.is_empty() => words.iter().cloned().collect(),
            FieldType::Enum(_) => rule.words.keys().cloned().collect(),
            _ => BTreeSet::new(),
        };
        match &field.kind {
            FieldType::Text => written.length = field.max_length,
            FieldType::Decimal { scale } => written.scale = Some(*scale),
            FieldType::Enum(_) => written.words = words(&field.kind),
            FieldType::List { of, .. } => {
                written.list_as_text = Some(rule.separator.is_some());
                written.words = words(of);
            }
            _ => {}
        }
        debug_assert!(rule.has(column), "a column of the field's own");
        written
    }
}

/// The file's name and line before each place in the mapping.
pub(super) fn placed(mut needs: Needs, mapping: &Mapping, config: &Config) -> Needs {
    let places = Places::of(&mapping.text);
    for need in needs.values_mut().flat_map(BTreeMap::values_mut) {
        need.said = place(config, &places, &need.said);
    }
    needs
}

/// `mapping.toml:34, entity.customer.field.name`.
pub(super) fn place(config: &Config, places: &Places, said: &str) -> String {
    let path = said.split(',').next().unwrap_or_default();
    let line = places.line(path).map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}, {said}", config.mapping.path.display())
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
        let mut ask = |column: &str, update: bool, insert: bool, kind: Option<FieldType>, said: String, written: Written| {
            let need = columns.entry(column.to_owned()).or_insert_with(|| Need { said, ..Need::default() });
            need.update |= update;
            need.insert |= insert;
            need.kinds.extend(kind);
            need.written.extend(written);
        };
        for field in &entity.fields {
            let rule = &field.columns[side];
            let plain = rule.read.is_none() && rule.words.is_empty();
            for column in rule.names() {
                let written = field.direction.allows(side) && rule.written().any(|written| written == column);
                let said = format!("entity.{}.field.{}", entity.kind, field.name);
                let values = if written { Written::of(entity, field, side, column) } else { Written::default() };
                ask(column, written, written && create, plain.then(|| field.kind.clone()), said, values);
            }
        }
        ask(
            &own.id_column,
            false,
            create,
            None,
            format!("entity.{}.{}.id_column", entity.kind, side.as_str()),
            Written { id: true, ..Written::default() },
        );
        if let Some(column) = &own.write_column {
            let said = format!("entity.{}.{}.write_column", entity.kind, side.as_str());
            ask(column, true, create, None, said, Written { write: true, ..Written::default() });
        }
        if let Some(actor) = &own.actor_column {
            ask(actor, false, false, None, format!("entity.{}.{}.actor_column", entity.kind, side.as_str()), Written::default());
        }
        for (column, constant) in &own.constants {
            ask(
                column,
                constant.when == When::Always,
                create,
                None,
                format!("entity.{}.{}.constants", entity.kind, side.as_str()),
                Written::default(),
            );
        }
        for column in own.archive.keys().filter(|_| archive) {
            ask(column, true, false, None, format!("entity.{}.{}.archive", entity.kind, side.as_str()), Written::default());
        }
        for key in &entity.keys {
            let column = &key.columns[side];
            // `$id` is the record's own id.
            if !column.is_empty() && !column.starts_with('$') {
                ask(column, false, false, None, format!("entity.{}.keys, {:?}", entity.kind, key.name), Written::default());
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
        for conversion in &mapping.conversions {
            let columns = needs.entry(conversion.object.clone()).or_default();
            let said = format!("convert.{}", conversion.kind);
            let mut ask = |column: &str, insert: bool, id: bool| {
                let need = columns.entry(column.to_owned()).or_insert_with(|| Need { said: said.clone(), ..Need::default() });
                need.insert |= insert;
                need.written.id |= id;
            };
            ask(&conversion.id_column, true, true);
            ask(&conversion.customer_column, true, false);
            conversion.number_column.iter().for_each(|column| ask(column, false, false));
            conversion.columns.keys().chain(conversion.constants.keys()).for_each(|column| ask(column, true, false));
        }
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
