//! The generated types of `eventbus.v1`, server and client side.

#![expect(unused_qualifications, reason = "generated code spells paths out")]

tonic::include_proto!("eventbus.v1");
