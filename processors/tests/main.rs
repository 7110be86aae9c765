//! Stories and laws of the processors, on a log in memory.

mod copies;
mod harness;
mod laws;
mod mapping;
mod matching;
mod remapping;
mod stories;
mod tables;
