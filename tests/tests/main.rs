//! End to end on real systems, and what we agreed on about the shape of the project.

mod browser;
mod command_line;
mod conflicts;
mod decisions;
mod e2e;
mod fields;
mod kill;
mod mapping;
mod matching;
mod party;
mod scenarios;
mod simulation;
mod stamps;
mod tidy;
mod watch;
