//! How far two values of one field agree.

use super::distance::{edits, jaro_winkler};
use super::kind::{Kind, Level};
use super::normal;
use super::prepare::{Form, Words};
use super::words::{self, Rarity};

/// The level that two values of a kind reach, without a look at sibling fields. `rarity` tells how much a word tells.
pub(crate) fn level(kind: Kind, left: &Form, right: &Form, rarity: &Rarity<'_>) -> Level {
    match (left, right) {
        (Form::Words(left), Form::Words(right)) => match kind {
            Kind::Organisation | Kind::Text => words::text(&left.words, &right.words, rarity),
            Kind::Person => words::person(&left.words, &right.words),
            Kind::GivenName | Kind::Surname => name(left, right),
            _ => place(left, right),
        },
        (Form::Code(left), Form::Code(right)) => code(kind, left, right),
        (Form::Mail { .. }, Form::Mail { .. }) => mail(left, right),
        (Form::Day(left), Form::Day(right)) => day(left, right),
        _ => Level::Different,
    }
}

/// Whether a value stands in a sibling field: spelled alike there.
pub(crate) fn same_elsewhere(left: &Form, right: &Form) -> bool {
    let (left, right) = (left.text(), right.text());
    left == right || (left.len() >= 4 && right.len() >= 4 && edits(left, right, 1).is_some())
}

fn name(one: &Words, other: &Words) -> Level {
    let (left, right) = (one.text.as_str(), other.text.as_str());
    if left == right {
        return Level::Equal;
    }
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    if short.chars().count() == 1 {
        return if long.starts_with(short) { Level::Initial } else { Level::Different };
    }
    if long.len() >= 3 && (edits(left, right, 1).is_some() || one.compact() == other.compact()) {
        return Level::Close;
    }
    match jaro_winkler(left, right) {
        alike if alike >= 0.93 => Level::Close,
        alike if alike >= 0.84 => Level::Similar,
        _ if one.words.iter().any(|word| word.len() >= 3 && other.words.contains(word)) => Level::Similar,
        _ if one.sound == other.sound => Level::Sounds,
        _ => Level::Different,
    }
}

/// Streets and places.
fn place(left: &Words, right: &Words) -> Level {
    let worded = spelled(left, right);
    match (&left.number, &right.number) {
        (Some(here), Some(there)) if here == there => worded,
        (None, None) => worded,
        // The house next door is another one.
        (Some(_), Some(_)) => worded.max(Level::Part),
        _ => worded.max(Level::Close),
    }
}

fn spelled(left: &Words, right: &Words) -> Level {
    if left.text == right.text {
        return Level::Equal;
    }
    let (one, other) = (left.compact(), right.compact());
    let longest = one.len().max(other.len());
    if longest >= 4 && edits(one, other, if longest >= 10 { 2 } else { 1 }).is_some() {
        return Level::Close;
    }
    if jaro_winkler(&left.text, &right.text) >= 0.9 {
        return Level::Similar;
    }
    // Half of the words or more, the kind of street not counted.
    let telling = |word: &&String| word.len() >= 3 && !GENERIC.contains(&word.as_str());
    let same = |word: &String, other: &String| word == other || (word.len() >= 5 && edits(word, other, 1).is_some());
    let shared = left.words.iter().filter(telling).filter(|word| right.words.iter().filter(telling).any(|other| same(word, other))).count();
    let fewest = left.words.iter().filter(telling).count().min(right.words.iter().filter(telling).count());
    if shared > 0 && shared * 2 >= fewest { Level::Part } else { Level::Different }
}

/// Words that half of all streets have.
const GENERIC: [&str; 26] = [
    "street",
    "avenue",
    "road",
    "boulevard",
    "drive",
    "lane",
    "court",
    "crescent",
    "circuit",
    "close",
    "place",
    "square",
    "parade",
    "terrace",
    "highway",
    "way",
    "weg",
    "gasse",
    "allee",
    "rue",
    "via",
    "calle",
    "rua",
    "ulica",
    "north",
    "south",
];

fn code(kind: Kind, left: &str, right: &str) -> Level {
    match kind {
        Kind::Phone => phone(left, right),
        Kind::TaxId => identifier(normal::national_tax_id(left), normal::national_tax_id(right)),
        Kind::Website => website(left, right),
        Kind::HouseNumber => {
            let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
            match left == right {
                true => Level::Equal,
                false if digits(left) == digits(right) && !digits(left).is_empty() => Level::Close,
                false if left.len().max(right.len()) >= 2 && edits(left, right, 1).is_some() => Level::Close,
                false => Level::Different,
            }
        }
        Kind::Postcode => {
            let area = |text: &str| text.get(..text.len().saturating_sub(2).max(2)).map(ToOwned::to_owned);
            match left == right {
                true => Level::Equal,
                false if edits(left, right, 1).is_some() => Level::Close,
                false if area(left) == area(right) => Level::Part,
                false => Level::Different,
            }
        }
        Kind::Code => match left == right {
            true => Level::Equal,
            false if left.len().max(right.len()) >= 3 && edits(left, right, 1).is_some() => Level::Close,
            false => Level::Different,
        },
        _ => identifier(left, right),
    }
}

fn identifier(left: &str, right: &str) -> Level {
    match edits(left, right, 2) {
        Some(0) => Level::Equal,
        Some(1) => Level::Close,
        Some(_) if left.len().min(right.len()) >= 6 => Level::Similar,
        _ => Level::Different,
    }
}

fn phone(left: &str, right: &str) -> Level {
    let bare = |text: &str| text.trim_start_matches('+').trim_start_matches('0').to_owned();
    let (left, right) = (bare(left), bare(right));
    let (short, long) = if left.len() <= right.len() { (&left, &right) } else { (&right, &left) };
    // One without its country: the national number is the end of the whole.
    if short == long || (short.len() >= 7 && long.len() - short.len() <= 4 && long.ends_with(short.as_str())) {
        return Level::Equal;
    }
    let end = |text: &str, count: usize| text.get(text.len().saturating_sub(count)..).unwrap_or_default().to_owned();
    let nine = (end(short, 9), end(long, 9));
    if edits(&nine.0, &nine.1, 1).is_some() {
        return Level::Close;
    }
    let exchange = |text: &str| text.get(..text.len().saturating_sub(3)).map(|start| end(start, 6));
    if short.len() >= 7 && exchange(short) == exchange(long) { Level::Part } else { Level::Different }
}

fn website(left: &str, right: &str) -> Level {
    // `acme.de` and `shop.acme.com`: the label before the public ending.
    let label = |host: &str| -> Option<String> {
        let mut labels = host.rsplit('.').skip(1);
        let first = labels.next()?;
        let second = matches!(first, "co" | "com" | "org" | "net" | "ac" | "gov").then(|| labels.next()).flatten();
        Some(second.unwrap_or(first).to_owned()).filter(|label| label.len() >= 3)
    };
    match left == right {
        true => Level::Equal,
        false if label(left).is_some() && label(left) == label(right) => Level::Close,
        false => Level::Different,
    }
}

fn mail(left: &Form, right: &Form) -> Level {
    let (Form::Mail { local, domain, personal }, Form::Mail { local: other_local, domain: other_domain, personal: other_personal }) =
        (left, right)
    else {
        return Level::Different;
    };
    let both = *personal && *other_personal;
    let same_host = domain == other_domain;
    match (local == other_local, same_host) {
        (true, true) if both => Level::Equal,
        (true, false) if both && edits(domain, other_domain, 2).is_some() => Level::Close,
        (true, false) if both && local.len() >= 5 => Level::Initial,
        (false, true) if both && local.len() >= 4 && edits(local, other_local, 1).is_some() => Level::Close,
        (_, true) if !normal::is_shared(domain) => Level::Part,
        _ => Level::Different,
    }
}

fn day(left: &str, right: &str) -> Level {
    if left == right {
        return Level::Equal;
    }
    let part = |text: &str, from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    let split = |text: &str| (part(text, 0, 4), part(text, 4, 6), part(text, 6, 8));
    let ((year, month, day), (other_year, other_month, other_day)) = (split(left), split(right));
    if year == other_year && month == other_day && day == other_month {
        return Level::Swapped;
    }
    if edits(left, right, 1).is_some() {
        return Level::Close;
    }
    let same = usize::from(year == other_year) + usize::from(month == other_month) + usize::from(day == other_day);
    if same == 2 { Level::Part } else { Level::Different }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::prepare::Prepared;
    use crate::matching::rules::CompareField;

    fn check(kind: Kind, cases: &[(&str, &str, Level)]) {
        let field = [CompareField { name: "field".to_owned(), kind, columns: Default::default(), swaps_with: None }];
        for (left, right, expected) in cases {
            let (one, other) = (Prepared::from_texts(&field, [*left]), Prepared::from_texts(&field, [*right]));
            let (Some(one), Some(other)) = (one.form(0), other.form(0)) else { panic!("{left} | {right} says nothing") };
            assert_eq!(level(kind, one, other, &Rarity::even()), *expected, "{left} | {right}");
            assert_eq!(level(kind, other, one, &Rarity::even()), *expected, "{right} | {left}");
        }
    }

    #[test]
    fn names_agree_by_spelling_sound_and_initial() {
        check(
            Kind::Surname,
            &[
                ("Müller", "Mueller", Level::Equal),
                ("Green", "Greecn", Level::Close),
                ("De Vries", "Devries", Level::Close),
                ("M.", "Mary", Level::Initial),
                ("Johnston", "Johnsen", Level::Similar),
                ("Katherine", "Cathryn", Level::Sounds),
                ("Green", "White", Level::Different),
            ],
        );
    }

    #[test]
    fn numbers_agree_but_for_a_slip() {
        check(
            Kind::Date,
            &[
                ("1931-07-15", "15.07.1931", Level::Equal),
                ("1931-03-04", "1931-04-03", Level::Swapped),
                ("19310715", "19310175", Level::Close),
                ("19310715", "19990715", Level::Part),
                ("19310715", "19991009", Level::Different),
            ],
        );
        check(Kind::TaxId, &[("DE 123.456.788", "123456788", Level::Equal), ("DE123456788", "DE123456798", Level::Close)]);
        check(
            Kind::Phone,
            &[
                ("+49 30 1234567", "030 1234567", Level::Equal),
                ("+1 415 555 0100", "(415) 555-0101", Level::Close),
                ("310/246-1501", "310-246-1999", Level::Part),
                ("310/246-1501", "212-777-0000", Level::Different),
            ],
        );
        check(Kind::Postcode, &[("2302", "2032", Level::Close), ("10115", "10179", Level::Part), ("2032", "4811", Level::Different)]);
        check(Kind::HouseNumber, &[("12a", "12", Level::Close), ("7", "8", Level::Different)]);
    }

    #[test]
    fn addresses_agree_by_street_and_number() {
        check(
            Kind::Street,
            &[
                ("Hauptstr. 12", "Hauptstraße 12", Level::Equal),
                ("goldfinch circuit", "goldfinch cirxuit", Level::Close),
                ("Hauptstr. 12", "Hauptstraße 14", Level::Part),
                ("Hauptstr. 12", "Hauptstraße", Level::Close),
                ("Main Street", "Oak Street", Level::Different),
            ],
        );
        check(
            Kind::Email,
            &[
                ("dana.ruiz@acme.example", "Dana.Ruiz+x@acme.example", Level::Equal),
                ("dana.ruiz@acme.example", "danaruiz@acme.example", Level::Close),
                ("dana.ruiz@acme.example", "dana.ruiz@other.test.example", Level::Initial),
                ("info@acme.example", "info@acme.example", Level::Part),
                ("dana@gmail.com", "bob@gmail.com", Level::Different),
            ],
        );
        check(Kind::Website, &[("https://www.acme.de/a", "shop.acme.com", Level::Close), ("acme.co.uk", "acme.de", Level::Close)]);
    }
}
