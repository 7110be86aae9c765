//! Stories: these changes in, those messages out.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::Side;

use crate::harness::{World, money, text};

mod edits;
mod records;
mod rereads;
mod totals;
mod trouble;

const ACCOUNT: &str = "001000000000001AAA";
const CONTACT: &str = "003000000000001AAA";

fn customer_row(name: &str, limit: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("id", Value::Int(7)),
        ("name", text(name)),
        ("credit_limit", money(limit)),
        ("payment_terms", text("N30")),
        ("rating", Value::Int(2)),
        ("tax_id", text("AT 123")),
        ("status", text("active")),
        ("updated_by", text("erna")),
    ]
}

fn row(values: &[(&'static str, Value)]) -> BTreeMap<String, Value> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// One customer on both sides, linked by tax id and in agreement; the entity id.
async fn linked(world: &World) -> String {
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer_row("Acme", "1000.00")).await;
    world.quiet().await;
    let create = world.writes(Side::Crm).await.remove(0);
    world.carry_out(&create, &BTreeMap::new(), ACCOUNT).await;
    world.quiet().await;
    create.entity
}
