//! Whose turn it is: an actor goes on only as far as the scheduler lets it.
//!
//! Every call that an actor makes to the log or to a system first passes its turn. Between two calls the scheduler may
//! let others go on, or drop the actor, which is what a crash is.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// What is to go wrong for one actor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Armed {
    /// Its next commit is refused.
    pub(super) refuse_commit: bool,
    /// Its next poll is refused.
    pub(super) refuse_poll: bool,
    /// Its next commit takes effect, and it is told that it failed.
    pub(super) lose_answer: bool,
    /// For so many polls, the records of one partition are held back.
    pub(super) withhold: u8,
}

#[derive(Default)]
struct State {
    left: AtomicU32,
    waiting: AtomicBool,
    idle: AtomicBool,
    armed: Mutex<Armed>,
}

/// One actor's turn. Clones are the same turn.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<State>);

impl Turn {
    /// Lets the actor make so many calls.
    pub(super) fn grant(&self, calls: u32) {
        self.0.left.store(calls, Relaxed);
        self.0.idle.store(false, Relaxed);
        self.0.waiting.store(false, Relaxed);
    }

    /// Waits for the turn.
    pub(super) async fn pass(&self) {
        poll_fn(|_| {
            let left = self.0.left.load(Relaxed);
            self.0.waiting.store(left == 0, Relaxed);
            if left == 0 {
                return Poll::Pending;
            }
            self.0.left.store(left - 1, Relaxed);
            Poll::Ready(())
        })
        .await;
    }

    /// There was nothing to do: the turn is over.
    pub(super) fn idle(&self) {
        self.0.left.store(0, Relaxed);
        self.0.idle.store(true, Relaxed);
    }

    /// Whether the last turn ended because there was nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.0.idle.load(Relaxed)
    }

    /// Whether the actor waits for its turn (and not for anything else).
    pub(super) fn is_waiting(&self) -> bool {
        self.0.waiting.load(Relaxed)
    }

    pub(super) fn armed(&self) -> MutexGuard<'_, Armed> {
        self.0.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
