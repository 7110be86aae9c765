//! The contract of the log, kept by every implementation.

mod contract;
mod embedded;
mod memory;
mod support;
