//! Private servers come up, answer, and leave nothing behind, even when their owner is killed.

mod kafka;
mod orphan;
mod postgres;
