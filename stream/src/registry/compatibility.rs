//! Whether a schema may follow others under the same subject. Nothing but a decision.

use std::str::FromStr;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

/// What a new schema of a subject must be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Anything goes.
    None,
    /// It reads what the latest wrote.
    #[default]
    Backward,
    /// It reads what every earlier one wrote.
    BackwardTransitive,
    /// The latest reads what it writes.
    Forward,
    /// Every earlier one reads what it writes.
    ForwardTransitive,
    /// Both with the latest.
    Full,
    /// Both with every earlier one.
    FullTransitive,
}

const NAMES: [(Level, &str); 7] = [
    (Level::None, "NONE"),
    (Level::Backward, "BACKWARD"),
    (Level::BackwardTransitive, "BACKWARD_TRANSITIVE"),
    (Level::Forward, "FORWARD"),
    (Level::ForwardTransitive, "FORWARD_TRANSITIVE"),
    (Level::Full, "FULL"),
    (Level::FullTransitive, "FULL_TRANSITIVE"),
];

impl Level {
    /// As the REST interface spells it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(level, _)| *level == self).map_or("NONE", |(_, name)| name)
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(level, _)| *level).ok_or(())
    }
}

/// Why a schema may not follow the earlier ones (oldest first); empty when it may.
pub(super) fn objections(level: Level, new: &Schema, earlier: &[Schema]) -> Vec<String> {
    let (backward, forward, all) = match level {
        Level::None => return Vec::new(),
        Level::Backward => (true, false, false),
        Level::BackwardTransitive => (true, false, true),
        Level::Forward => (false, true, false),
        Level::ForwardTransitive => (false, true, true),
        Level::Full => (true, true, false),
        Level::FullTransitive => (true, true, true),
    };
    let checked = if all { earlier } else { &earlier[earlier.len().saturating_sub(1)..] };
    let mut found = Vec::new();
    for old in checked {
        if backward {
            found.extend(objection(old, new).map(|why| format!("the new schema cannot read what the old one wrote: {why}")));
        }
        if forward {
            found.extend(objection(new, old).map(|why| format!("the old schema cannot read what the new one writes: {why}")));
        }
    }
    found
}

fn objection(writer: &Schema, reader: &Schema) -> Option<String> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some("some values of a union or enum have no counterpart".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> Schema {
        Schema::parse_str(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).expect("is a schema")
    }

    fn check(level: Level, old: &str, new: &str, fits: bool) {
        let found = objections(level, &record(new), &[record(old)]);
        assert_eq!(found.is_empty(), fits, "{level:?} {old} -> {new}: {found:?}");
    }

    const A: &str = r#"{"name":"a","type":"string"}"#;
    const A_OPTIONAL_B: &str = r#"{"name":"a","type":"string"},{"name":"b","type":["null","long"],"default":null}"#;
    const A_B: &str = r#"{"name":"a","type":"string"},{"name":"b","type":"long"}"#;

    #[test]
    fn backward_allows_new_fields_with_a_default_and_the_loss_of_any() {
        check(Level::Backward, A, A_OPTIONAL_B, true);
        check(Level::Backward, A, A_B, false);
        check(Level::Backward, A_B, A, true);
        check(Level::Backward, A_OPTIONAL_B, A_B, false);
    }

    #[test]
    fn forward_and_full_look_the_other_way_too() {
        check(Level::Forward, A, A_B, true);
        check(Level::Forward, A_B, A, false);
        check(Level::Full, A, A_OPTIONAL_B, true);
        check(Level::Full, A, A_B, false);
        check(Level::None, A, A_B, true);
    }

    #[test]
    fn types_widen_and_do_not_narrow() {
        check(Level::Backward, r#"{"name":"n","type":"int"}"#, r#"{"name":"n","type":"long"}"#, true);
        check(Level::Backward, r#"{"name":"n","type":"long"}"#, r#"{"name":"n","type":"int"}"#, false);
        check(Level::Backward, r#"{"name":"n","type":"long"}"#, r#"{"name":"n","type":["null","long"]}"#, true);
        check(Level::Backward, r#"{"name":"n","type":["null","long"]}"#, r#"{"name":"n","type":"long"}"#, false);
    }

    #[test]
    fn transitive_levels_look_at_every_version() {
        let (old, between, new) =
            (record(r#"{"name":"n","type":"string"}"#), record(""), record(r#"{"name":"n","type":"long","default":0}"#));
        assert!(objections(Level::Backward, &new, &[old.clone(), between.clone()]).is_empty());
        assert!(!objections(Level::BackwardTransitive, &new, &[old, between]).is_empty());
    }
}
