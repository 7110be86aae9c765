//! The mappings that simulated runs use: one entity, five fields, and three ways to settle their conflicts.

use std::sync::Arc;

use anyhow::Context as _;
use reconcile::mapping::Mapping;

/// Policies of name, phone, city, note and credit, the side that wins a tie, and what follows a delete.
const POLICIES: [([&str; 5], &str, &str); 3] = [
    (["last_write", "crm", "erp", "review", "last_write"], "erp", "ignore"),
    (["review", "last_write", "last_write", "last_write", "crm"], "crm", "delete"),
    (["erp", "review", "crm", "last_write", "review"], "erp", "ask"),
];

/// All of them.
///
/// # Errors
/// Never in practice.
pub(super) fn all() -> anyhow::Result<Vec<Arc<Mapping>>> {
    POLICIES.iter().zip(1..).map(|((policies, tie, delete), version)| one(policies, tie, delete, version)).collect()
}

fn one(policies: &[&str; 5], tie: &str, delete: &str, version: i64) -> anyhow::Result<Arc<Mapping>> {
    let mut text = format!(
        "version = {version}\n[entity.customer]\ntitle = \"name\"\ntie = \"{tie}\"\n\
         delete = {{ crm = \"{delete}\", erp = \"{delete}\" }}\n\
         crm = {{ object = \"Account\", id_column = \"Concord_Id__c\" }}\n\
         erp = {{ object = \"public.customers\", id_column = \"concord_id\" }}\n\
         keys = [{{ name = \"number\", crm = \"Number__c\", erp = \"number\" }}]\n\
         [entity.customer.field.number]\ntype = \"text\"\ncrm = \"Number__c\"\nerp = \"number\"\n"
    );
    let columns = [
        ("name", "Name", "name"),
        ("phone", "Phone", "phone"),
        ("city", "City__c", "city"),
        ("note", "Note__c", "note"),
        ("credit", "Credit__c", "credit"),
    ];
    for ((name, crm, erp), policy) in columns.iter().zip(policies) {
        let kind = if *name == "credit" { "decimal(2)" } else { "text" };
        text.push_str(&format!(
            "[entity.customer.field.{name}]\ntype = \"{kind}\"\npolicy = \"{policy}\"\ncrm = \"{crm}\"\nerp = \"{erp}\"\n"
        ));
    }
    Ok(Arc::new(processors::mapping_file::parse(&text).context("the mapping of the simulation")?))
}
