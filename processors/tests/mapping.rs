//! The mapping file: what it may say, and what is said about mistakes.

use reconcile::mapping::{CreatePolicy, DeletePolicy, Direction, Drift, FieldType, Normal, Policy, Side};

use crate::harness::MAPPING;

#[test]
fn the_example_says_everything() {
    let mapping = processors::mapping_file::parse(MAPPING).expect("the example is right");
    assert_eq!(mapping.version, 3);
    let kinds: Vec<&str> = mapping.entities.iter().map(|entity| entity.kind.as_str()).collect();
    assert_eq!(kinds, ["customer", "contact"], "parents before children");
    let customer = &mapping.entities[0];
    assert_eq!((customer.first_contact, customer.skew_us, customer.tie), (Policy::LastWrite, 2_000_000, Side::Erp));
    assert_eq!((customer.create.crm, customer.delete.erp), (CreatePolicy::Auto, DeletePolicy::Archive));
    assert_eq!(customer.sides.erp.constants.len(), 3);
    assert_eq!(customer.keys[1].normal, Normal::TaxId);
    let names: Vec<&str> = customer.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["name", "credit_limit", "payment_terms", "rating"], "in the file's order");
    let terms = customer.field("payment_terms").expect("there");
    assert_eq!(terms.kind, FieldType::Enum(vec!["30 days".into(), "60 days".into()]));
    let rating = customer.field("rating").expect("there");
    assert_eq!((rating.direction, rating.drift), (Direction::ToCrm, Drift::Reassert));
    assert!(rating.columns.erp.read.is_some());
    assert_eq!(
        mapping.entities[1].field("customer").map(|field| field.kind.clone()),
        Some(FieldType::Reference { kind: "customer".into() })
    );
    let payment = mapping.captured.iter().find(|captured| captured.kind == "payment").expect("there");
    assert_eq!(payment.via.as_deref(), Some("invoice"));
    assert_eq!(payment.types["amount"], FieldType::Decimal { scale: 2 });
}

#[test]
fn the_demos_mapping_is_right() {
    let mapping = processors::mapping_file::parse(include_str!("../../app/demo/mapping.toml")).expect("the demo's mapping is right");
    assert_eq!((mapping.entities.len(), mapping.captured.len()), (2, 4));
}

fn complaint(from: &str, to: &str) -> String {
    assert!(MAPPING.contains(from), "{from}");
    match processors::mapping_file::parse(&MAPPING.replacen(from, to, 1)) {
        Ok(_) => panic!("{to} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_mistake_is_named_with_its_line_and_field() {
    for (from, to, expected) in [
        ("tie = \"erp\"", "tie = \"both\"", "line 12: entity.customer.tie is \"both\", but must be one of crm, erp"),
        ("tie = \"erp\"", "tei = \"erp\"", "line 12: unknown field `tei`"),
        ("type = \"decimal(2)\"", "type = \"decimal\"", "entity.customer.field.credit_limit.type is \"decimal\""),
        ("skew = \"2s\"", "skew = \"2\"", "must be a time such as"),
        ("reference(customer)", "reference(customers)", "refers to \"customers\", which is not an entity"),
        ("title = \"last_name\"", "title = \"surname\"", "which is not a field of it"),
        ("crm = \"Email\"\nerp = \"email\"", "crm = \"LastName\"\nerp = \"email\"", "LastName"),
        ("via = \"invoice\" ", "via = \"bill\" ", "which is not another captured kind"),
        (
            "review_when = \"crm > 50000.0 || erp > 50000.0\"",
            "review_when = \"crm >\"",
            "entity.customer.field.credit_limit.review_when is not a CEL expression",
        ),
        ("object = \"public.contacts\"", "object = \"public.customers\"", "mapped twice"),
        (
            "[entity.contact]\n",
            "[entity.customer.field.main]\ntype = \"reference(contact)\"\ncrm = \"Main__c\"\nerp = \"main\"\n\n[entity.contact]\n",
            "entities customer, contact refer to each other in a circle",
        ),
    ] {
        let complaint = complaint(from, to);
        assert!(complaint.contains(expected), "{to}: {complaint}");
    }
}
