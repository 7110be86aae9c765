//! ERP capture against a real Postgres, onto the log in memory.

mod capture;
mod checks;
mod faults;
mod gate;
pub(crate) mod harness;
mod ours;
mod restart;
mod secure;
mod snapshot;
mod types;
