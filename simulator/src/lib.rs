//! stub
pub mod proto;
