//! Capture: each source's own change stream onto the log, every change once and in commit order.

pub mod crm;
pub mod erp;
