//! The one binary `concord`: configuration, roles, and the commands around them.
//!
//! It holds no business rule. Everything that decides is in `reconcile`; everything that speaks to a system is in
//! `ingest`, `sinks`, `stream` and `dashboard`; this puts them together.

pub mod agreement;
pub mod bench;
pub mod check;
pub mod cli;
pub mod config;
pub mod decide;
pub mod demo;
pub mod logging;
pub mod mapping;
pub mod matching;
pub mod migrate;
pub mod print;
pub mod remote;
pub mod retry;
pub mod review;
pub mod run;
pub mod sample;
pub mod simulate_org;
pub mod stack;
pub mod topics;
pub mod traffic;
pub mod undo;

pub use topics::topic_table;

/// Every TLS connection of this process uses rustls with ring.
pub fn install_crypto() {
    // It fails only when one is installed already, which is what we want.
    rustls::crypto::ring::default_provider().install_default().ok();
}
