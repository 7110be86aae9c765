//! Phone numbers: digits, with the country's code where it is known.

/// Ends where the extension begins: it leads to somebody else's desk.
const EXTENSION: [&str; 8] = ["ext", "x", "#", "durchwahl", "poste", "interno", "anexo", ";"];

/// A phone number as its digits with the country's code, `+49301234567`; without `+` or `00` it is read in `country`
/// (a calling code such as `49`). None for fewer than six digits and for made-up ones.
pub fn phone(text: &str, country: &str) -> Option<String> {
    let digits = phone_digits(text)?;
    if let Some(known) = digits.strip_prefix('+') {
        return Some(format!("+{known}"));
    }
    let national = match country {
        // Italy keeps its zero; in North America the 1 is the country's code.
        "39" => digits.as_str(),
        "1" => digits.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(&digits),
        _ => digits.strip_prefix('0').unwrap_or(&digits),
    };
    Some(format!("+{country}{national}"))
}

/// The digits of a phone number, with a `+` before them when they begin with a country's code.
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let end = EXTENSION.iter().filter_map(|mark| lower.find(mark)).min().unwrap_or(lower.len());
    let text = lower.get(..end)?.replace("(0)", "");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 6 || digits.len() > 17 || made_up(&digits) {
        return None;
    }
    if text.trim_start().trim_start_matches("tel").trim_start_matches([':', '.', ' ', '(']).starts_with('+') {
        return Some(format!("+{digits}"));
    }
    match digits.strip_prefix("00").or_else(|| digits.strip_prefix("011").filter(|rest| rest.len() > 10)) {
        Some(rest) => Some(format!("+{rest}")),
        None => Some(digits),
    }
}

/// One digit repeated, digits in keyboard order, the numbers of films.
fn made_up(digits: &str) -> bool {
    let bare = digits.trim_start_matches('0');
    let first = bare.chars().next();
    bare.is_empty()
        || bare.chars().all(|digit| Some(digit) == first)
        || "12345678901234567890".contains(bare)
        || "09876543210".contains(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_get_their_country() {
        for (text, expected) in [
            ("030 / 123 45 67", Some("+49301234567")),
            ("+49 (0)30 1234567 ext. 12", Some("+49301234567")),
            ("0049301234567", Some("+49301234567")),
            ("Tel: +41 44 668 18 00", Some("+41446681800")),
            ("000000", None),
            ("0123456789", None),
            ("123", None),
        ] {
            assert_eq!(phone(text, "49").as_deref(), expected, "{text}");
        }
        assert_eq!(phone("(415) 555-0100", "1"), phone("1-415-555-0100", "1"));
    }
}
