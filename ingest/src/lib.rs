//! ingest

pub mod erp;
