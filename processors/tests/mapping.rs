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
        (
            "review_when = \"crm > 50000.0 || erp > 50000.0\"",
            "review_when = \"crn > 50000.0 || erp > 50000.0\"",
            "line 28: entity.customer.field.credit_limit.review_when: `crn` means nothing here; there is crm, erp, base,",
        ),
        (
            "review_when = \"crm > 50000.0 || erp > 50000.0\"",
            "review_when = \"record.ratng > 3\"",
            "entity.customer.field.credit_limit.review_when: `record` has no `ratng`; it has credit_limit, name, payment_terms, rating",
        ),
        ("value * 10", "roundup(value)", "entity.customer.field.rating.erp.read: there is no function `roundup`"),
        ("value / 10", "columns.rating / 10", "entity.customer.field.rating.erp.write: `columns` means nothing here; there is value"),
        ("record.is_won == true", "record.won", "convert.order.when: `record` has no `won`; it has amount,"),
        ("object = \"public.contacts\"", "object = \"public.customers\"", "mapped twice"),
        (
            "crm = \"Credit_Limit__c\"",
            "crm = \"Name\"",
            "line 26: entity.customer.field.credit_limit: another field is mapped to the crm column Name",
        ),
        (
            ", write_column = \"Concord_Write__c\"",
            "",
            "line 6: entity.customer.crm has no write_column, which tells whose a change is; add write_column = \"Concord_Write__c\", and to Account in Salesforce such a field: text of 60 characters",
        ),
        (
            "id_column = \"concord_id\", constants",
            "id_column = \"concord_id\", write_column = \"write\", constants",
            "line 7: entity.customer.erp.write_column is the CRM side's alone: the ERP's ledger says which write changed a row",
        ),
        (
            "\"Concord_Write__c\"",
            "\"Concord_Id__c\"",
            "entity.customer: crm column Concord_Id__c holds the ids of writes and cannot be the id_column too",
        ),
        ("\"Concord_Write__c\"", "\"Name\"", "cannot be field name too"),
        ("\"Concord_Write__c\"", "\"Last__c\", constants = { Last__c = \"x\" }", "cannot be a constant too"),
        ("\"Concord_Write__c\"", "\"Last__c\", archive = { Last__c = \"x\" }", "cannot be an archive column too"),
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

/// Keys in the shapes that serde reads.
fn keys(shapes: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut renamed = None;
    let mut inside = false;
    for line in shapes.lines().map(str::trim) {
        if line.contains("struct ") {
            inside = true;
        } else if line == "}" {
            inside = false;
        }
        if let Some(name) = line.split("rename = \"").nth(1).and_then(|rest| rest.split('"').next()) {
            renamed = Some(name.to_owned());
        }
        let field = line.strip_prefix("pub(super) ").unwrap_or(line);
        if let Some((name, _)) = field.split_once(": ")
            && inside
            && line.ends_with(',')
            && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            keys.push(renamed.take().unwrap_or_else(|| name.to_owned()));
        }
    }
    keys
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = include_str!("../../docs/mapping.md");
    let shapes = [
        include_str!("../src/mapping_file/shape.rs"),
        include_str!("../src/mapping_file/rows.rs"),
        include_str!("../src/mapping_file/scored.rs"),
    ];
    let found: Vec<String> = shapes.iter().flat_map(|shapes| keys(shapes)).collect();
    assert!(found.len() > 60, "{found:?}");
    for key in found {
        let said = [format!("`{key}`"), format!("`{key}."), format!("`{key},")].iter().any(|word| reference.contains(word));
        assert!(said, "docs/mapping.md says nothing of `{key}`");
    }
    for kind in reconcile::matching::Kind::ALL {
        assert!(reference.contains(&format!("`{}`", kind.as_str())), "docs/mapping.md says nothing of as = {:?}", kind.as_str());
    }
}

#[test]
fn the_example_of_the_reference_is_right() {
    let reference = include_str!("../../docs/mapping.md");
    let example = reference.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let mapping = processors::mapping_file::parse(example).expect("the example is right");
    let customer = &mapping.entities[0];
    let street = customer.field("street").expect("a street");
    assert_eq!(street.columns.erp.written().collect::<Vec<_>>(), ["street", "house_number"]);
    assert_eq!(customer.field("name").map(|name| (name.required, name.max_length)), Some((true, Some(80))));
    assert_eq!(customer.field("regions").map(|regions| regions.columns.crm.separator.as_deref()), Some(Some(";")));
    assert_eq!(mapping.conversions.len(), 1);
    assert_eq!(processors::mapping_file::Places::of(example).line("entity.customer.field.name.crm"), Some(12));
}

#[test]
fn what_is_different_is_said_in_words_with_when_it_may_change() {
    let old = processors::mapping_file::parse(MAPPING).expect("right");
    let check = |from: &str, to: &str, expected: &[(&str, &str, &str)]| {
        assert!(MAPPING.contains(from), "{from}");
        let new = processors::mapping_file::parse(&MAPPING.replacen(from, to, 1)).expect("right");
        let found = processors::mapping_file::differences(&old, &new);
        let found: Vec<(&str, &str, &str)> = found.iter().map(|it| (it.path.as_str(), it.what.as_str(), it.weight.as_str())).collect();
        assert_eq!(found, expected);
    };
    let field = |name: &str| format!("entity.customer.field.{name}");
    check("policy = \"last_write\"", "policy = \"crm\"", &[(&field("credit_limit"), "policy was last_write, and is crm", "policy")]);
    check("value * 10", "value * 100 / 10", &[(&format!("{}.erp", field("rating")), "read is another", "values")]);
    check(
        "type = \"decimal(2)\"",
        "type = \"decimal(4)\"",
        &[(&field("credit_limit"), "type is another, and so is that of the golden record that data teams read", "never")],
    );
    check(
        "object = \"public.contacts\"",
        "object = \"public.people\"",
        &[("entity.contact.erp", "object was public.contacts, and is public.people", "never")],
    );
    check(
        "write_column = \"Concord_Write__c\"",
        "write_column = \"Sync__c\"",
        &[("entity.customer.crm", "write_column was Concord_Write__c, and is Sync__c", "never")],
    );
    check("tie = \"erp\"", "tie = \"crm\"", &[("entity.customer", "tie was erp, and is crm", "policy")]);
    let fax = "[entity.customer.field.fax]\ntype = \"text\"\ncrm = \"Fax\"\nerp = \"fax\"\n\n[entity.contact]\n";
    let new = |side: &str, column: &str| {
        format!(
            "the {side} column {column} was not remembered so far: its value is taken up when the record changes next, or is read again"
        )
    };
    let (crm, erp) = (new("crm", "Fax"), new("erp", "fax"));
    check(
        "[entity.contact]\n",
        fax,
        &[(&field("fax"), "is new", "values"), (&field("fax"), &crm, "values"), (&field("fax"), &erp, "values")],
    );
}
