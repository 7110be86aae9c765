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

/// Letters of the longest of them, and digits of the longest run.
const LONGEST: usize = 13;

/// Digits in keyboard order.
const RUNS: [&str; 3] = ["0123456789", "1234567890", "9876543210"];

/// Whether a text says nothing about who a record is: blank, `n/a`, `unknown` in several languages, one character repeated,
/// digits in keyboard order.
pub fn says_nothing(text: &str) -> bool {
    if is_long(text) {
        return false;
    }
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

/// More letters than any of these values has, of more than one kind: almost every address and many names, seen without folding.
fn is_long(text: &str) -> bool {
    let mut letters = text.bytes().filter(u8::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase());
    let Some(first) = letters.next().filter(|first| text.is_ascii() && !matches!(first, b't' | b'd')) else { return false };
    let (count, differ) = letters.fold((1, false), |(count, differ), letter| (count + 1, differ || letter != first));
    count > LONGEST && differ
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
    fn the_list_is_in_order_and_no_longer_than_said() {
        assert!(NOTHING.is_sorted());
        assert!(NOTHING.iter().chain(&RUNS).all(|text| text.len() <= LONGEST));
        for text in ["not applicable", "AAAAAAAAAAAAAAAAAA", "test test 1234567890", "dummy12345678901234", "dummy 0123456789 0123"] {
            assert!(says_nothing(text), "{text}");
        }
        assert!(!says_nothing("Bahnhofstrasse 12"));
    }
}
