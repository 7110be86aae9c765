//! The generated types of `eventbus.v1`, server and client side.

#![expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code has its own style"
)]

tonic::include_proto!("eventbus.v1");
