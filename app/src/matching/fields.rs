//! Which columns of a user's files are compared, and as what.

use std::path::Path;

use anyhow::{Context as _, bail};
use reconcile::mapping::Side;
use reconcile::matching::{CompareField, Kind};

use super::csv::Table;
use crate::cli;

/// Words in the names of columns and what such a column holds; the first that fits counts.
const USUAL: [(&str, Kind); 44] = [
    ("given", Kind::GivenName),
    ("first", Kind::GivenName),
    ("vorname", Kind::GivenName),
    ("prenom", Kind::GivenName),
    ("fname", Kind::GivenName),
    ("surname", Kind::Surname),
    ("lastname", Kind::Surname),
    ("nachname", Kind::Surname),
    ("lname", Kind::Surname),
    ("person", Kind::Person),
    ("fullname", Kind::Person),
    ("contact", Kind::Person),
    ("email", Kind::Email),
    ("mail", Kind::Email),
    ("phone", Kind::Phone),
    ("mobile", Kind::Phone),
    ("fax", Kind::Phone),
    ("telefon", Kind::Phone),
    ("vat", Kind::TaxId),
    ("tax", Kind::TaxId),
    ("ustid", Kind::TaxId),
    ("website", Kind::Website),
    ("url", Kind::Website),
    ("domain", Kind::Website),
    ("streetnumber", Kind::HouseNumber),
    ("housenumber", Kind::HouseNumber),
    ("hausnummer", Kind::HouseNumber),
    ("street", Kind::Street),
    ("addr", Kind::Street),
    ("strasse", Kind::Street),
    ("postcode", Kind::Postcode),
    ("postal", Kind::Postcode),
    ("zip", Kind::Postcode),
    ("plz", Kind::Postcode),
    ("city", Kind::Locality),
    ("suburb", Kind::Locality),
    ("town", Kind::Locality),
    ("ort", Kind::Locality),
    ("country", Kind::Code),
    ("state", Kind::Code),
    ("birth", Kind::Date),
    ("date", Kind::Date),
    ("socsec", Kind::Identifier),
    ("name", Kind::Organisation),
];

/// The compared fields, and for each file the position of the columns of each field.
pub(super) struct Chosen {
    pub(super) fields: Vec<CompareField>,
    pub(super) columns: Vec<Vec<Vec<usize>>>,
}

/// What the command line says, or the mapping, or what the names of the columns suggest.
pub(super) fn choose(options: &cli::MatchingEstimate, tables: &[Table]) -> anyhow::Result<Chosen> {
    let fields = match (&options.mapping, options.field.is_empty()) {
        (Some(file), _) => return from_mapping(file, &options.kind, options, tables),
        (None, false) => given(&options.field)?,
        (None, true) => suggested(tables),
    };
    if fields.is_empty() {
        bail!("no column looks like something to compare; name them: --field name=organisation --field city=locality");
    }
    let mut columns = Vec::new();
    for (table, file) in tables.iter().zip(&options.records) {
        let place =
            |field: &CompareField| -> anyhow::Result<Vec<usize>> { field.columns.crm.iter().map(|name| find(table, name, file)).collect() };
        columns.push(fields.iter().map(place).collect::<anyhow::Result<Vec<_>>>()?);
    }
    Ok(Chosen { fields, columns })
}

fn find(table: &Table, name: &str, file: &Path) -> anyhow::Result<usize> {
    table
        .column(name)
        .with_context(|| format!("{}, line 1: there is no column {name:?}; there are {}", file.display(), table.columns.join(", ")))
}

/// `name=kind`, `name=kind:column+column`, `name=kind~sibling`.
fn given(texts: &[String]) -> anyhow::Result<Vec<CompareField>> {
    let mut fields: Vec<CompareField> = Vec::new();
    let mut siblings = Vec::new();
    for text in texts {
        let wrong = || format!("--field {text}: must be NAME=KIND, NAME=KIND:COLUMN+COLUMN or NAME=KIND~SIBLING");
        let (name, rest) = text.split_once('=').with_context(wrong)?;
        let (rest, sibling) = rest.split_once('~').map_or((rest, None), |(rest, sibling)| (rest, Some(sibling)));
        let (word, columns) = rest.split_once(':').map_or((rest, name), |(word, columns)| (word, columns));
        let kind = Kind::parse(word.trim())
            .with_context(|| format!("--field {text}: no kind {word:?}; there are {}", Kind::ALL.map(Kind::as_str).join(", ")))?;
        if name.is_empty() || fields.iter().any(|other| other.name == name) {
            bail!("--field {text}: the name is empty or used twice");
        }
        let columns: Vec<String> = columns.split('+').map(ToOwned::to_owned).collect();
        let columns = reconcile::mapping::Pair { crm: columns.clone(), erp: columns };
        fields.push(CompareField { name: name.to_owned(), kind, columns, swaps_with: None });
        siblings.push(sibling.map(|sibling| (sibling.to_owned(), text.clone())));
    }
    for (at, sibling) in siblings.into_iter().enumerate() {
        let Some((sibling, text)) = sibling else { continue };
        let other = fields.iter().position(|field| field.name == sibling).filter(|other| *other != at);
        let other = other.with_context(|| format!("--field {text}: there is no other field {sibling:?}"))?;
        if !fields[at].kind.may_swap(fields[other].kind) {
            bail!("--field {text}: a {} never stands in a {} field", fields[at].kind, fields[other].kind);
        }
        fields[at].swaps_with = Some(other);
    }
    Ok(fields)
}

/// Columns that every file has and whose name says what they hold.
fn suggested(tables: &[Table]) -> Vec<CompareField> {
    let Some((first, rest)) = tables.split_first() else { return Vec::new() };
    let kind = |name: &str| {
        let plain: String = name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect();
        USUAL.iter().find(|(word, _)| plain.contains(word)).map(|(_, kind)| *kind)
    };
    let mut fields: Vec<CompareField> = first
        .columns
        .iter()
        .filter(|name| rest.iter().all(|table| table.column(name).is_some()))
        .filter_map(|name| {
            let columns = reconcile::mapping::Pair { crm: vec![name.clone()], erp: vec![name.clone()] };
            Some(CompareField { name: name.clone(), kind: kind(name)?, columns, swaps_with: None })
        })
        .collect();
    let only = |kind: Kind| {
        let mut places = fields.iter().enumerate().filter(|(_, field)| field.kind == kind).map(|(at, _)| at);
        places.next().filter(|_| places.next().is_none())
    };
    if let (Some(given), Some(surname)) = (only(Kind::GivenName), only(Kind::Surname)) {
        fields[given].swaps_with = Some(surname);
    }
    fields
}

fn from_mapping(file: &Path, kind: &str, options: &cli::MatchingEstimate, tables: &[Table]) -> anyhow::Result<Chosen> {
    let mapping = processors::mapping_file::read(file)?;
    let entity = mapping.entities.iter().find(|entity| entity.kind == kind).with_context(|| {
        let kinds: Vec<&str> = mapping.entities.iter().map(|entity| entity.kind.as_str()).collect();
        format!("{}: there is no entity {kind:?}; there are {}", file.display(), kinds.join(", "))
    })?;
    let rules = entity.scored.as_ref().with_context(|| format!("{}: entity {kind} has no `match`", file.display()))?;
    let mut columns = Vec::new();
    for (at, (table, name)) in tables.iter().zip(&options.records).enumerate() {
        let has = |side: Side| rules.fields.iter().flat_map(|field| &field.columns[side]).all(|column| table.column(column).is_some());
        let side = match (tables.len(), at) {
            (1, _) if !has(Side::Crm) => Side::Erp,
            (1, _) | (_, 0) => Side::Crm,
            _ => Side::Erp,
        };
        let place = |field: &CompareField| -> anyhow::Result<Vec<usize>> {
            field.columns[side].iter().map(|column| find(table, column, name)).collect()
        };
        columns.push(rules.fields.iter().map(place).collect::<anyhow::Result<Vec<_>>>()?);
    }
    Ok(Chosen { fields: rules.fields.clone(), columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_with_kind_columns_and_sibling() {
        let texts = ["first=given_name~last", "last=surname", "who=person:fname+lname"].map(ToOwned::to_owned);
        let fields = given(&texts).expect("reads");
        assert_eq!((fields[0].swaps_with, fields[2].columns.crm.clone()), (Some(1), vec!["fname".to_owned(), "lname".to_owned()]));
        for (text, reason) in [("a", "must be NAME=KIND"), ("a=nonsense", "no kind"), ("a=date~b", "no other field"), ("=date", "empty")] {
            let error = given(&[text.to_owned()]).expect_err(text);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn the_names_of_columns_suggest_what_they_hold() {
        let table = Table::parse("id,First Name,last_name,Street_Number,address_1,zip,soc_sec_id,E-Mail\n").expect("reads");
        let fields = suggested(std::slice::from_ref(&table));
        let kinds: Vec<Kind> = fields.iter().map(|field| field.kind).collect();
        use Kind::{Email, GivenName, HouseNumber, Identifier, Postcode, Street, Surname};
        assert_eq!(kinds, [GivenName, Surname, HouseNumber, Street, Postcode, Identifier, Email]);
        assert_eq!(fields[0].swaps_with, Some(1));
    }
}
