//! What end-to-end tests share: a world of both systems with Concord as a child process, and waiting for states.

pub mod command;
mod logs;
pub mod node;
pub mod wait;
pub mod world;

pub use wait::eventually;
pub use world::{Log, World};

/// The `concord` binary that `cargo build -p app` made beside the running test.
pub fn program() -> std::path::PathBuf {
    let test = std::env::current_exe().expect("the running test");
    let program = test.parent().and_then(std::path::Path::parent).expect("the target folder").join("concord");
    assert!(program.is_file(), "{} is missing; run `cargo build -p app` first (make test does)", program.display());
    program
}
