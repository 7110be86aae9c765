//! The labelled sets: which columns are compared and as what, and which records are of one entity.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use reconcile::matching::estimate::{PairOf, Pool};
use reconcile::matching::{CompareField, Kind, Prepared};

use super::{LabelledSet, datasets};
use crate::matching::csv::Table;

/// The sets by name.
///
/// - `febrl1` to `febrl3`: people with up to one (1) or five (2, 3) spoilt copies in one file; `febrl4`: two files, one to one
/// - `organisations`: names of patent applicants, each spelling once
/// - `affiliations`: lines under the titles of papers; its own authors call the labels unreliable
/// - `restaurants`: two guides, each names a restaurant at most once
pub const NAMES: [&str; 7] = ["febrl1", "febrl2", "febrl3", "febrl4", "organisations", "affiliations", "restaurants"];

/// Loads a set; fetches it first when it is not here yet.
///
/// # Errors
/// When it cannot be fetched or read.
pub fn load(name: &str, say: &dyn Fn(String)) -> anyhow::Result<LabelledSet> {
    let read = |file: &str| anyhow::Ok(Table::read(&datasets::table(file, say)?)?);
    match name {
        "febrl1" => febrl(&[read("dataset1.csv")?]),
        "febrl2" => febrl(&[read("dataset2.csv")?]),
        "febrl3" => febrl(&[read("dataset3.csv")?]),
        "febrl4" => febrl(&[read("dataset4a.csv")?, read("dataset4b.csv")?]),
        "organisations" => organisations(read("patents.csv")?, "name"),
        "affiliations" => organisations(read("affiliations.csv")?, "affiliation"),
        "restaurants" => restaurants(&read("fodors.csv")?, &read("zagats.csv")?, &read("matches_fodors_zagats.csv")?),
        _ => bail!("there is no set {name:?}; there are {}", NAMES.join(", ")),
    }
}

fn field(name: &str, kind: Kind) -> CompareField {
    CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with: None }
}

fn swapping(name: &str, kind: Kind, sibling: usize) -> CompareField {
    CompareField { swaps_with: Some(sibling), ..field(name, kind) }
}

/// The records of some tables, one after the other.
fn pool(fields: &[CompareField], tables: &[Table]) -> anyhow::Result<Pool> {
    let mut pool = Pool::default();
    for table in tables {
        if !pool.records.is_empty() {
            pool.across = Some(pool.records.len());
        }
        let column = |field: &CompareField| table.column(&field.name).with_context(|| format!("there is no column {}", field.name));
        let columns = fields.iter().map(column).collect::<anyhow::Result<Vec<usize>>>()?;
        for (_, row) in &table.rows {
            let texts = columns.iter().map(|column| row.get(*column).map_or("", String::as_str));
            pool.records.push(Prepared::from_texts(fields, texts));
        }
    }
    Ok(pool)
}

/// The pairs whose records have the same label.
fn same_label<'l>(labels: impl Iterator<Item = &'l str>, pool: &Pool) -> BTreeSet<PairOf> {
    let mut by_label: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, label) in labels.enumerate() {
        by_label.entry(label).or_default().push(at);
    }
    by_label.values().flat_map(|group| super::pairs_of(group)).filter(|(one, other)| pool.comparable(*one, *other)).collect()
}

/// `rec-1004-dup-2` and `rec-1004-org` are one person.
fn febrl(tables: &[Table]) -> anyhow::Result<LabelledSet> {
    let fields = vec![
        swapping("given_name", Kind::GivenName, 1),
        field("surname", Kind::Surname),
        field("street_number", Kind::HouseNumber),
        swapping("address_1", Kind::Street, 4),
        field("address_2", Kind::Street),
        field("suburb", Kind::Locality),
        field("postcode", Kind::Postcode),
        field("state", Kind::Code),
        field("date_of_birth", Kind::Date),
        field("soc_sec_id", Kind::Identifier),
    ];
    let pool = pool(&fields, tables)?;
    let ids = tables.iter().flat_map(|table| &table.rows).map(|(_, row)| row.first().map_or("", String::as_str));
    let truth = same_label(ids.map(|id| id.split('-').nth(1).unwrap_or_default()), &pool);
    Ok(LabelledSet { fields, pool, truth })
}

fn organisations(mut table: Table, column: &str) -> anyhow::Result<LabelledSet> {
    let fields = vec![field(column, Kind::Organisation)];
    let (name, label) = (table.column(column).context("no names")?, table.column("label_true").context("no labels")?);
    let mut seen = BTreeSet::new();
    table.rows.retain(|(_, row)| seen.insert(row.get(name).cloned().unwrap_or_default()));
    let pool = pool(&fields, std::slice::from_ref(&table))?;
    let truth = same_label(table.rows.iter().map(|(_, row)| row.get(label).map_or("", String::as_str)), &pool);
    Ok(LabelledSet { fields, pool, truth })
}

fn restaurants(fodors: &Table, zagats: &Table, matches: &Table) -> anyhow::Result<LabelledSet> {
    let fields = vec![
        field("name", Kind::Organisation),
        field("addr", Kind::Street),
        field("city", Kind::Locality),
        field("phone", Kind::Phone),
        field("type", Kind::Text),
    ];
    let first = fodors.rows.len();
    let place = |table: &Table, id: &str| table.rows.iter().position(|(_, row)| row.first().is_some_and(|there| there == id));
    let mut truth = BTreeSet::new();
    for (line, row) in &matches.rows {
        let [one, other] = row.as_slice() else { bail!("line {line} of the matches has not two ids") };
        let (one, other) = (place(fodors, one).context("an unknown id")?, place(zagats, other).context("an unknown id")?);
        truth.insert((one, first + other));
    }
    Ok(LabelledSet { pool: pool(&fields, &[fodors.clone(), zagats.clone()])?, fields, truth })
}
