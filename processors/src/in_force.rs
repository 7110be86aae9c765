//! The mapping in force: one version at a time, for every decision the same on every replay.
//!
//! ```text
//! setting `mapping` on `control` ─┐                       ┌─▶ entity.changes: a marker in each partition ─▶ reconciler takes it up there
//! a start with a newer one ───────┴▶ matcher takes it up ─┴─▶ entity.changes: fields that it reads otherwise
//! ```
//!
//! Matcher and reconciler keep the version in force in their stores, so that what they do between two commits is done again
//! under the same version after a crash. A version never goes down. What the matcher said under the old mapping stands before
//! the marker in each partition, so the reconciler never judges it by the new one.
//!
//! It leaves out topics: objects that are new are read after the next start.

use std::sync::{Arc, Mutex, PoisonError};

use reconcile::mapping::Mapping;
use schemas::message::Setting;
use schemas::record;

use crate::error::{Error, Result};
use crate::mapping_file::{self, Difference, Weight, differences};

/// The setting's name on `control`.
pub const SETTING: &str = "mapping";

/// Where a store keeps it; no other key begins so.
pub(crate) const KEY: &[u8] = b"!mapping";

record! {
    /// The mapping in force, in a store.
    pub struct InForce {
        /// Its version.
        pub version: i64,
        /// Its text.
        pub text: String,
        /// While values are being made again: the text of the one before, or empty when all values are to be said.
        pub before: Option<String>,
        /// Registered schemas of golden records.
        pub golden: Vec<GoldenSchema>,
    }
}

record! {
    /// The registered schema of one kind's golden records.
    pub struct GoldenSchema {
        /// Kind.
        pub kind: String,
        /// Id in the registry.
        pub id: i64,
    }
}

/// A mapping as a setting, ready to be put on `control` under the key [`SETTING`].
pub fn setting(text: &str, version: i64, actor: impl Into<String>, at: i64) -> Setting {
    Setting { name: SETTING.to_owned(), value: serde_json::json!({ "text": text }).to_string(), version, actor: actor.into(), at }
}

/// Mappings as they were read, so that a task that begins anew need not read the one in force again. Clones share what they
/// know, which is one for each version that was in force while the process ran.
#[derive(Debug, Clone, Default)]
pub struct Mappings(Arc<Mutex<Vec<Arc<Mapping>>>>);

impl Mappings {
    /// The mapping of this text as this version.
    ///
    /// # Errors
    /// When it is none that this build can read.
    pub fn read(&self, text: &str, version: i64) -> Result<Arc<Mapping>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = known.iter().find(|mapping| mapping.version == version && mapping.text == text) {
            return Ok(mapping.clone());
        }
        let mapping = Arc::new(mapping_file::parse(text)?.at(version));
        known.push(mapping.clone());
        Ok(mapping)
    }

    /// The mapping that a setting holds.
    ///
    /// # Errors
    /// When it is not a mapping, or none that this build can read.
    pub fn set(&self, setting: &Setting) -> Result<Arc<Mapping>> {
        let wrong = |reason: String| Error::Meaningless { what: format!("version {} of the mapping", setting.version), reason };
        let value: serde_json::Value = serde_json::from_str(&setting.value).map_err(|error| wrong(error.to_string()))?;
        let text = value["text"].as_str().ok_or_else(|| wrong("it has no text".to_owned()))?;
        self.read(text, setting.version).map_err(|error| wrong(error.to_string()))
    }

    /// The mapping that a store holds.
    pub(crate) fn stored(&self, kept: &InForce) -> Result<Arc<Mapping>> {
        self.read(&kept.text, kept.version)
    }
}

impl FromIterator<Arc<Mapping>> for Mappings {
    fn from_iter<I: IntoIterator<Item = Arc<Mapping>>>(known: I) -> Self {
        Self(Arc::new(Mutex::new(known.into_iter().collect())))
    }
}

/// The version that a mapping gets after the one in force.
pub fn next_version(now: Option<i64>, mapping: &Mapping) -> i64 {
    now.map_or(mapping.version, |now| mapping.version.max(now.saturating_add(1)))
}

/// What keeps a mapping from replacing the one in force while Concord runs, or (`at_start`) when it starts.
pub fn refused(old: &Mapping, new: &Mapping, at_start: bool) -> Vec<Difference> {
    let most = if at_start { Weight::Start } else { Weight::Values };
    differences(old, new).into_iter().filter(|difference| difference.weight > most).collect()
}

/// What mends a refused difference.
pub const fn remedy(weight: Weight) -> &'static str {
    match weight {
        Weight::Policy | Weight::Values => "",
        Weight::Start => "put it into the configured mapping file and start Concord again",
        Weight::Never => "map it under another name, or begin anew: another prefix in [log] and an empty state_dir",
    }
}
