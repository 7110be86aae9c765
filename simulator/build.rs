//! Compiles the Pub/Sub protocol file without an installed `protoc`.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    writeln!(std::io::stdout(), "cargo:rerun-if-changed=proto/pubsub_api.proto")?;
    let descriptors = protox::compile(["proto/pubsub_api.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
