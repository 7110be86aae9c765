//! The generated types of `eventbus.v1`.
#![expect(unused_qualifications, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated code")]

tonic::include_proto!("eventbus.v1");
