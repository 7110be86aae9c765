//! The contract of the log, kept by every implementation.

mod contract;
mod crash;
mod embedded;
mod faults;
mod kafka;
mod memory;
mod model;
mod registry;
mod support;
