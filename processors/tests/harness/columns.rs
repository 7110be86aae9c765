//! The columns of the two systems, and how they take values.

use schemas::cdc::{ChangeSchema, Column, ColumnType};
use schemas::message::Side;
use schemas::{Decimal, Value};

use super::money;

/// A value as a system's column takes it.
pub(super) fn fit(kind: &ColumnType, value: &Value) -> Value {
    match (kind, value) {
        (ColumnType::Double, Value::Decimal(Decimal(text))) => Value::Double(text.parse().expect("a number")),
        (ColumnType::Double, Value::Int(number)) => Value::Double(*number as f64),
        (ColumnType::Int, Value::Text(text)) => Value::Int(text.parse().expect("a number")),
        (ColumnType::Decimal { scale, .. }, Value::Decimal(Decimal(text))) => {
            let scale = *scale as usize;
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            money(&format!("{whole}.{fraction:0<scale$}"))
        }
        _ => value.clone(),
    }
}

/// The columns of the two systems.
pub(super) fn schema(side: Side, object: &str) -> ChangeSchema {
    let money = || ColumnType::Decimal { precision: 18, scale: 2 };
    let columns: Vec<(&str, ColumnType)> = match (side, object) {
        (Side::Crm, "Account") => vec![
            ("Name", ColumnType::Text),
            ("Credit_Limit__c", ColumnType::Double),
            ("Payment_Terms__c", ColumnType::Text),
            ("Rating__c", ColumnType::Double),
            ("Tax_Id__c", ColumnType::Text),
            ("ERP_Id__c", ColumnType::Text),
            ("Email__c", ColumnType::Text),
            ("Phone", ColumnType::Text),
            ("BillingStreet", ColumnType::Text),
            ("BillingCity", ColumnType::Text),
            ("Description", ColumnType::Text),
            ("ParentId", ColumnType::Text),
            ("Concord_Id__c", ColumnType::Text),
            ("Concord_Write__c", ColumnType::Text),
        ],
        (Side::Erp, "public.customers") => vec![
            ("id", ColumnType::Int),
            ("name", ColumnType::Text),
            ("credit_limit", money()),
            ("payment_terms", ColumnType::Text),
            ("rating", ColumnType::Int),
            ("tax_id", ColumnType::Text),
            ("status", ColumnType::Text),
            ("priority", ColumnType::Int),
            ("credit_checked", ColumnType::Boolean),
            ("concord_id", ColumnType::Text),
            ("updated_by", ColumnType::Text),
            ("parent_id", ColumnType::Int),
        ],
        (Side::Crm, "Contact") => {
            vec![
                ("LastName", ColumnType::Text),
                ("Email", ColumnType::Text),
                ("AccountId", ColumnType::Text),
                ("Concord_Id__c", ColumnType::Text),
                ("Concord_Write__c", ColumnType::Text),
            ]
        }
        (Side::Erp, "public.contacts") => {
            vec![
                ("last_name", ColumnType::Text),
                ("email", ColumnType::Text),
                ("customer_id", ColumnType::Int),
                ("concord_id", ColumnType::Text),
            ]
        }
        (Side::Crm, "Opportunity") => vec![
            ("Name", ColumnType::Text),
            ("StageName", ColumnType::Text),
            ("Amount", ColumnType::Double),
            ("Probability", ColumnType::Double),
            ("IsClosed", ColumnType::Boolean),
            ("IsWon", ColumnType::Boolean),
            ("AccountId", ColumnType::Text),
        ],
        (Side::Erp, "public.orders") => {
            vec![("number", ColumnType::Text), ("status", ColumnType::Text), ("total", money()), ("customer_id", ColumnType::Int)]
        }
        (Side::Erp, "public.invoices") => vec![
            ("number", ColumnType::Text),
            ("amount", money()),
            ("due_date", ColumnType::Date),
            ("status", ColumnType::Text),
            ("customer_id", ColumnType::Int),
        ],
        (Side::Erp, "public.payments") => vec![("invoice_id", ColumnType::Int), ("amount", money())],
        (side, object) => crate::tables::columns(side, object),
    };
    let columns = columns.into_iter().map(|(name, kind)| Column { name: name.to_owned(), kind }).collect();
    ChangeSchema { side, object: object.to_owned(), columns }
}
