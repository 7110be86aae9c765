//! Ports nobody listens on.

use std::net::TcpListener;

/// A loopback port that was free a moment ago. Another process may take it before it is used, so whoever starts
/// a server on it tries again with another one when the address is in use.
///
/// # Errors
/// When the system has no port left.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
