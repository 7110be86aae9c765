//! What the command line prints: text for people, or one JSON object a line for programs. The only place that prints.

use std::io::Write as _;

/// Prints text or JSON, as asked.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    json: bool,
}

impl simulation::Output for Printer {
    fn is_json(&self) -> bool {
        Self::is_json(self)
    }

    fn line(&self, text: &str) {
        Self::line(self, text);
    }

    fn object(&self, object: &serde_json::Value) {
        Self::object(self, object);
    }
}

impl Printer {
    /// JSON when `json`.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read this.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people: on standard output, or on standard error when programs read standard output.
    pub fn line(&self, text: &str) {
        // A reader who has gone away is no reason to fail.
        if self.json {
            writeln!(std::io::stderr(), "{text}").ok();
        } else {
            writeln!(std::io::stdout(), "{text}").ok();
        }
    }

    /// An object for programs; nothing for people.
    pub fn object(&self, object: &serde_json::Value) {
        if self.json {
            writeln!(std::io::stdout(), "{object}").ok();
        }
    }

    /// Why a command failed, with its causes: on standard error, and as an object for programs.
    pub fn failure(&self, error: &anyhow::Error) {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        self.object(&serde_json::json!({"error": {"message": causes.join(": ")}}));
        writeln!(std::io::stderr(), "concord: {}", causes.join(": ")).ok();
    }

    /// A line on standard output whoever reads it.
    pub fn raw(&self, text: &str) {
        let mut out = std::io::stdout();
        write!(out, "{text}").ok();
        out.flush().ok();
    }
}
