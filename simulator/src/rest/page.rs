//! stub
use std::sync::Arc;

use super::{Reply, Server};

/// Answers the page.
pub(crate) fn handle(_server: &Arc<Server>, _method: &str, _path: &str, _query: &str, _body: &[u8]) -> Reply {
    Reply::empty(404)
}
