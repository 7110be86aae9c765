//! Names of people: the words of the name, without titles and what is written around it.

use super::fold::{fold, squeeze};

/// Forms of address, degrees, generations, in several languages, folded and without dots.
#[rustfmt::skip]
const TITLES: &[&str] = &[
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "rev", "hon", "capt", "esq", "jr", "sr", "ii", "iii", "phd", "md", "mba", "bsc", "msc", "cpa",
    "herr", "hr", "herrn", "frau", "fr", "fraulein", "dipling", "diplkfm", "dipl", "ing", "mag", "dring", "drmed", "med", "jur", "phil", "habil", "drphil", "drjur", "rernat", "ra", "stb", "bakk", "di",
    "m", "mme", "mlle", "monsieur", "madame", "mademoiselle", "me", "maitre",
    "sig", "sigra", "signor", "signora", "dott", "dottssa", "avv", "geom", "rag", "arch",
    "senor", "senora", "sra", "srta", "don", "dona", "d", "lic", "snr", "eng", "exmo",
    "dhr", "mevr", "mw", "drs", "mr", "ir", "heer", "mevrouw",
    "pan", "pani", "mgr", "inz", "hab", "judr", "mudr", "phdr", "bc", "csc",
    "fru", "froken", "herra", "rouva",
    "san", "sama",
];

/// The words of a person's name, `Last, First` turned round, titles left out.
pub(crate) fn person(text: &str) -> Vec<String> {
    let folded = fold(text);
    let turned = match folded.split_once(',') {
        Some((last, first)) => format!("{first} {last}"),
        None => folded,
    };
    let words: Vec<String> = turned
        .split(|letter: char| !letter.is_alphanumeric() && letter != '.' && letter != '\'')
        // `J.R.` is two initials, `o'neill` one word.
        .flat_map(|word| word.split('.').map(|part| part.replace('\'', "")).collect::<Vec<_>>())
        .filter(|word| !word.is_empty())
        .collect();
    let kept: Vec<String> = words.iter().filter(|word| !TITLES.contains(&word.as_str())).map(|word| squeeze(word)).collect();
    // A single word is a name even if it is spelt like a title, and so is an initial.
    if kept.is_empty() { words.iter().map(|word| squeeze(word)).collect() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_go_and_the_order_is_as_spoken() {
        for (text, expected) in [
            ("Dr. Hans-Peter Müller", "hans peter muller"),
            ("MÜLLER, Hans Peter", "hans peter muller"),
            ("Prof. Dr. med. Anna Weiß", "anna weiss"),
            ("Sig.ra Maria Rossi", "maria rossi"),
            ("J.R. O'Neill Jr.", "j r oneill"),
            ("Mme Hélène Dupont", "helene dupont"),
            ("Don", "don"),
        ] {
            assert_eq!(person(text).join(" "), expected, "{text}");
        }
    }
}
