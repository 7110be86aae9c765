//! What each level of agreement is worth: data, not code.
//!
//! For every field and level, `m` is how often records of one entity agree so far, `u` how often records of two entities do
//! (Fellegi and Sunter, 1969). A level is worth log2(m / u) bits. Values that many share are worth less: [`FieldWeights::common`]
//! lists them with their share of all records. Fields that go together are worth less together: [`FieldWeights::given`].
//!
//! The text form is TOML, written here ([`Weights::to_toml`]) and read where files are read; it says everything in one order,
//! so that two files can be compared line by line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::kind::{Kind, Level};

/// How often a level is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Among pairs of records of one entity.
    pub m: f64,
    /// Among pairs of records of two entities.
    pub u: f64,
}

impl Rate {
    /// The level's worth in bits.
    pub fn bits(self) -> f64 {
        (self.m / self.u).log2()
    }
}

/// The weights of one field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldWeights {
    /// By level; a level that is missing has the built-in rate.
    pub levels: BTreeMap<Level, Rate>,
    /// Share of the records that have a value (of names and text: a word), for those that several have.
    pub common: BTreeMap<String, f64>,
    /// Share of the records for every other value.
    pub rare: f64,
    /// By the name of another field, a level of that and a level of this: how often records of two entities agree so far or
    /// better here when they agree so far there. A field that is missing has the built-in shares of the two kinds, a level that
    /// is missing from one that is there is not tied to it.
    pub given: BTreeMap<String, BTreeMap<Level, BTreeMap<Level, f64>>>,
}

/// The weights of all fields of an entity kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    /// By field name; a field that is missing has the built-in weights of its kind.
    pub fields: BTreeMap<String, FieldWeights>,
    /// The scores from which pairs match by themselves or are shown to a person.
    pub thresholds: Thresholds,
}

/// What follows from a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// From here on a pair is matched without asking, bits.
    pub automatic: f64,
    /// From here on a person is asked, bits.
    pub review: f64,
    /// A match without asking is this much better than the next best, bits.
    pub lead: f64,
}

impl Thresholds {
    /// The thresholds among `all` records when these were estimated from `sample` of them: among more records, more agree by chance.
    #[must_use]
    pub fn among(self, sample: usize, all: usize) -> Self {
        let more = (all.max(1) as f64 / sample.max(1) as f64).log2().max(0.0);
        Self { automatic: self.automatic + more, review: self.review + more, lead: self.lead }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { automatic: 24.0, review: 12.0, lead: 6.0 }
    }
}

impl Weights {
    /// The text form: tables below `section` (of a mapping: `entity.customer.match.weights`), or at the top when that is empty.
    /// The kinds are written beside the fields for people; reading it back needs the fields' names only.
    pub fn to_toml(&self, section: &str, kind: impl Fn(&str) -> Option<Kind>) -> String {
        let section = if section.is_empty() { String::new() } else { format!("{section}.") };
        let mut out = String::from("# What agreement is worth in bits: log2(m / u). m: among records of one entity; u: of two.\n");
        let Thresholds { automatic, review, lead } = self.thresholds;
        writeln!(out, "\n[{section}thresholds]\nautomatic = {automatic:.2}\nreview = {review:.2}\nlead = {lead:.2}").ok();
        for (name, field) in &self.fields {
            let kind = kind(name);
            let name = quoted(name);
            writeln!(out, "\n[{section}field.{name}]").ok();
            if let Some(kind) = kind {
                writeln!(out, "# {kind}").ok();
            }
            writeln!(out, "rare = {}", number(field.rare)).ok();
            writeln!(out, "\n[{section}field.{name}.levels]").ok();
            for (level, rate) in &field.levels {
                let words = kind.map_or("", |kind| kind.words(*level));
                writeln!(out, "{} = {{ m = {}, u = {} }} # {:+.1} {words}", level.as_str(), number(rate.m), number(rate.u), rate.bits())
                    .ok();
            }
            if !field.common.is_empty() {
                writeln!(out, "\n[{section}field.{name}.common]").ok();
                for (word, share) in &field.common {
                    writeln!(out, "{} = {}", quoted(word), number(*share)).ok();
                }
            }
            for (other, levels) in &field.given {
                writeln!(out, "\n# Of two entities for which {} agrees so far, the share that agrees here so far or better.", plain(other))
                    .ok();
                writeln!(out, "[{section}field.{name}.given.{}]", quoted(other)).ok();
                for (level, shares) in levels {
                    let shares: Vec<String> = shares.iter().map(|(own, share)| format!("{} = {}", own.as_str(), number(*share))).collect();
                    writeln!(out, "{} = {{ {} }}", level.as_str(), shares.join(", ")).ok();
                }
            }
        }
        out
    }
}

/// Six digits that count, as TOML writes floats.
fn number(value: f64) -> String {
    if value == 0.0 { "0.0".to_owned() } else { format!("{value:.5e}") }
}

/// A name within a comment.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A key of a TOML table: bare when it may be, otherwise in quotes.
fn quoted(key: &str) -> String {
    if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return key.to_owned();
    }
    let mut out = String::from("\"");
    for letter in key.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control.is_control() => {
                write!(out, "\\u{:04X}", u32::from(control)).ok();
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_says_everything_in_one_order() {
        let mut weights = Weights::default();
        weights.fields.insert(
            "last name".to_owned(),
            FieldWeights {
                levels: BTreeMap::from([(Level::Different, Rate { m: 0.02, u: 0.98 }), (Level::Equal, Rate { m: 0.8, u: 0.004 })]),
                common: BTreeMap::from([("müller".to_owned(), 0.012), ("lee".to_owned(), 0.01)]),
                rare: 0.000_5,
                given: BTreeMap::from([(
                    "birth date".to_owned(),
                    BTreeMap::from([(Level::Equal, BTreeMap::from([(Level::Equal, 0.25)]))]),
                )]),
            },
        );
        let text = weights.to_toml("", |_| Some(Kind::Surname));
        assert!(
            text.ends_with(
                "[field.\"last name\"]\n# surname\nrare = 5.00000e-4\n\n[field.\"last name\".levels]\n\
             equal = { m = 8.00000e-1, u = 4.00000e-3 } # +7.6 equal\n\
             different = { m = 2.00000e-2, u = 9.80000e-1 } # -5.6 differs\n\n[field.\"last name\".common]\n\
             lee = 1.00000e-2\n\"müller\" = 1.20000e-2\n\n\
             # Of two entities for which birth date agrees so far, the share that agrees here so far or better.\n\
             [field.\"last name\".given.\"birth date\"]\nequal = { equal = 2.50000e-1 }\n"
            ),
            "{text}"
        );
    }
}
