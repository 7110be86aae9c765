//! A process of the pipeline, polled by hand: it goes on as far as its turn lets it, and no further.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::turn::Turn;

/// A process under way; it ends with the reason why.
pub(super) type Going = Pin<Box<dyn Future<Output = String> + Send>>;

/// Polls before an actor that waits for neither its turn nor anything that comes is taken to sleep.
const NUDGES: usize = 4;

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It waits for its next turn.
    Waiting,
    /// It backs off after a failure; nothing of its session is left.
    Asleep,
    /// It ended, with the reason.
    Gone(String),
}

/// One process.
pub(super) struct Actor {
    pub(super) turn: Turn,
    going: Going,
}

impl Actor {
    pub(super) fn new(turn: Turn, going: Going) -> Self {
        Self { turn, going }
    }

    /// Lets it make so many calls.
    pub(super) fn step(&mut self, calls: u32) -> Ended {
        self.turn.grant(calls);
        let mut context = Context::from_waker(std::task::Waker::noop());
        for _ in 0..NUDGES {
            match self.going.as_mut().poll(&mut context) {
                Poll::Ready(reason) => return Ended::Gone(reason),
                Poll::Pending if self.turn.is_waiting() => return Ended::Waiting,
                Poll::Pending => {}
            }
        }
        Ended::Asleep
    }
}
