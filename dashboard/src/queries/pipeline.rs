//! The pipeline by stage, and what customers owe.

use serde::Serialize;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// One row of `pipeline_summary`; amounts are exact decimal text.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Stage {
    pub(crate) stage: String,
    pub(crate) count: i64,
    pub(crate) value: String,
    pub(crate) weighted: String,
    pub(crate) won: i64,
    pub(crate) lost: i64,
    /// Won over closed, in parts of 10,000.
    pub(crate) win_rate_bp: Option<i64>,
    pub(crate) at: At,
}

/// Sums over all customers; amounts are exact decimal text.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Receivables {
    pub(crate) customers: i64,
    pub(crate) ar_balance: String,
    pub(crate) overdue: String,
    pub(crate) open_orders: i64,
    pub(crate) open_order_value: String,
    pub(crate) at: Option<At>,
}

const MAX_STAGES: i64 = 100;

/// Stages; the row over all of them is called `all`.
pub(crate) async fn stages(pool: &PgPool) -> Result<Vec<Stage>> {
    sqlx::query_as(
        "select stage, count, value::text as value, weighted::text as weighted, won, lost, win_rate_bp, at \
         from pipeline_summary order by (stage = 'all') desc, pipeline_summary.weighted desc, stage limit $1",
    )
    .bind(MAX_STAGES)
    .fetch_all(pool)
    .await
    .map_err(reading("pipeline"))
}

/// Sums over all customers. Reads every row, so callers remember it for a while.
pub(crate) async fn receivables(pool: &PgPool) -> Result<Receivables> {
    sqlx::query_as(
        "select count(*) as customers, coalesce(sum(ar_balance), 0)::text as ar_balance, coalesce(sum(overdue), 0)::text as overdue, \
           coalesce(sum(open_orders), 0)::bigint as open_orders, coalesce(sum(open_order_value), 0)::text as open_order_value, max(at) as at \
         from customer_financials",
    )
    .fetch_one(pool)
    .await
    .map_err(reading("receivables"))
}
