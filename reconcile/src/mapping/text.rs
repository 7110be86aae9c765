//! Functions over text and lists of text inside expressions, for what stands in one column here and in several there.
//!
//! Nothing stays nothing: each gives `null` for `null`. [`join`] leaves out what is empty.

use cel::common::types::{CelList, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

/// The environment with these functions.
pub(super) fn extend(mut env: Env, add: fn(&mut Env, &str, usize, cel::common::functions::Function)) -> Env {
    add(&mut env, "trim", 1, |args| over("trim", &args, |text, _| Some(text.trim().to_owned())));
    add(&mut env, "upper", 1, |args| over("upper", &args, |text, _| Some(text.to_uppercase())));
    add(&mut env, "lower", 1, |args| over("lower", &args, |text, _| Some(text.to_lowercase())));
    add(&mut env, "before", 2, |args| over("before", &args, |text, rest| Some(text.split_once(rest[0])?.0.to_owned())));
    add(&mut env, "after", 2, |args| over("after", &args, |text, rest| Some(text.split_once(rest[0])?.1.to_owned())));
    add(&mut env, "before_last", 2, |args| over("before_last", &args, |text, rest| Some(text.rsplit_once(rest[0])?.0.to_owned())));
    add(&mut env, "after_last", 2, |args| {
        over("after_last", &args, |text, rest| Some(text.rsplit_once(rest[0]).map_or(text, |(_, tail)| tail).to_owned()))
    });
    add(&mut env, "replace", 3, |args| over("replace", &args, |text, rest| Some(text.replace(rest[0], rest[1]))));
    add(&mut env, "split", 2, |args| split(&args));
    add(&mut env, "join", 2, |args| join(&args));
    env
}

fn fault(function: &str, message: &str) -> ExecutionError {
    ExecutionError::FunctionError { function: function.to_owned(), message: message.to_owned() }
}

fn text(value: &dyn Val) -> Option<&str> {
    value.downcast_ref::<CelString<'_>>().map(|text| text.inner())
}

fn nothing<'b, 'v>() -> CowVal<'b, 'v> {
    CowVal::owned(CelNull)
}

fn over<'b, 'v>(
    name: &str,
    args: &[CowVal<'b, 'v>],
    make: impl Fn(&str, &[&str]) -> Option<String>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some((first, rest)) = args.split_first() else { return Err(fault(name, "it takes a text")) };
    if first.as_ref().downcast_ref::<CelNull>().is_some() {
        return Ok(nothing());
    }
    let rest: Option<Vec<&str>> = rest.iter().map(|value| text(value.as_ref())).collect();
    match (text(first.as_ref()), rest) {
        (Some(text), Some(rest)) if rest.first().is_none_or(|part| !part.is_empty()) => {
            Ok(make(text, &rest).map_or_else(nothing, |made| CowVal::owned(CelString::from(made))))
        }
        _ => Err(fault(name, "it takes texts, and nothing empty to look for")),
    }
}

fn split<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [whole, separator] = args else { return Err(fault("split", "it takes a text and what to split it at")) };
    if whole.as_ref().downcast_ref::<CelNull>().is_some() {
        return Ok(nothing());
    }
    match (text(whole.as_ref()), text(separator.as_ref())) {
        (Some(whole), Some(separator)) if !separator.is_empty() => {
            let parts: Vec<Box<dyn Val + 'v>> =
                whole.split(separator).map(|part| Box::new(CelString::from(part.to_owned())) as Box<dyn Val + 'v>).collect();
            Ok(CowVal::owned(CelList::from(parts)))
        }
        _ => Err(fault("split", "it takes a text and what to split it at")),
    }
}

/// The texts of a list that are not empty, with a text between them; null when there are none.
fn join<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [list, separator] = args else { return Err(fault("join", "it takes a list of texts and what stands between them")) };
    let (Some(list), Some(separator)) = (list.as_ref().downcast_ref::<CelList>(), text(separator.as_ref())) else {
        return Err(fault("join", "it takes a list of texts and what stands between them"));
    };
    let mut texts = Vec::new();
    for item in list.inner() {
        if item.as_ref().downcast_ref::<CelNull>().is_some() {
            continue;
        }
        match text(item.as_ref()) {
            Some("") => {}
            Some(text) => texts.push(text),
            None => return Err(fault("join", "its list holds something else than text")),
        }
    }
    Ok(if texts.is_empty() { nothing() } else { CowVal::owned(CelString::from(texts.join(separator))) })
}
