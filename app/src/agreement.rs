//! Do both systems agree? Asked of the systems themselves, not of Concord: the auditor of the end-to-end tests and
//! the benchmarks.
//!
//! It knows the demo's mapping by heart, on purpose: a second, plain account of what should hold, so that a mistake
//! in the pipeline cannot hide behind a mistake in its mapping code.

use std::collections::BTreeMap;

use anyhow::Context as _;
use simulator::Org;

/// Compared fields of a customer: ERP column, Account field.
const CUSTOMER_FIELDS: &[(&str, &str)] = &[
    ("name", "Name"),
    ("tax_id", "Tax_Id__c"),
    ("phone", "Phone"),
    ("website", "Website"),
    ("street", "BillingStreet"),
    ("city", "BillingCity"),
    ("postal_code", "BillingPostalCode"),
    ("country", "BillingCountry"),
    ("payment_terms", "Payment_Terms__c"),
    ("credit_limit", "Credit_Limit__c"),
];

/// Compared fields of a contact: ERP column, Contact field.
const CONTACT_FIELDS: &[(&str, &str)] =
    &[("first_name", "FirstName"), ("last_name", "LastName"), ("email", "Email"), ("phone", "Phone"), ("title", "Title")];

/// What was compared and what differs.
#[derive(Debug, Default, Clone)]
pub struct Agreement {
    /// Customers on the ERP side.
    pub customers: usize,
    /// Contacts on the ERP side.
    pub contacts: usize,
    /// One line for each thing that differs: a field, a record that one side lacks, or one that is there twice.
    pub differences: Vec<String>,
    /// Records that stand for the same thing as another one.
    pub duplicates: usize,
}

impl Agreement {
    /// Nothing differs.
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} customers and {} contacts compared, {} differences", self.customers, self.contacts, self.differences.len())?;
        for difference in self.differences.iter().take(20) {
            writeln!(f, "  {difference}")?;
        }
        if self.differences.len() > 20 {
            writeln!(f, "  … and {} more", self.differences.len() - 20)?;
        }
        Ok(())
    }
}

type Fields = BTreeMap<String, String>;

/// Compares all customers and contacts of both systems.
///
/// # Errors
/// What Postgres says.
pub async fn compare(erp: &tokio_postgres::Client, org: &Org) -> anyhow::Result<Agreement> {
    let mut agreement = Agreement::default();
    let customers = erp_rows(erp, "customers", "number", CUSTOMER_FIELDS).await?;
    let contacts = erp_rows(erp, "contacts", "id", CONTACT_FIELDS).await?;
    agreement.customers = customers.len();
    agreement.contacts = contacts.len();

    // Customers meet by the ERP's number, which the mapping carries to Salesforce.
    let mut accounts: BTreeMap<String, Vec<(String, Fields)>> = BTreeMap::new();
    org.scan("Account", |record| {
        if !record.is_deleted() {
            let fields = CUSTOMER_FIELDS.iter().map(|(column, field)| ((*column).to_owned(), plain(&record.get(field)))).collect();
            accounts.entry(plain(&record.get("ERP_Id__c"))).or_default().push((record.id().to_string(), fields));
        }
    });
    for (id, _) in accounts.remove("").unwrap_or_default() {
        agreement.differences.push(format!("account {id} has no customer in the ERP"));
    }
    let mut account_of_customer = BTreeMap::new();
    for (number, (id, row)) in &customers {
        match accounts.remove(number).unwrap_or_default().as_slice() {
            [] => agreement.differences.push(format!("customer {number} has no account")),
            [(account, fields)] => {
                account_of_customer.insert(id.clone(), account.clone());
                compare_fields(&format!("customer {number} / account {account}"), row, fields, &mut agreement);
            }
            several => {
                agreement.duplicates += several.len() - 1;
                agreement.differences.push(format!("customer {number} has {} accounts", several.len()));
            }
        }
    }
    for (number, several) in accounts {
        agreement.differences.push(format!("{} accounts carry number {number}, which no customer has", several.len()));
    }

    // Contacts meet by customer and e-mail.
    let key = |account: &str, fields: &Fields| format!("{account} {}", fields.get("email").cloned().unwrap_or_default());
    let mut people: BTreeMap<String, Vec<Fields>> = BTreeMap::new();
    org.scan("Contact", |record| {
        if !record.is_deleted() {
            let fields: Fields = CONTACT_FIELDS.iter().map(|(column, field)| ((*column).to_owned(), plain(&record.get(field)))).collect();
            people.entry(key(&plain(&record.get("AccountId")), &fields)).or_default().push(fields);
        }
    });
    let parents = contact_parents(erp).await?;
    let mut rows: BTreeMap<String, Vec<Fields>> = BTreeMap::new();
    for (id, (_, row)) in contacts {
        let account = parents.get(&id).and_then(|customer| account_of_customer.get(customer)).cloned().unwrap_or_default();
        rows.entry(key(&account, &row)).or_default().push(row);
    }
    for (who, here) in rows {
        let there = people.remove(&who).unwrap_or_default();
        if here.len() > 1 || there.len() != 1 {
            // Two on both sides would look like agreement, but one of them was made by mistake.
            agreement.duplicates += here.len().saturating_sub(1) + there.len().saturating_sub(1);
            agreement.differences.push(format!("contact {who}: {} in the ERP, {} in Salesforce", here.len(), there.len()));
        } else if let ([row], [fields]) = (here.as_slice(), there.as_slice()) {
            compare_fields(&format!("contact {who}"), row, fields, &mut agreement);
        }
    }
    for (who, there) in people {
        agreement.differences.push(format!("contact {who}: none in the ERP, {} in Salesforce", there.len()));
    }
    Ok(agreement)
}

/// Rows of a table by a key column: id and compared columns as plain text.
async fn erp_rows(
    erp: &tokio_postgres::Client,
    table: &str,
    key: &str,
    fields: &[(&str, &str)],
) -> anyhow::Result<BTreeMap<String, (String, Fields)>> {
    let columns: Vec<String> = fields.iter().map(|(column, _)| format!("coalesce(trim_scale({column}::numeric)::text, '')")).collect();
    let list: Vec<String> = fields
        .iter()
        .zip(columns)
        .map(|((column, _), number)| match *column {
            "credit_limit" => number,
            "payment_terms" => "replace(payment_terms, 'N', 'NET')".to_owned(),
            text => format!("coalesce({text}, '')"),
        })
        .collect();
    let rows = erp
        .query(&format!("select {key}::text, id::text, {} from {table}", list.join(", ")), &[])
        .await
        .with_context(|| format!("reading {table}"))?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let values = fields
                .iter()
                .enumerate()
                .map(|(n, (column, _))| ((*column).to_owned(), row.get::<_, String>(n + 2).trim().to_owned()))
                .collect();
            (row.get(0), (row.get(1), values))
        })
        .collect())
}

async fn contact_parents(erp: &tokio_postgres::Client) -> anyhow::Result<BTreeMap<String, String>> {
    let rows = erp.query("select id::text, customer_id::text from contacts", &[]).await.context("reading contacts")?;
    Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn compare_fields(who: &str, erp: &Fields, crm: &Fields, agreement: &mut Agreement) {
    for (name, value) in erp {
        let other = crm.get(name).map(String::as_str).unwrap_or_default();
        if value != other {
            agreement.differences.push(format!("{who}: {name} is {value:?} in the ERP and {other:?} in Salesforce"));
        }
    }
}

/// A JSON value as plain text, numbers without needless zeros.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => {
            let text = number.to_string();
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        other => other.to_string(),
    }
}
