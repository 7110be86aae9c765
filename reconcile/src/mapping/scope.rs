//! The names that an expression may use, so that a misspelt one is told when a mapping is read, and not by each record.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};

use super::Expression;

/// What CEL brings along and mappings have a use for, and ours (`number`, `text`).
const FUNCTIONS: [&str; 27] = [
    "abs",
    "after",
    "after_last",
    "before",
    "before_last",
    "bool",
    "bytes",
    "contains",
    "decimal",
    "double",
    "dyn",
    "endsWith",
    "int",
    "join",
    "lower",
    "matches",
    "max",
    "min",
    "replace",
    "size",
    "split",
    "startsWith",
    "string",
    "trim",
    "type",
    "uint",
    "upper",
];

/// Types that stand for themselves: `type(value) == string`.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];

/// The names that an expression may use.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Those that stand for a value.
    pub values: &'a [&'a str],
    /// One that has parts, and their names: `columns.<name>`, `record.<field>`.
    pub parts: Option<(&'a str, &'a BTreeSet<String>)>,
}

impl Expression {
    /// The first name in it that means nothing, in words with those that do.
    pub fn strange(&self, scope: Scope<'_>) -> Option<String> {
        let mut bound = Vec::new();
        look(&self.tree, scope, &mut bound)
    }
}

fn look(tree: &IdedExpr, scope: Scope<'_>, bound: &mut Vec<String>) -> Option<String> {
    match &tree.expr {
        Expr::Ident(name) => ident(name, scope, bound),
        Expr::Select(select) => match root(&select.operand) {
            Some(name) if of_parts(name, scope, bound) => part(name, &select.field, scope),
            _ => look(&select.operand, scope, bound),
        },
        Expr::Call(call) => {
            if call.func_name == operators::INDEX
                && let [of, by] = call.args.as_slice()
                && let Some(name) = root(of)
                && of_parts(name, scope, bound)
            {
                return match &by.expr {
                    Expr::Literal(LiteralValue::String(field)) => part(name, field.inner(), scope),
                    _ => look(by, scope, bound),
                };
            }
            function(&call.func_name)
                .or_else(|| call.target.as_ref().and_then(|target| look(target, scope, bound)))
                .or_else(|| call.args.iter().find_map(|argument| look(argument, scope, bound)))
        }
        Expr::Comprehension(each) => {
            // What is gone through does not know the names that it is gone through with.
            look(&each.iter_range, scope, bound).or_else(|| {
                let outside = bound.len();
                bound.extend([&each.iter_var, &each.accu_var].into_iter().chain(&each.iter_var2).cloned());
                let found = [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
                    .into_iter()
                    .find_map(|inside| look(inside, scope, bound));
                bound.truncate(outside);
                found
            })
        }
        Expr::List(list) => list.elements.iter().find_map(|element| look(element, scope, bound)),
        Expr::Map(map) => map.entries.iter().find_map(|entry| look_entry(&entry.expr, scope, bound)),
        Expr::Struct(made) => made.entries.iter().find_map(|entry| look_entry(&entry.expr, scope, bound)),
        Expr::Literal(_) | Expr::Unspecified => None,
    }
}

fn look_entry(entry: &EntryExpr, scope: Scope<'_>, bound: &mut Vec<String>) -> Option<String> {
    match entry {
        EntryExpr::StructField(field) => look(&field.value, scope, bound),
        EntryExpr::MapEntry(entry) => look(&entry.key, scope, bound).or_else(|| look(&entry.value, scope, bound)),
    }
}

fn root(tree: &IdedExpr) -> Option<&str> {
    match &tree.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

fn of_parts(name: &str, scope: Scope<'_>, bound: &[String]) -> bool {
    scope.parts.is_some_and(|(whole, _)| whole == name) && !bound.iter().any(|known| known == name)
}

fn ident(name: &str, scope: Scope<'_>, bound: &[String]) -> Option<String> {
    let whole = scope.parts.map(|(whole, _)| whole);
    let known = name.starts_with('@')
        || scope.values.contains(&name)
        || whole == Some(name)
        || TYPES.contains(&name)
        || bound.iter().any(|known| known == name);
    (!known).then(|| {
        let names: Vec<String> =
            scope.values.iter().map(|value| (*value).to_owned()).chain(whole.map(|whole| format!("{whole}.<name>"))).collect();
        format!("`{name}` means nothing here; there is {}", names.join(", "))
    })
}

fn part(whole: &str, name: &str, scope: Scope<'_>) -> Option<String> {
    let (_, names) = scope.parts?;
    (!names.contains(name)).then(|| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("`{whole}` has no `{name}`; it has {}", names.join(", "))
    })
}

/// Operators have names that no person writes.
fn function(name: &str) -> Option<String> {
    let written = name.starts_with(|first: char| first.is_ascii_alphabetic());
    (written && !FUNCTIONS.contains(&name)).then(|| format!("there is no function `{name}`; docs/mapping.md lists those there are"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strange(text: &str) -> Option<String> {
        let columns = BTreeSet::from(["street".to_owned(), "odd name".to_owned()]);
        Expression::compile(text).expect("it compiles").strange(Scope { values: &["value"], parts: Some(("columns", &columns)) })
    }

    #[test]
    fn what_the_reference_shows_means_something() {
        for text in [
            "value",
            "value == null ? null : value * 2",
            "-value + 1 <= 3 || !(value in [1, 2])",
            "join([columns.street, columns[\"odd name\"]], \" \")",
            "matches(value, \".* [0-9]+[a-z]?$\") ? before_last(value, \" \") : value",
            "value.contains(\"x\") && value.startsWith(\"y\") && size(value) > 2",
            "split(value, \",\").map(part, trim(part)).filter(part, part != \"\").exists(x, x == \"a\")",
            "split(value, \",\").all(value, value == \"a\")",
            "has(columns.street) && decimal(\"1.5\") > min(1, abs(value))",
            "type(value) == string ? string(int(value)) : upper(lower(replace(value, \"a\", \"b\")))",
        ] {
            assert_eq!(strange(text), None, "{text}");
        }
    }

    #[test]
    fn a_misspelt_name_is_told_with_those_that_there_are() {
        for (text, words) in [
            ("vale * 2", "`vale` means nothing here; there is value, columns.<name>"),
            ("value == 1 ? null : uper(value)", "there is no function `uper`"),
            ("columns.strete", "`columns` has no `strete`; it has odd name, street"),
            ("columns[\"strete\"]", "`columns` has no `strete`"),
            ("has(columns.strete)", "`columns` has no `strete`"),
            ("split(value, \",\").map(part, trim(prt))", "`prt` means nothing here"),
            ("{\"a\": vale}.a", "`vale`"),
        ] {
            let found = strange(text).unwrap_or_default();
            assert!(found.contains(words), "{text}: {found}");
        }
    }

    #[test]
    fn every_function_that_is_let_through_is_one() {
        for name in FUNCTIONS {
            let of = |text: String| {
                let rule = Expression::compile(text).expect("it compiles");
                super::super::value_of(&rule, &std::collections::BTreeMap::new()).err().unwrap_or_default()
            };
            let said: Vec<String> = [
                format!("{name}(1)"),
                format!("{name}(\"1\", \"1\")"),
                format!("{name}(\"1\", \"1\", \"1\")"),
                format!("\"1\".{name}(\"1\")"),
            ]
            .map(of)
            .to_vec();
            assert!(said.iter().any(|said| !said.contains("Undeclared")), "{name}: {said:?}");
        }
    }
}
