//! placeholder
pub struct ReadModelSink;
