//! Errors as the service words them: a status, a text that ends with the rpc id, and the trailer
//! `error-code`.

use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};

/// A status with the trailer `sfdc.platform.eventbus.grpc.<suffix>`.
pub(crate) fn fault(code: Code, suffix: &str, message: &str, rpc_id: &str) -> Status {
    let mut trailers = MetadataMap::new();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = AsciiMetadataValue::try_from(value) {
            trailers.insert(name, value);
        }
    };
    put("error-code", &format!("sfdc.platform.eventbus.grpc.{suffix}"));
    put("rpc-id", rpc_id);
    Status::with_metadata(code, format!("{message} rpcId: {rpc_id}"), trailers)
}
