//! ingest

pub mod crm;
pub mod erp;
