//! Values that people type because a form wants something. They are the same everywhere and say nothing.

use super::fold::fold;

/// Compared without blanks and punctuation.
const NOTHING: [&str; 63] = [
    "abc",
    "abcdef",
    "absent",
    "asdf",
    "asdfasdf",
    "asdfgh",
    "blank",
    "brak",
    "delete",
    "deleted",
    "desconhecido",
    "desconocido",
    "donotuse",
    "dummy",
    "empty",
    "entfallt",
    "fake",
    "foo",
    "foobar",
    "ikke",
    "inconnu",
    "inconnue",
    "ingen",
    "ka",
    "kein",
    "keine",
    "keineangabe",
    "keiner",
    "leer",
    "loremipsum",
    "missing",
    "nenhum",
    "nichtbekannt",
    "nil",
    "ninguna",
    "ninguno",
    "noaplica",
    "nodata",
    "noname",
    "none",
    "notapplicable",
    "notavailable",
    "notgiven",
    "notknown",
    "notprovided",
    "null",
    "nvt",
    "okand",
    "onbekend",
    "placeholder",
    "pleaseselect",
    "qwerty",
    "sansobjet",
    "sconosciuto",
    "tba",
    "tbc",
    "tbd",
    "test",
    "tester",
    "testing",
    "unbekannt",
    "undefined",
    "unknown",
];

/// Digits in keyboard order.
const RUNS: [&str; 3] = ["0123456789", "1234567890", "9876543210"];

/// Whether a text says nothing about who a record is: blank, `n/a`, `unknown` in several languages, one character repeated,
/// digits in keyboard order.
pub fn says_nothing(text: &str) -> bool {
    let folded = fold(text);
    let plain: String = folded.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let Some(first) = plain.chars().next() else { return true };
    let count = plain.chars().count();
    let repeated = count >= 3 && plain.chars().all(|letter| letter == first);
    let run = count >= 5 && RUNS.iter().any(|run| run.contains(&plain));
    // `na` alone may be a name; with punctuation it never is.
    let not_available = plain == "na" && folded.trim().chars().any(|letter| !letter.is_alphanumeric());
    repeated || run || not_available || NOTHING.binary_search(&plain.as_str()).is_ok() || numbered(&plain)
}

/// `test1`, `testtest2`.
fn numbered(plain: &str) -> bool {
    let stem = plain.trim_end_matches(|letter: char| letter.is_ascii_digit());
    matches!(stem, "test" | "testtest" | "dummy") && !stem.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forms_are_filled_with_says_nothing() {
        for text in ["", " - ", "n/a", "N.A.", "Unknown", "unbekannt", "k.A.", "123456789", "0000000", "XXX", "test2", "Sconosciuto", "?"] {
            assert!(says_nothing(text), "{text}");
        }
        for text in ["Na", "Li", "1234", "Testa", "Nobel", "11"] {
            assert!(!says_nothing(text), "{text}");
        }
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(NOTHING.is_sorted());
    }
}
