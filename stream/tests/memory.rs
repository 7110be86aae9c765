//! The contract in memory.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stream::{MemoryLog, MemoryOptions};

use crate::support::Fixture;

#[expect(clippy::disallowed_methods, reason = "the clock of a test")]
pub(crate) fn wall_clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn log(markers: bool) -> Fixture {
    let options = MemoryOptions { markers, ..MemoryOptions::with_clock(wall_clock) };
    Fixture::new(Arc::new(MemoryLog::new(options)), 4 << 20)
}

mod plain {
    crate::contract!(async { super::log(false) });
}

mod with_markers {
    crate::contract!(async { super::log(true) });
}
