//! The mappings that simulated runs use: two entities that refer to one another, fields of every shape, and four ways to
//! settle what differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use processors::in_force::Mappings;
use reconcile::mapping::Mapping;
use schemas::message::Side;

use super::script::{Orders, Wishes};
use super::shape::{FIELDS, Kind, Mapped, Shape, TERMS, TIERS, fields, id_column, label_columns, write_column};

/// What differs between the mappings.
struct Policies {
    /// Of each field.
    fields: [&'static str; FIELDS.len()],
    /// The side that wins a tie.
    tie: &'static str,
    /// What follows a delete.
    delete: &'static str,
    /// What follows an edit where the terms never travel from.
    drift: &'static str,
    /// When a person decides about credit.
    review_credit: Option<&'static str>,
}

const ALL: [Policies; 4] = [
    Policies {
        fields: ["last_write", "crm", "erp", "review", "last_write", "last_write", "crm", "erp", "last_write", "erp", "last_write"],
        tie: "erp",
        delete: "ignore",
        drift: "keep",
        review_credit: None,
    },
    Policies {
        fields: ["review", "last_write", "last_write", "last_write", "crm", "erp", "last_write", "last_write", "crm", "review", "erp"],
        tie: "crm",
        delete: "delete",
        drift: "reassert",
        review_credit: None,
    },
    Policies {
        fields: ["erp", "review", "crm", "last_write", "last_write", "review", "erp", "crm", "last_write", "last_write", "crm"],
        tie: "erp",
        delete: "ask",
        drift: "report",
        review_credit: Some("crm > 1100.0 || erp > 1200.0"),
    },
    Policies {
        fields: ["crm", "last_write", "review", "erp", "review", "last_write", "last_write", "last_write", "erp", "crm", "review"],
        tie: "crm",
        delete: "archive",
        drift: "reassert",
        review_credit: None,
    },
];

/// How many there are.
pub(super) const COUNT: usize = ALL.len();
/// How often the mapping may change in a run: the version in force never goes down.
const GENERATIONS: usize = 6;

/// The mapping after one, with the policies of another.
pub(super) fn after(now: usize, wanted: u8) -> Option<usize> {
    let next = (now / COUNT + 1) * COUNT + usize::from(wanted) % COUNT;
    (next < COUNT * GENERATIONS).then_some(next)
}

/// The policies of a version.
fn of(version: i64) -> Option<&'static Policies> {
    usize::try_from(version - 1).ok().and_then(|index| ALL.get(index % COUNT))
}

/// Every mapping of every run, read once.
pub(super) struct Known {
    /// By what people are asked: one for each generation of each; the version of each is its place, from one.
    pub(super) by_wishes: BTreeMap<Wishes, Vec<Arc<Mapping>>>,
    /// As processors know them.
    pub(super) mappings: Mappings,
}

/// All of them.
///
/// # Errors
/// Never in practice.
pub(super) fn known() -> anyhow::Result<&'static Known> {
    static KNOWN: LazyLock<anyhow::Result<Known>> = LazyLock::new(|| {
        let of =
            |wishes| ALL.iter().cycle().take(COUNT * GENERATIONS).zip(1..).map(move |(policies, version)| one(policies, version, wishes));
        let by_wishes: BTreeMap<_, Vec<_>> =
            Wishes::all().map(|wishes| Ok((wishes, of(wishes).collect::<anyhow::Result<_>>()?))).collect::<anyhow::Result<_>>()?;
        let mappings = by_wishes.values().flatten().cloned().collect();
        Ok(Known { by_wishes, mappings })
    });
    KNOWN.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// Whether a person is asked before a record is made on a side, by a mapping, where people are asked at all.
pub(super) fn asks_to_create(version: i64, side: Side) -> bool {
    match (version - 1).rem_euclid(4) {
        0 => side == Side::Crm,
        1 => side == Side::Erp,
        2 => true,
        _ => false,
    }
}

fn one(policies: &Policies, version: i64, wishes: Wishes) -> anyhow::Result<Arc<Mapping>> {
    let mut text = format!("version = {version}\n");
    for kind in Kind::ENTITIES {
        entity(&mut text, kind, policies)?;
        if wishes.creates {
            let word = |side| if asks_to_create(version, side) { "ask" } else { "auto" };
            let create = format!("create = {{ crm = \"{}\", erp = \"{}\" }}\n", word(Side::Crm), word(Side::Erp));
            text = text.replacen(&format!("[entity.{}]\n", kind.name()), &format!("[entity.{}]\n{create}", kind.name()), 1);
        }
    }
    if wishes.matches {
        let [[crm_label, crm_tag], [erp_label, erp_tag]] = [label_columns(Side::Crm), label_columns(Side::Erp)];
        writeln!(
            text,
            "[entity.customer.match]\nautomatic = 24.0\nreview = 10.0\ncompare = [\n  \
             {{ name = \"label\", as = \"identifier\", crm = \"{crm_label}\", erp = \"{erp_label}\" }},\n  \
             {{ name = \"tag\", as = \"identifier\", crm = \"{crm_tag}\", erp = \"{erp_tag}\" }},\n]"
        )?;
    }
    if wishes.orders != Orders::None {
        writeln!(
            text,
            "[captured.opportunity]\nside = \"crm\"\nobject = \"Opportunity\"\ncustomer_column = \"AccountId\"\n\
             columns = {{ name = \"Name\", amount = \"Amount:decimal(2)\", is_won = \"IsWon:bool\" }}\n\
             [convert.order]\nfrom = \"opportunity\"\nwhen = \"record.is_won == true\"\nauto = {}\n\
             erp = {{ object = \"public.orders\", id_column = \"concord_id\", customer_column = \"customer_id\", number_column = \"number\", \
             constants = {{ status = \"open\" }} }}\nfields = {{ total = \"record.amount\" }}",
            wishes.orders == Orders::Auto
        )?;
    }
    Ok(Arc::new(processors::mapping_file::parse(&text).with_context(|| format!("the mapping of the simulation: {text}"))?))
}

fn entity(text: &mut String, kind: Kind, policies: &Policies) -> std::fmt::Result {
    let name = kind.name();
    let title = if kind == Kind::Customer { "name" } else { "last_name" };
    let Policies { tie, delete, .. } = policies;
    writeln!(text, "[entity.{name}]\ntitle = \"{title}\"\ntie = \"{tie}\"\ndelete = {{ crm = \"{delete}\", erp = \"{delete}\" }}")?;
    for (side, archive) in [(Side::Crm, "Archived__c"), (Side::Erp, "archived")] {
        let (object, id) = (kind.object(side), id_column(side));
        let own = write_column(side).map_or_else(String::new, |column| format!(" write_column = \"{column}\","));
        writeln!(text, "{side} = {{ object = \"{object}\", id_column = \"{id}\",{own} archive = {{ {archive} = true }} }}")?;
    }
    writeln!(text, "keys = [{{ name = \"number\", crm = \"Number__c\", erp = \"number\" }}]")?;
    writeln!(text, "[entity.{name}.field.number]\ntype = \"text\"\ncrm = \"Number__c\"\nerp = \"number\"")?;
    for (index, mapped) in fields(kind) {
        field(text, index, mapped, policies)?;
    }
    Ok(())
}

fn field(text: &mut String, index: usize, mapped: &Mapped, policies: &Policies) -> std::fmt::Result {
    let kind = match mapped.shape {
        Shape::Text => "text",
        Shape::Money => "decimal(2)",
        Shape::Word => "enum",
        Shape::Flag => "bool",
        Shape::Link => "reference(customer)",
    };
    writeln!(text, "[entity.{}.field.{}]\ntype = \"{kind}\"\npolicy = \"{}\"", mapped.kind.name(), mapped.name, policies.fields[index])?;
    if index == TERMS {
        writeln!(text, "direction = \"to_crm\"\ndrift = \"{}\"", policies.drift)?;
    }
    if let (Shape::Money, Some(rule)) = (mapped.shape, policies.review_credit) {
        writeln!(text, "review_when = \"{rule}\"")?;
    }
    for (side, place) in [(Side::Crm, 1), (Side::Erp, 2)] {
        let column = mapped.column(side);
        if mapped.shape == Shape::Word {
            let words: Vec<String> = TIERS.iter().map(|words| format!("{} = \"{}\"", words[place], words[0])).collect();
            writeln!(text, "{side} = {{ column = \"{column}\", words = {{ {} }} }}", words.join(", "))?;
        } else {
            writeln!(text, "{side} = \"{column}\"")?;
        }
    }
    Ok(())
}

/// Whether a person is asked about credit by a mapping, whatever its policy.
pub(super) fn asks_about_credit(version: i64, crm: f64, erp: f64) -> bool {
    of(version).is_some_and(|policies| policies.review_credit.is_some()) && (crm > 1100.0 || erp > 1200.0)
}

/// What follows a delete by a mapping.
pub(super) fn delete(version: i64) -> Option<&'static str> {
    of(version).map(|policies| policies.delete)
}

/// The policy of a field, the side that wins a tie and what becomes of drift, by a mapping.
pub(super) fn policies(version: i64, field: usize) -> Option<(&'static str, &'static str, &'static str)> {
    let policies = of(version)?;
    Some((policies.fields[field], policies.tie, policies.drift))
}
