//! Sums over entities, for pages and data teams.

use crate::record;

record! {
    /// What one customer owes and has on order. Amounts are plain decimal text, exact.
    pub struct CustomerFinancials {
        /// Customer entity id.
        pub customer: String,
        /// Open invoice amounts less payments.
        pub ar_balance: String,
        /// Part of the balance that was due before `as_of`.
        pub overdue: String,
        /// Orders neither shipped in full, invoiced nor cancelled.
        pub open_orders: i64,
        /// Their amount.
        pub open_order_value: String,
        /// Day the overdue amount was computed for, days since 1970-01-01.
        pub as_of: i32,
        /// Commit time of the newest change included.
        pub at: i64,
    }
}

record! {
    /// The pipeline at one stage, or over all stages under the name `all`. Amounts are plain decimal text, exact.
    pub struct PipelineSummary {
        /// Stage name, or `all`.
        pub stage: String,
        /// Opportunities there.
        pub count: i64,
        /// Sum of their amounts.
        pub value: String,
        /// Sum of amount times probability.
        pub weighted: String,
        /// Of those, closed and won.
        pub won: i64,
        /// Of those, closed and lost.
        pub lost: i64,
        /// Won over closed, in parts of 10,000; none while nothing is closed.
        pub win_rate_bp: Option<i64>,
        /// Commit time of the newest change included.
        pub at: i64,
    }
}
