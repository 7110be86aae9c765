//! The contract of the log, kept by every implementation.

mod contract;
mod crash;
mod embedded;
mod memory;
mod registry;
mod support;
