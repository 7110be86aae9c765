//! Stories and laws of the processors, on a log in memory.

mod conversion;
mod copies;
mod decisions;
mod fields;
mod harness;
mod laws;
mod mapping;
mod matching;
mod remapping;
mod retries;
mod stories;
mod tables;
mod unread;
