//! Salesforce capture against a simulated org, onto the log in memory.

mod auditor;
mod capture;
mod checks;
mod faults;
mod gaps;
mod harness;
mod meddler;
mod restart;
mod spoiled;
