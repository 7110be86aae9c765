//! Addresses: streets with their house number apart, places, postcodes.

use super::fold::{fold, squeeze};

/// Words of streets and their usual abbreviations, in several languages: the long form stands for all.
#[rustfmt::skip]
const STREET_WORDS: &[(&str, &[&str])] = &[
    ("street", &["st", "str", "strt", "straat", "strasse"]),
    ("avenue", &["ave", "av", "aven", "avda", "avenida", "avenue"]),
    ("road", &["rd"]),
    ("boulevard", &["blvd", "blv", "boul", "bd", "bld", "bvd", "bulevar", "boulevart"]),
    ("drive", &["dr", "drv"]),
    ("lane", &["ln"]),
    ("court", &["ct", "crt"]),
    ("crescent", &["cres", "cr", "crs"]),
    ("circuit", &["cct", "circ"]),
    ("close", &["cl"]),
    ("place", &["pl", "plz", "platz", "plaza", "plein", "plads", "plass", "place", "praca", "piazza", "pza", "plac"]),
    ("square", &["sq"]),
    ("parade", &["pde"]),
    ("terrace", &["tce", "terr"]),
    ("highway", &["hwy"]),
    ("parkway", &["pkwy", "pky"]),
    ("expressway", &["expwy", "expy"]),
    ("freeway", &["fwy"]),
    ("route", &["rte", "rt"]),
    ("mount", &["mt"]),
    ("north", &["n"]),
    ("south", &["s"]),
    ("east", &["e"]),
    ("west", &["w"]),
    ("northeast", &["ne"]),
    ("northwest", &["nw"]),
    ("southeast", &["se"]),
    ("southwest", &["sw"]),
    ("rue", &["r"]),
    ("chemin", &["ch", "che"]),
    ("impasse", &["imp"]),
    ("faubourg", &["fbg", "fg"]),
    ("via", &["v"]),
    ("viale", &["vle"]),
    ("corso", &["cso"]),
    ("calle", &["c", "cl"]),
    ("carretera", &["ctra", "crta"]),
    ("rua", &[]),
    ("ulica", &["ul", "ulice"]),
    ("aleja", &["al"]),
    ("namesti", &["nam"]),
    ("gatan", &["gata", "g"]),
    ("vag", &["vagen"]),
    ("vej", &["vei", "veien", "vejen"]),
    ("katu", &["k"]),
    ("weg", &["wg"]),
    ("allee", &[]),
    ("first", &["1st"]), ("second", &["2nd"]), ("third", &["3rd"]), ("fourth", &["4th"]), ("fifth", &["5th"]),
    ("sixth", &["6th"]), ("seventh", &["7th"]), ("eighth", &["8th"]), ("ninth", &["9th"]), ("tenth", &["10th"]),
];

/// Ends of German and northern street names that are also abbreviated: `Hauptstr.`, `Hauptstraße`, `Storgatan`.
const STREET_ENDS: [(&str, &str); 8] = [
    ("strasse", "street"),
    ("straat", "street"),
    ("str", "street"),
    ("platz", "place"),
    ("plein", "place"),
    ("gasse", "gasse"),
    ("gatan", "gatan"),
    ("vagen", "vag"),
];

/// Words before the number of a flat, floor, box.
const UNITS: [&str; 22] = [
    "apt",
    "apartment",
    "suite",
    "ste",
    "unit",
    "flat",
    "floor",
    "fl",
    "room",
    "rm",
    "level",
    "shop",
    "box",
    "bte",
    "top",
    "stiege",
    "etage",
    "og",
    "piso",
    "interno",
    "int",
    "lgh",
];

/// The words of a street and its house number, if it has one.
pub(crate) fn street(text: &str) -> (Vec<String>, Option<String>) {
    let folded = fold(text);
    let mut number: Option<String> = None;
    let mut words: Vec<String> = Vec::new();
    let mut after_unit = false;
    for raw in folded.split(|letter: char| !letter.is_alphanumeric() && letter != '\'' && letter != '-') {
        for word in raw.split('-').filter(|word| !word.is_empty()) {
            let word = word.replace('\'', "");
            if is_number(&word) && number.is_none() && !after_unit {
                number = Some(word.trim_start_matches('0').to_owned()).filter(|number| !number.is_empty());
                continue;
            }
            after_unit = UNITS.contains(&word.as_str());
            match STREET_ENDS.iter().find(|(end, _)| word.len() > end.len() + 2 && word.ends_with(end)) {
                Some((end, whole)) => {
                    words.push(squeeze(word.get(..word.len() - end.len()).unwrap_or_default()));
                    words.push((*whole).to_owned());
                }
                None => words.push(long_form(&word)),
            }
        }
    }
    (words, number)
}

fn long_form(word: &str) -> String {
    STREET_WORDS
        .iter()
        .find(|(long, short)| *long == word || short.contains(&word))
        .map_or_else(|| squeeze(word), |(long, _)| (*long).to_owned())
}

/// `12`, `12a`, but not `12th`.
fn is_number(word: &str) -> bool {
    let letters = word.trim_start_matches(|letter: char| letter.is_ascii_digit());
    letters.len() < word.len() && letters.chars().count() <= 1
}

/// A house number: letters and digits.
pub(crate) fn house_number(text: &str) -> Option<String> {
    let plain: String = fold(text).chars().filter(|letter| letter.is_alphanumeric()).collect();
    let plain = plain.trim_start_matches('0');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// The words of a city, suburb or district.
pub(crate) fn locality(text: &str) -> Vec<String> {
    let folded = fold(text);
    folded
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| word.replace('\'', ""))
        .filter(|word| !word.is_empty())
        .map(|word| match word.as_str() {
            "st" | "sankt" | "saint" | "ste" | "sainte" | "san" | "santa" | "sao" => "st".to_owned(),
            "mt" | "mount" => "mt".to_owned(),
            "n" => "north".to_owned(),
            "s" => "south".to_owned(),
            "e" => "east".to_owned(),
            "w" => "west".to_owned(),
            _ => squeeze(&word),
        })
        .collect()
}

/// A postcode: letters and digits without the country's prefix; of American ones the first five digits.
pub(crate) fn postcode(text: &str) -> Option<String> {
    let folded = fold(text.trim());
    let rest = folded
        .split_once('-')
        .filter(|(country, rest)| {
            matches!(country.trim(), "a" | "b" | "ch" | "cz" | "d" | "de" | "dk" | "f" | "fin" | "i" | "l" | "n" | "nl" | "pl" | "s" | "se")
                && !rest.is_empty()
        })
        .map_or(folded.as_str(), |(_, rest)| rest);
    let us = rest.split_once('-').filter(|(zip, plus)| zip.len() == 5 && plus.len() == 4 && zip.bytes().all(|byte| byte.is_ascii_digit()));
    let rest = us.map_or(rest, |(zip, _)| zip);
    let plain: String = rest.chars().filter(|letter| letter.is_alphanumeric()).collect();
    (plain.chars().count() >= 3).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streets_are_one_in_all_their_spellings() {
        for (one, other) in [
            ("Hauptstr. 12a", "12a Hauptstraße"),
            ("435 S. La Cienega Blv.", "435 South La Cienega Boulevard"),
            ("Karl-Marx-Straße 5", "Karl Marx Strasse 5"),
            ("12, rue de la Paix", "12 r. de la Paix"),
            ("Avda. de la Paz 3", "Avenida de la Paz 3"),
            ("Storgatan 007", "Storgatan 7"),
            ("12 W. 5th St.", "12 West Fifth Street"),
        ] {
            assert_eq!(street(one), street(other), "{one} | {other}");
        }
        assert_eq!(street("12 Main St, Apt 7").1.as_deref(), Some("12"));
    }

    #[test]
    fn postcodes_lose_country_and_punctuation() {
        for (text, expected) in
            [("D-10115", "10115"), ("94110-1234", "94110"), ("SW1A 1AA", "sw1a1aa"), ("1012 AB", "1012ab"), ("00-950", "00950")]
        {
            assert_eq!(postcode(text).as_deref(), Some(expected));
        }
    }
}
