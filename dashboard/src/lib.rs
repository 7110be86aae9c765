//! The pages and the JSON that people use: what both sides are doing, which conflicts wait, and the
//! decisions people make about them.
//!
//! It reads the read model in Postgres and nothing else; it writes decisions and the pause onto the log,
//! and its own sessions. Pages are rendered here, work without JavaScript, and become live by
//! server-sent events when Postgres says that something has changed. Every route stands in one table
//! with the scope it asks for, and no route is reachable without that check.
//!
//! Left out: any rule about what follows from a change or a decision (the reconciler's), and how rows
//! come into the read model (the sink's). What they share is `migrations/read_model`.

mod api;
mod assets;
mod auth;
mod cached;
mod clock;
mod command;
mod config;
mod error;
mod health;
mod live;
mod metrics;
mod pages;
mod queries;
mod respond;
mod routes;
mod server;
mod show;
mod undo;

pub use auth::Scope;
pub use config::{ApiToken, Config, PasswordSource, Secret};
pub use error::{Class, Error, Result};
pub use routes::{Access, RouteInfo, table};
pub use server::{Dashboard, serve};
