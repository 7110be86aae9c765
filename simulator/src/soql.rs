//! SOQL: the part of it that Concord and the public clients use.
//!
//! `SELECT fields | COUNT() | FIELDS(ALL|STANDARD|CUSTOM) FROM X [WHERE …] [ORDER BY …] [LIMIT n]
//! [OFFSET n]`, with parent fields (`Account.Name`), child subqueries, date literals. Left out:
//! aggregates and GROUP BY, TYPEOF, semi-joins, SOSL.

pub(crate) mod parse;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod token;

/// A field reached from the queried object: relationships, then a field name. With its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) names: Vec<String>,
    pub(crate) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selected {
    Field(Path),
    Count,
    AllFields,
    StandardFields,
    CustomFields,
    Children(Box<Query>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Date(i32),
    DateTime(i64),
    /// A named range of days: first and last.
    Days(i32, i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    In,
    NotIn,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Path, Operator, Vec<Literal>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) path: Path,
    pub(crate) descending: bool,
    pub(crate) nulls_last: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) select: Vec<Selected>,
    pub(crate) from: String,
    pub(crate) from_at: usize,
    pub(crate) condition: Option<Condition>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

/// The excerpt Salesforce puts before an error: text, caret, place.
pub(crate) fn pointed(text: &str, at: usize, message: &str) -> String {
    format!("\n{text}\n{}^\nERROR at Row:1:Column:{}\n{message}", " ".repeat(at), at + 1)
}
