//! Capture against the real thing.

mod erp;
