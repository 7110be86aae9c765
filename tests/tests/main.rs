//! End to end on real systems, and what we agreed on about the shape of the project.

mod e2e;
mod kill;
mod tidy;
