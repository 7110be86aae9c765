//! An object as the org describes it to our user: its fields, their types, and what we may do with them.
//!
//! Fields hidden by field-level security are simply absent from the description.

use std::collections::BTreeMap;

use schemas::cdc::ColumnType;
use serde::Deserialize;

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub struct Field {
    /// API name.
    pub name: String,
    /// Salesforce's own type, such as `string` or `picklist`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Most characters of a text; 0 for other types.
    pub length: usize,
    /// Digits in all, of numbers with a point.
    pub precision: u32,
    /// Digits after the point.
    pub scale: u32,
    /// We may set it on new records.
    pub createable: bool,
    /// We may change it.
    pub updateable: bool,
    /// It may be empty.
    pub nillable: bool,
    /// Salesforce fills it on new records.
    pub defaulted_on_create: bool,
    /// It can be upserted by.
    pub external_id: bool,
    /// No two records have the same value.
    pub unique: bool,
    /// A formula.
    pub calculated: bool,
    /// Values outside the picklist are refused.
    pub restricted_picklist: bool,
    /// A picklist's values.
    pub picklist_values: Vec<PicklistValue>,
    /// The compound that it is a part of.
    pub compound_field_name: Option<String>,
}

/// One value of a picklist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PicklistValue {
    /// The value itself.
    pub value: String,
    /// It may be chosen.
    pub active: bool,
}

impl Field {
    /// The column type of its values; none for compounds, whose parts are fields themselves.
    pub fn column(&self) -> Option<ColumnType> {
        Some(match self.kind.as_str() {
            "address" | "location" => return None,
            "boolean" => ColumnType::Boolean,
            "int" | "long" => ColumnType::Int,
            "double" | "currency" | "percent" if (1..=38).contains(&self.precision) && self.scale <= self.precision => {
                ColumnType::Decimal { precision: self.precision, scale: self.scale }
            }
            "double" | "currency" | "percent" => ColumnType::BigDecimal,
            "date" => ColumnType::Date,
            "datetime" => ColumnType::Timestamp,
            _ => ColumnType::Text,
        })
    }
}

/// An object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) queryable: bool,
    fields: Vec<Field>,
    #[serde(skip)]
    by_name: BTreeMap<String, usize>,
}

impl Object {
    /// Reads the answer of `describe`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut object: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        object.by_name = object.fields.iter().enumerate().map(|(place, field)| (field.name.clone(), place)).collect();
        Ok(object)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).and_then(|&place| self.fields.get(place))
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// The field that holds a part of a compound: `BillingAddress`, `Street` → `BillingStreet`.
    pub(crate) fn part(&self, compound: &str, part: &str) -> Option<&Field> {
        let bare = compound.strip_suffix("__c");
        let names = [
            bare.map(|bare| format!("{bare}__{part}__s")),
            compound.strip_suffix("Address").map(|prefix| format!("{prefix}{part}")),
            Some(part.to_owned()),
        ];
        names.into_iter().flatten().find_map(|name| self.field(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Object {
        let text = r#"{"name":"Account","queryable":true,"other":1,"fields":[
            {"name":"BillingStreet","type":"textarea","compoundFieldName":"BillingAddress"},
            {"name":"BillingAddress","type":"address"},
            {"name":"FirstName","type":"string","compoundFieldName":"Name"},
            {"name":"Geo__Latitude__s","type":"double","precision":18,"scale":15},
            {"name":"AnnualRevenue","type":"currency","precision":18,"scale":0,"createable":true}]}"#;
        Object::parse(text.as_bytes()).expect("a description")
    }

    #[test]
    fn parts_of_compounds_are_found_by_their_own_names() {
        let account = account();
        let name = |compound, part| account.part(compound, part).map(|field| field.name.as_str());
        assert_eq!(name("BillingAddress", "Street"), Some("BillingStreet"));
        assert_eq!(name("Name", "FirstName"), Some("FirstName"));
        assert_eq!(name("Geo__c", "Latitude"), Some("Geo__Latitude__s"));
        assert_eq!(name("BillingAddress", "Planet"), None);
    }

    #[test]
    fn money_is_decimal_at_the_field_s_scale() {
        let account = account();
        assert_eq!(account.field("AnnualRevenue").and_then(Field::column), Some(ColumnType::Decimal { precision: 18, scale: 0 }));
        assert_eq!(account.field("BillingAddress").and_then(Field::column), None);
    }
}
