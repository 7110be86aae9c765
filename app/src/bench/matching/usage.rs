//! What this process has used so far, as the kernel counts it.

use std::fs;

/// Processor time, reads and memory of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Processor seconds of all threads, those that have ended as well.
    pub(super) cpu_s: f64,
    /// Calls that read.
    pub(super) reads: u64,
    /// Bytes that they read, from disk or the kernel's memory.
    pub(super) read_bytes: u64,
    /// Memory at most.
    pub(super) peak_rss_mb: f64,
}

/// The kernel counts processor time in hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

impl Usage {
    /// So far; zero where the kernel does not say it.
    pub(super) fn now() -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let number = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        let stat = read("stat");
        // The name of the program stands in parentheses and may hold blanks.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        let io = read("io");
        Self {
            cpu_s: ticks as f64 / TICKS_PER_S,
            reads: number(&io, "syscr:"),
            read_bytes: number(&io, "rchar:"),
            peak_rss_mb: number(&read("status"), "VmHWM:") as f64 / 1024.0,
        }
    }

    /// What was used since; memory is that of the whole time.
    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            cpu_s: self.cpu_s - before.cpu_s,
            reads: self.reads.saturating_sub(before.reads),
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            ..self
        }
    }
}
