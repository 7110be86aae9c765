//! What happened, line by line, and a digest of it: two runs with the same digest are the same run.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
struct State {
    digest: u64,
    line: String,
    lines: Vec<String>,
    keep: bool,
}

/// A run's trace. Clones are the same trace.
#[derive(Clone, Default)]
pub(super) struct Trace(Arc<Mutex<State>>);

impl Trace {
    /// A trace that keeps its lines when asked, and always their digest.
    pub(super) fn new(keep: bool) -> Self {
        Self(Arc::new(Mutex::new(State { keep, ..State::default() })))
    }

    /// Something happened.
    pub(super) fn note(&self, what: std::fmt::Arguments<'_>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.line.clear();
        // Writing to a string does not fail.
        state.line.write_fmt(what).ok();
        state.digest = mix(state.digest, state.line.as_bytes());
        if state.keep {
            state.lines.push(state.line.clone());
        }
    }

    /// Whether lines are kept.
    pub(super) fn keeps(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep
    }

    /// A line for people, which adds nothing to what the digest covers.
    pub(super) fn aside(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.push(line);
    }

    /// Bytes that were written somewhere, which no line shows.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.digest = mix(state.digest, bytes);
    }

    pub(super) fn digest(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).digest
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }
}

/// Folds bytes into a digest; fast, and not for secrets.
fn mix(mut digest: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        digest = (digest ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME).rotate_left(29);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    (digest ^ u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56)).wrapping_mul(PRIME).rotate_left(29)
}
