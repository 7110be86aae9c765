//! The simulator as clients see it: over HTTP, over gRPC, and through clients that others wrote.

#![expect(clippy::disallowed_macros, reason = "tests print what they install and measure")]

mod bulk;
mod changes;
mod clients;
mod composite;
mod faults;
mod login;
mod page;
mod query;
mod rows;
mod speed;
mod streams;
mod support;
