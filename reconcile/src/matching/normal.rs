//! Normal forms: the same for spellings of the same thing, none for values that say nothing about who somebody is.

/// Local parts that belong to a role or a group, not to one person, in several languages. Compared without separators.
const ROLES: [&str; 62] = [
    "abuse",
    "account",
    "accounting",
    "accounts",
    "admin",
    "administrator",
    "ap",
    "ar",
    "billing",
    "bookings",
    "buchhaltung",
    "commercial",
    "compras",
    "comptabilite",
    "contact",
    "contabilidad",
    "contabilita",
    "contacto",
    "customerservice",
    "einkauf",
    "email",
    "empfang",
    "enquiries",
    "enquiry",
    "facturacion",
    "facturation",
    "faktura",
    "finance",
    "hello",
    "help",
    "helpdesk",
    "hostmaster",
    "hr",
    "info",
    "information",
    "inquiries",
    "invoice",
    "invoices",
    "it",
    "kontakt",
    "kundenservice",
    "mail",
    "marketing",
    "noreply",
    "donotreply",
    "office",
    "orders",
    "post",
    "postmaster",
    "purchasing",
    "rechnung",
    "reception",
    "sales",
    "security",
    "service",
    "support",
    "team",
    "ufficio",
    "ventas",
    "vertrieb",
    "verkauf",
    "webmaster",
];

/// Local parts and domains that people type to get past a form. Domains under reserved names are never real.
const JUNK_LOCAL: [&str; 18] = [
    "a",
    "aa",
    "aaa",
    "abc",
    "asdf",
    "dummy",
    "fake",
    "foo",
    "na",
    "nobody",
    "nomail",
    "none",
    "noemail",
    "notprovided",
    "test",
    "testing",
    "unknown",
    "xxx",
];
const JUNK_DOMAIN: [&str; 12] = [
    "email.com",
    "example.com",
    "example.net",
    "example.org",
    "fake.com",
    "invalid",
    "localhost",
    "none.com",
    "noemail.com",
    "nomail.com",
    "test.com",
    "test.de",
];

/// Why an address does not tell who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// One person's, as far as its form tells.
    Personal,
    /// A role's or a group's: `info@`, `buchhaltung@`.
    Role,
    /// Made up, or not an address.
    Junk,
}

/// What kind of e-mail address a text is.
pub fn address(text: &str) -> Address {
    let Some((local, domain)) = split_address(text) else { return Address::Junk };
    let plain: String = local.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let letters = plain.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if JUNK_LOCAL.contains(&plain.as_str())
        || JUNK_DOMAIN.contains(&domain.as_str())
        || domain.ends_with(".invalid")
        || domain.ends_with(".test")
    {
        return Address::Junk;
    }
    if ROLES.contains(&letters) { Address::Role } else { Address::Personal }
}

/// A personal e-mail address in its normal form: trimmed, lower case, without a `+tag`, Gmail's dots and second name folded.
/// None for shared, role and made-up addresses.
pub fn email(text: &str) -> Option<String> {
    if address(text) != Address::Personal {
        return None;
    }
    let (local, domain) = split_address(text)?;
    let local = local.split('+').next().unwrap_or_default().to_owned();
    if local.is_empty() {
        return None;
    }
    if domain == "gmail.com" || domain == "googlemail.com" {
        return Some(format!("{}@gmail.com", local.replace('.', "")));
    }
    Some(format!("{local}@{domain}"))
}

fn split_address(text: &str) -> Option<(String, String)> {
    let text = text.trim().trim_start_matches("mailto:").to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let domain = domain.trim_end_matches('.');
    let sound = !local.is_empty()
        && !local.contains(|letter: char| letter.is_whitespace() || letter == '@')
        && !domain.contains(char::is_whitespace)
        && domain.split('.').all(|label| !label.is_empty())
        && domain.contains('.');
    sound.then(|| (local.to_owned(), domain.to_owned()))
}

/// A Salesforce id in its 18-character form. None when it is not one, or when its checksum is wrong.
///
/// Each five characters give one of the last three: bit i is set when character i is an upper-case letter.
pub fn salesforce_id(text: &str) -> Option<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let text = text.trim();
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (id, given) = match text.len() {
        15 => (text, None),
        18 => (text.get(..15)?, text.get(15..)),
        _ => return None,
    };
    let mut full = id.to_owned();
    for chunk in id.as_bytes().chunks(5) {
        let bits = chunk.iter().enumerate().fold(0_usize, |bits, (at, byte)| bits | usize::from(byte.is_ascii_uppercase()) << at);
        full.push(char::from(*LETTERS.get(bits)?));
    }
    match given {
        // A system that folded the id's case cannot have it back; the checksum tells.
        Some(suffix) if !full.get(15..)?.eq_ignore_ascii_case(suffix) => None,
        _ => Some(full),
    }
}

/// A tax id: letters and digits, upper case. None for fewer than five characters, or for one character repeated.
pub fn tax_id(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    let digits = plain.chars().filter(char::is_ascii_digit).count();
    let first = plain.chars().next()?;
    let repeated = plain.chars().filter(char::is_ascii_digit).all(|letter| letter == '0') || plain.chars().all(|letter| letter == first);
    (plain.chars().count() >= 5 && digits >= 3 && !repeated && plain != "123456789").then_some(plain)
}

/// Legal forms that a company name may end with, without dots and blanks, longest spelling first where one holds another.
const LEGAL_FORMS: [&str; 58] = [
    "gesellschaftmitbeschrankterhaftung",
    "aktiengesellschaft",
    "incorporated",
    "corporation",
    "gmbhcokg",
    "gmbhcokgaa",
    "limited",
    "company",
    "gmbh",
    "mbh",
    "ohg",
    "kgaa",
    "kg",
    "ag",
    "ug",
    "ev",
    "eg",
    "se",
    "inc",
    "corp",
    "llc",
    "llp",
    "lp",
    "ltd",
    "plc",
    "pty",
    "co",
    "sarl",
    "sas",
    "sasu",
    "sa",
    "eurl",
    "snc",
    "scop",
    "srl",
    "spa",
    "sapa",
    "bv",
    "nv",
    "bvba",
    "vof",
    "ab",
    "as",
    "asa",
    "aps",
    "oy",
    "oyj",
    "sl",
    "slu",
    "sau",
    "ltda",
    "spzoo",
    "sp",
    "zoo",
    "sro",
    "kft",
    "zrt",
    "kk",
];

/// A company or person name for comparing: lower case, without accents, punctuation and legal form, blanks single.
pub fn name(text: &str) -> Option<String> {
    let folded = fold(text).replace('&', " and ");
    let mut words: Vec<String> = folded
        .split(|letter: char| !letter.is_alphanumeric() && letter != '.' && letter != '\'')
        .map(|word| word.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect();
    if words.first().is_some_and(|word| word == "the") && words.len() > 1 {
        words.remove(0);
    }
    while words.len() > 1 {
        let tail = |count: usize| {
            words.len().checked_sub(count).filter(|left| *left > 0).and_then(|left| words.get(left..)).map(|tail| tail.concat())
        };
        let legal = (1..=4).rev().find(|count| tail(*count).is_some_and(|tail| LEGAL_FORMS.contains(&tail.as_str())));
        match legal {
            Some(count) => words.truncate(words.len() - count),
            None if words.last().is_some_and(|word| word == "and") => words.truncate(words.len() - 1),
            None => break,
        }
    }
    let joined = words.join(" ");
    (!joined.is_empty()).then_some(joined)
}

/// Lower case without the accents of European languages: `Ä` is `a`, `ß` is `ss`, `Ø` is `o`.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
            'ç' | 'ć' | 'č' | 'ĉ' => folded.push('c'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => folded.push('e'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => folded.push('i'),
            'ñ' | 'ń' | 'ň' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => folded.push('o'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'š' | 'ś' | 'ş' | 'ș' => folded.push('s'),
            'ž' | 'ź' | 'ż' => folded.push('z'),
            'ł' => folded.push('l'),
            'đ' | 'ð' | 'ď' => folded.push('d'),
            'ţ' | 'ț' | 'ť' => folded.push('t'),
            'ř' => folded.push('r'),
            'ğ' => folded.push('g'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    folded
}

/// A phone number as its digits with the country's code, `+49301234567`; without `+` or `00` it is read in `country`
/// (a calling code such as `49`). None for fewer than six digits and for one digit repeated.
pub fn phone(text: &str, country: &str) -> Option<String> {
    // `x12` and `ext. 12` lead to somebody else's desk.
    let lower = text.to_lowercase();
    let end = ["ext", "x", "#", "durchwahl", "poste"].iter().filter_map(|mark| lower.find(mark)).min().unwrap_or(lower.len());
    let text = lower.get(..end)?.replace("(0)", "");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let first = digits.chars().next()?;
    if digits.len() < 6 || digits.len() > 15 || digits.chars().all(|digit| digit == first) {
        return None;
    }
    if text.trim_start().starts_with('+') {
        return Some(format!("+{digits}"));
    }
    if let Some(rest) = digits.strip_prefix("00") {
        return Some(format!("+{rest}"));
    }
    let national = match country {
        // Italy keeps its zero; in North America the 1 is the country's code.
        "39" => digits.as_str(),
        "1" => digits.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(&digits),
        _ => digits.strip_prefix('0').unwrap_or(&digits),
    };
    Some(format!("+{country}{national}"))
}

/// The host that a web site or e-mail address belongs to, without `www.`; none for hosts that everybody uses.
pub fn domain(text: &str) -> Option<String> {
    const SHARED: [&str; 16] = [
        "gmail.com",
        "googlemail.com",
        "yahoo.com",
        "hotmail.com",
        "outlook.com",
        "live.com",
        "icloud.com",
        "aol.com",
        "gmx.de",
        "gmx.net",
        "web.de",
        "t-online.de",
        "orange.fr",
        "free.fr",
        "libero.it",
        "proton.me",
    ];
    let text = text.trim().to_lowercase();
    let host = text.rsplit_once('@').map_or(text.as_str(), |(_, domain)| domain);
    let host = host.split_once("://").map_or(host, |(_, rest)| rest);
    let host = host.split(['/', ':', '?', '#']).next()?.trim_start_matches("www.").trim_end_matches('.');
    let sound = host.contains('.') && !host.contains(char::is_whitespace) && !SHARED.contains(&host) && !JUNK_DOMAIN.contains(&host);
    sound.then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(normal: impl Fn(&str) -> Option<String>, cases: &[(&str, Option<&str>)]) {
        for (input, expected) in cases {
            assert_eq!(normal(input).as_deref(), *expected, "{input:?}");
        }
    }

    #[test]
    fn fifteen_and_eighteen_characters_are_one_id() {
        check(
            salesforce_id,
            &[
                ("001A0000006Vm9u", Some("001A0000006Vm9uIAC")),
                (" 001A0000006Vm9uIAC ", Some("001A0000006Vm9uIAC")),
                ("001A0000006Vm9uIAD", None),
                ("001a0000006vm9uIAC", None),
                ("0010000000", None),
            ],
        );
    }

    #[test]
    fn role_and_made_up_addresses_never_match() {
        check(
            email,
            &[
                (" Dana.Ruiz+crm@Acme.Example ", Some("dana.ruiz@acme.example")),
                ("d.ana@googlemail.com", Some("dana@gmail.com")),
                ("info@acme.example", None),
                ("Buchhaltung2@acme.example", None),
                ("no-reply@acme.example", None),
                ("test@acme.example", None),
                ("dana@example.com", None),
                ("dana", None),
                ("dana@acme", None),
            ],
        );
        assert_eq!((address("sales@acme.example"), address("n/a")), (Address::Role, Address::Junk));
    }

    #[test]
    fn names_lose_case_accents_punctuation_and_legal_form() {
        check(
            name,
            &[
                ("Müller & Söhne GmbH & Co. KG", Some("muller and sohne")),
                ("ACME, Inc.", Some("acme")),
                ("The Acme Company Ltd.", Some("acme")),
                ("Société Générale S.A.", Some("societe generale")),
                ("Orlen Sp. z o.o.", Some("orlen")),
                ("KG", Some("kg")),
                ("  ", None),
            ],
        );
    }

    #[test]
    fn phones_get_their_country() {
        check(
            |text| phone(text, "49"),
            &[
                ("030 / 123 45 67", Some("+49301234567")),
                ("+49 (0)30 1234567 ext. 12", Some("+49301234567")),
                ("0049301234567", Some("+49301234567")),
                ("000000", None),
                ("123", None),
            ],
        );
        assert_eq!(phone("(415) 555-0100", "1"), phone("1-415-555-0100", "1"));
    }

    #[test]
    fn tax_ids_and_domains_are_plain() {
        check(tax_id, &[("DE 123.456.788", Some("DE123456788")), ("de123456788", Some("DE123456788")), ("000000000", None), ("n/a", None)]);
        check(domain, &[("https://www.Acme.example/about", Some("acme.example")), ("dana@gmail.com", None), ("acme", None)]);
    }
}
