//! The dashboard over HTTP, against a real Postgres with rows as the read model's sink inserts them.

mod access;
mod api;
mod bulk;
mod conflicts;
mod failures;
mod headers;
mod live;
mod matches;
mod rows;
mod sign_in;
mod stack;
mod sync;
mod undo;
