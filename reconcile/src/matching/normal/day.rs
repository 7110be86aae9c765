//! Days as people and programs write them.

use super::fold::fold;

/// Days that programs write when they know none.
const NONE: [&str; 7] = ["00000000", "00010101", "18991230", "19000101", "19700101", "20991231", "99991231"];

/// Names of months by their first letters, in several languages, folded.
#[rustfmt::skip]
const MONTHS: [&[&str]; 12] = [
    &["jan", "gen", "ene", "sty", "led"], &["feb", "fev", "fév", "lut", "uno", "hel"], &["mar", "mae", "mrt", "bre"], &["apr", "avr", "abr", "kwi", "dub"],
    &["may", "mai", "maj", "mag", "mei"], &["jun", "juin", "giu", "cze"], &["jul", "juil", "lug", "lip"], &["aug", "aou", "ago", "sie", "srp"],
    &["sep", "set", "wrz", "zar"], &["oct", "okt", "ott", "out", "paz"], &["nov", "lis"], &["dec", "dez", "dic", "des", "gru", "pro"],
];

/// A day as eight digits, year first. Day and month that stand the other way round are one of the comparison's levels, so the
/// order of an ambiguous date does not matter much: the day is read first. A date with a wrong digit stays as it is written.
pub(crate) fn day(text: &str) -> Option<String> {
    let folded = fold(text.trim());
    let parts: Vec<&str> = folded.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let digits = match parts.as_slice() {
        [one] if one.len() == 8 && one.bytes().all(|byte| byte.is_ascii_digit()) => (*one).to_owned(),
        [one, ..]
            if one.len() > 8 && one.get(..8).is_some_and(|start| start.bytes().all(|byte| byte.is_ascii_digit())) && one.contains('t') =>
        {
            one.get(..8)?.to_owned()
        }
        // `2026-11-22T10:00:00Z` gives `22t10` as its third part.
        [year, month, rest, ..] if is_year(year) => {
            let day: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("{year}{:0>2}{:0>2}", month_number(month)?, day)
        }
        [first, second, year] => {
            let year = four_digits(year)?;
            let (first, second) = (month_number(first)?, month_number(second)?);
            let named = |part: &str| part.chars().any(char::is_alphabetic);
            let (day, month) = if named(parts.first()?) || second > 12 { (second, first) } else { (first, second) };
            format!("{year}{month:0>2}{day:0>2}")
        }
        _ => return None,
    };
    let known = digits.len() == 8 && !NONE.contains(&digits.as_str()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    known.then_some(digits)
}

fn is_year(part: &str) -> bool {
    part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn four_digits(year: &str) -> Option<String> {
    match year.len() {
        4 if is_year(year) => Some(year.to_owned()),
        2 => year.parse::<u32>().ok().map(|short| if short <= 30 { format!("20{short:02}") } else { format!("19{short:02}") }),
        _ => None,
    }
}

/// The number of a day or month, or of a month's name.
fn month_number(part: &str) -> Option<u32> {
    let digits = part.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    match digits.parse::<u32>() {
        Ok(number) if number <= 99 => Some(number),
        Ok(_) => None,
        Err(_) => MONTHS.iter().zip(1..).find(|(names, _)| names.iter().any(|name| part.starts_with(name))).map(|(_, number)| number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_in_the_usual_ways() {
        for (text, expected) in [
            ("2026-11-22", Some("20261122")),
            ("20261122", Some("20261122")),
            ("2026-11-22T10:00:00Z", Some("20261122")),
            ("22.11.2026", Some("20261122")),
            ("11/22/2026", Some("20261122")),
            ("22. März 1981", Some("19810322")),
            ("Nov 22, 1975", Some("19751122")),
            ("3/4/81", Some("19810403")),
            ("19310175", Some("19310175")),
            ("1900-01-01", None),
            ("soon", None),
        ] {
            assert_eq!(day(text).as_deref(), expected, "{text}");
        }
    }
}
