//! Puts sample companies into both systems, as if they had grown there.

use std::fmt::Write as _;
use std::pin::pin;

use anyhow::Context as _;
use futures::SinkExt as _;
use serde_json::{Value as Json, json};

use super::{Company, Dice};

const PRODUCTS: &[(&str, &str, &str)] = &[
    ("HX-400", "HX-400 coolant pump", "1280.00"),
    ("HX-410", "HX-410 coolant pump, stainless", "1640.00"),
    ("BR-020", "Bearing kit 20 mm", "48.50"),
    ("BR-035", "Bearing kit 35 mm", "72.90"),
    ("VL-100", "Valve block", "315.00"),
    ("SN-007", "Flow sensor", "189.95"),
    ("CT-900", "Controller cabinet", "4250.00"),
    ("SV-YR1", "Service contract, one year", "960.00"),
];

const STAGES: &[(&str, bool)] = &[
    ("Prospecting", false),
    ("Qualification", false),
    ("Needs Analysis", false),
    ("Proposal/Price Quote", false),
    ("Negotiation/Review", false),
    ("Closed Won", true),
    ("Closed Lost", true),
];

/// Fills an ERP database that has [`super::ERP_SCHEMA`]. `today` is days since 1970-01-01, so that some invoices are
/// overdue and some are not. Ids are the company's index plus one.
///
/// # Errors
/// What Postgres says.
pub async fn load_erp(client: &tokio_postgres::Client, companies: &[Company], with_money: bool, today: i32) -> anyhow::Result<()> {
    let mut customers = String::new();
    let mut contacts = String::new();
    let mut orders = String::new();
    let mut lines = String::new();
    let mut invoices = String::new();
    let mut payments = String::new();
    let (mut contact_id, mut document_id) = (0, 0);
    for company in companies.iter().filter(|company| company.in_erp()) {
        let id = company.index + 1;
        writeln!(
            customers,
            "{id}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\tN{}\t{}.00\tactive\timport",
            company.number,
            company.name,
            company.tax_id,
            company.phone,
            company.website,
            company.street,
            company.city,
            company.postal_code,
            company.country,
            company.terms_days,
            company.credit_limit,
        )?;
        for person in &company.people {
            contact_id += 1;
            writeln!(
                contacts,
                "{contact_id}\t{id}\t{}\t{}\t{}\t{}\t{}\timport",
                person.first_name, person.last_name, person.email, person.phone, person.title
            )?;
        }
        if !with_money {
            continue;
        }
        let mut dice = Dice::new(0xa11 + company.index as u64);
        for _ in 0..1 + dice.below(3) {
            document_id += 1;
            let (product, quantity) = (dice.below(PRODUCTS.len()), 1 + dice.below(6) as i64);
            let price = PRODUCTS[product].2.replace('.', "").parse::<i64>().unwrap_or(0);
            let total = format!("{}.{:02}", price * quantity / 100, price * quantity % 100);
            let ordered = today - 5 - dice.below(100) as i32;
            let status = *dice.pick(&["open", "shipped", "invoiced", "invoiced", "cancelled"]);
            writeln!(orders, "{document_id}\tO{document_id:07}\t{id}\t{status}\t{}\t{total}", day(ordered))?;
            writeln!(lines, "{document_id}\t1\t{}\t{quantity}\t{}", product + 1, PRODUCTS[product].2)?;
            if status == "invoiced" {
                let paid = dice.below(3) == 0;
                let due = ordered + company.terms_days as i32;
                writeln!(
                    invoices,
                    "{document_id}\tR{document_id:07}\t{id}\t{document_id}\t{}\t{}\t{total}\t{}",
                    day(ordered),
                    day(due),
                    if paid { "paid" } else { "open" }
                )?;
                if paid {
                    writeln!(payments, "{document_id}\t{id}\t{document_id}\t{}\t{total}", day(ordered + 3))?;
                }
            }
        }
    }
    let mut products = String::new();
    for (n, (sku, name, price)) in PRODUCTS.iter().enumerate() {
        writeln!(products, "{}\t{sku}\t{name}\t{price}", n + 1)?;
    }
    for (table, columns, rows) in [
        ("products", "id, sku, name, list_price", &products),
        (
            "customers",
            "id, number, name, tax_id, phone, website, street, city, postal_code, country, payment_terms, credit_limit, status, updated_by",
            &customers,
        ),
        ("contacts", "id, customer_id, first_name, last_name, email, phone, title, updated_by", &contacts),
        ("orders", "id, number, customer_id, status, ordered_on, total", &orders),
        ("order_lines", "order_id, line, product_id, quantity, unit_price", &lines),
        ("invoices", "id, number, customer_id, order_id, issued_on, due_on, amount, status", &invoices),
        ("payments", "id, customer_id, invoice_id, paid_on, amount", &payments),
    ] {
        let sink = client
            .copy_in(&format!("copy {table} ({columns}) from stdin"))
            .await
            .with_context(|| format!("copying sample rows into {table}"))?;
        let mut sink = pin!(sink);
        sink.send(bytes::Bytes::copy_from_slice(rows.as_bytes())).await?;
        sink.close().await.with_context(|| format!("copying sample rows into {table}"))?;
        if !["order_lines"].contains(&table) {
            client
                .batch_execute(&format!(
                    "select setval(pg_get_serial_sequence('{table}', 'id'), greatest((select max(id) from {table}), 1))"
                ))
                .await?;
        }
    }
    Ok(())
}

/// Fills a simulated org.
///
/// # Errors
/// What the org says.
pub fn load_crm(org: &simulator::Org, companies: &[Company], with_deals: bool, today: i32) -> anyhow::Result<()> {
    let known: Vec<&Company> = companies.iter().filter(|company| company.in_crm()).collect();
    let accounts = org
        .load(
            "Account",
            known.iter().map(|company| {
                let mut account = json!({
                    "Name": company.name,
                    "Tax_Id__c": company.tax_id,
                    "Phone": company.phone,
                    "Website": company.website,
                    "BillingStreet": company.street,
                    "BillingCity": company.city,
                    "BillingPostalCode": company.postal_code,
                    "BillingCountry": company.country,
                    "Payment_Terms__c": format!("NET{}", company.terms_days),
                    "Credit_Limit__c": company.credit_limit,
                });
                if company.number_known() && company.in_erp() {
                    account["ERP_Id__c"] = company.number.clone().into();
                }
                if company.phone_differs() {
                    account["Phone"] = format!("{} ext. 1", company.phone).into();
                }
                account
            }),
        )
        .map_err(|error| anyhow::anyhow!("loading sample accounts: {error:?}"))?;
    let contacts: Vec<Json> = known
        .iter()
        .zip(&accounts)
        .flat_map(|(company, account)| {
            company.people.iter().map(move |person| {
                json!({
                    "AccountId": account.to_string(),
                    "FirstName": person.first_name,
                    "LastName": person.last_name,
                    "Email": person.email,
                    "Phone": person.phone,
                    "Title": person.title,
                })
            })
        })
        .collect();
    org.load("Contact", contacts).map_err(|error| anyhow::anyhow!("loading sample contacts: {error:?}"))?;
    if with_deals {
        let deals: Vec<Json> = known
            .iter()
            .zip(&accounts)
            .flat_map(|(company, account)| {
                let mut dice = Dice::new(0xdea1 + company.index as u64);
                (0..dice.below(3))
                    .map(|_| {
                        let (stage, closed) = *dice.pick(STAGES);
                        let product = dice.pick(PRODUCTS);
                        let days = 1 + dice.below(80) as i32;
                        json!({
                            "Name": format!("{} for {}", product.1, company.name).chars().take(120).collect::<String>(),
                            "AccountId": account.to_string(),
                            "StageName": stage,
                            "Amount": 1_000 * (1 + dice.below(90)),
                            "CloseDate": day(if closed { today - days } else { today + days }),
                        })
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        org.load("Opportunity", deals).map_err(|error| anyhow::anyhow!("loading sample opportunities: {error:?}"))?;
    }
    Ok(())
}

/// A day since 1970-01-01 as `YYYY-MM-DD`.
fn day(days: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.checked_add(jiff::Span::new().days(days)).unwrap_or(epoch).to_string()
}
