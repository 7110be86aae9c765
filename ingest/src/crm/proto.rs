//! The generated types of `eventbus.v1`.
#![expect(unused_qualifications, unreachable_pub, reason = "generated code")]

tonic::include_proto!("eventbus.v1");
