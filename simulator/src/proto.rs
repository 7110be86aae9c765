//! The generated types of `eventbus.v1`, server and client side.

tonic::include_proto!("eventbus.v1");
