//! Where writes leave Concord: the ERP, Salesforce, and the read model that pages are made of.
//!
//! Each sink joins a group on the log, applies what it reads, and commits its offsets with the answers it publishes.
//! Sinks are idempotent by their own means (a ledger, external ids, offsets beside the rows) and never rely on log
//! transactions alone. They decide nothing about which value should win: that is `reconcile`'s.

mod civil;
pub mod clock;
pub mod config;
mod control;
pub mod crm;
pub mod erp;
mod error;
mod health;
pub mod metrics;
pub mod readmodel;
pub mod simulated;
mod sync_id;
mod writer;

pub use clock::Clock;
pub use config::{Pace, Secret};
pub use crm::CrmSink;
pub use erp::ErpSink;
pub use error::{Class, Error};
pub use metrics::Metrics;
pub use readmodel::ReadModelSink;
