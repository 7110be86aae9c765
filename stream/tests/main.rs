//! The contract of the log, kept by every implementation.

mod contract;
mod memory;
mod support;
