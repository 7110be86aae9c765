//! Sums over what a customer owes and over the pipeline.

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{CustomerFinancials, PipelineSummary, Side};

use super::{ACCOUNT, customer_row, linked};
use crate::harness::{World, money, text};

#[tokio::test]
async fn totals_follow_invoices_payments_orders_and_opportunities() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    let today = i32::try_from(world.now() / 86_400_000_000).expect("a day");
    let invoice = |amount: &str, customer: i64| {
        vec![
            ("number", text("R1")),
            ("amount", money(amount)),
            ("due_date", Value::Date(today)),
            ("status", text("open")),
            ("customer_id", Value::Int(customer)),
        ]
    };
    // The payment comes before its invoice, the invoice of an unknown customer waits.
    world.change(Side::Erp, "public.payments", "1", Op::Create, &[("invoice_id", Value::Int(1)), ("amount", money("40.00"))]).await;
    world.change(Side::Erp, "public.invoices", "1", Op::Create, &invoice("100.00", 7)).await;
    world.change(Side::Erp, "public.invoices", "2", Op::Create, &invoice("999.00", 77)).await;
    world
        .change(
            Side::Erp,
            "public.orders",
            "1",
            Op::Create,
            &[("number", text("O1")), ("status", text("open")), ("total", money("25.50")), ("customer_id", Value::Int(7))],
        )
        .await;
    let deal = |stage: &str, amount: f64, probability: f64, closed: bool, won: bool| {
        vec![
            ("Name", text("Deal")),
            ("StageName", text(stage)),
            ("Amount", Value::Double(amount)),
            ("Probability", Value::Double(probability)),
            ("IsClosed", Value::Bool(closed)),
            ("IsWon", Value::Bool(won)),
            ("AccountId", text(ACCOUNT)),
        ]
    };
    world.change(Side::Crm, "Opportunity", "006a", Op::Create, &deal("Prospecting", 1000.0, 10.0, false, false)).await;
    world.change(Side::Crm, "Opportunity", "006b", Op::Create, &deal("Closed Won", 500.0, 100.0, true, true)).await;
    world.quiet().await;
    let latest = |all: Vec<CustomerFinancials>| all.into_iter().rfind(|sums| sums.customer == entity).expect("said");
    let sums = latest(world.messages(&world.topics.customer_financials()).await);
    assert_eq!(
        (sums.ar_balance.as_str(), sums.overdue.as_str(), sums.open_orders, sums.open_order_value.as_str()),
        ("60.00", "0", 1, "25.50")
    );
    // A partial CRM update moves an opportunity on.
    world
        .change(Side::Crm, "Opportunity", "006a", Op::Update, &[("StageName", text("Closed Lost")), ("IsClosed", Value::Bool(true))])
        .await;
    world.quiet().await;
    let pipeline: Vec<PipelineSummary> = world.messages(&world.topics.pipeline_summary()).await;
    let of = |stage: &str| pipeline.iter().rfind(|sums| sums.stage == stage).expect("said");
    assert_eq!((of("all").count, of("all").won, of("all").lost, of("all").win_rate_bp), (2, 1, 1, Some(5000)));
    assert_eq!((of("Prospecting").count, of("Closed Lost").count, of("Closed Won").value.as_str()), (0, 1, "500"));
    // The due day passes without any change.
    world.pass(2 * 86_400);
    let sums = world
        .found("an overdue invoice", async || {
            Some(latest(world.messages(&world.topics.customer_financials()).await)).filter(|sums| sums.overdue == "60.00")
        })
        .await;
    assert_eq!(sums.as_of, today + 2);
    // The invoice moves to another customer, and the payment with it.
    let mut other = customer_row("Other", "1.00");
    other[0].1 = Value::Int(77);
    other[5].1 = text("AT 77");
    world.change(Side::Erp, "public.customers", "77", Op::Create, &other).await;
    world.change(Side::Erp, "public.invoices", "1", Op::Update, &invoice("100.00", 77)).await;
    world.quiet().await;
    let all: Vec<CustomerFinancials> = world.messages(&world.topics.customer_financials()).await;
    assert_eq!(latest(all.clone()).ar_balance.parse::<f64>().ok(), Some(0.0));
    let new = all.iter().rfind(|sums| sums.customer != entity).expect("the new customer's");
    assert_eq!(new.ar_balance, "1059.00");
    running.stop().await;
}
