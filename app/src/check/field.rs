//! Whether what a mapping writes fits into a column, of either system.

use std::collections::BTreeSet;

use super::Problem;
use super::needs::Written;

/// What a column takes, as its system says.
#[derive(Debug, Default)]
pub(super) struct Holds<'a> {
    /// Its type, for people.
    pub(super) type_name: &'a str,
    /// Most characters.
    pub(super) length: Option<usize>,
    /// Digits after the point.
    pub(super) scale: Option<u32>,
    /// Its only values, where it has such.
    pub(super) values: Option<BTreeSet<&'a str>>,
    /// It takes others too, although it lists values.
    pub(super) open: bool,
    /// It holds lists.
    pub(super) list: bool,
    /// It may not be empty.
    pub(super) needed: bool,
}

/// The first thing that does not fit.
pub(super) fn fault(place: &str, written: &Written, holds: &Holds<'_>) -> Option<Problem> {
    if let (Some(allowed), Some(length)) = (written.length, holds.length.filter(|length| *length > 0))
        && allowed > length
    {
        return Some(Problem::new(
            place,
            format!("it holds {length} characters, and the mapping allows {allowed}"),
            format!("say type = \"text({length})\", so that a longer text is refused in words; or make the column wider"),
        ));
    }
    if let (Some(scale), Some(kept)) = (written.scale, holds.scale)
        && scale > kept
    {
        return Some(Problem::new(
            place,
            format!("it keeps {kept} digits after the point, and the mapping writes {scale}, so that values come back rounded"),
            format!("say type = \"decimal({kept})\", or give the column more digits"),
        ));
    }
    if let Some(values) = &holds.values
        && let Some(word) = written.words.iter().find(|word| !values.contains(word.as_str()))
    {
        let what = format!("the mapping writes {word:?}, which is not one of its values ({})", few(values));
        let remedy = "add the value there, or correct the words in the mapping";
        return Some(if holds.open { Problem::note(place, what, remedy) } else { Problem::new(place, what, remedy) });
    }
    match written.list_as_text {
        Some(false) if !holds.list => {
            return Some(Problem::new(
                place,
                format!("its type {} holds no list", holds.type_name),
                "say what stands between the items there: separator = \";\"",
            ));
        }
        Some(true) if holds.list => {
            return Some(Problem::new(place, "it holds a list, and the mapping writes a text", "take the separator out of the mapping"));
        }
        _ => {}
    }
    (holds.needed && written.nothing).then(|| {
        Problem::note(
            place,
            "it may not be empty there, and the field may be: such a record or edit is refused there, and shown as a failed write",
            "say required = true, so that it waits in words, or give the field a default",
        )
    })
}

fn few(values: &BTreeSet<&str>) -> String {
    let shown: Vec<&str> = values.iter().take(8).copied().collect();
    let more = values.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(written: Written, holds: &Holds<'_>) -> Option<(bool, String)> {
        fault("here", &written, holds).map(|problem| (problem.note, format!("{}; {}", problem.what, problem.remedy)))
    }

    #[test]
    fn what_does_not_fit_is_said_with_what_would() {
        let check = |written: Written, holds: Holds<'_>, note: bool, text: &str| {
            let said = said(written, &holds).expect("a fault");
            assert!(said.0 == note && said.1.contains(text), "{said:?}");
        };
        let text = |length| Written { length: Some(length), ..Written::default() };
        assert_eq!(said(text(40), &Holds { length: Some(40), ..Holds::default() }), None);
        check(text(80), Holds { length: Some(40), ..Holds::default() }, false, "text(40)");
        let words = || Written { words: BTreeSet::from(["N30".to_owned(), "N90".to_owned()]), ..Written::default() };
        let values = || Some(BTreeSet::from(["N30", "N60"]));
        check(words(), Holds { values: values(), ..Holds::default() }, false, "\"N90\", which is not one of its values (N30, N60)");
        check(words(), Holds { values: values(), open: true, ..Holds::default() }, true, "N90");
        let list = |text| Written { list_as_text: Some(text), ..Written::default() };
        check(list(false), Holds { type_name: "text", ..Holds::default() }, false, "separator");
        check(list(true), Holds { list: true, ..Holds::default() }, false, "take the separator");
        check(Written { nothing: true, ..Written::default() }, Holds { needed: true, ..Holds::default() }, true, "required = true");
    }
}
