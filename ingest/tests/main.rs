//! Capture against the real thing.

mod crm;
mod erp;
mod patience;
