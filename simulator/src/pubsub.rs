//! The Pub/Sub API: gRPC over TLS, `eventbus.v1.PubSub`.

pub(crate) mod fault;
pub(crate) mod managed;
pub(crate) mod publish;
pub(crate) mod service;
pub(crate) mod subscribe;
pub(crate) mod topic;
