//! Letters without what people leave out or write differently: case, accents, scripts.

/// Lower case without the accents of European languages: `Ä` is `a`, `ß` is `ss`, `Ø` is `o`. Full-width letters are
/// ordinary ones; Greek and Cyrillic letters are written in Latin ones.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        folded.push_str(text);
        folded.make_ascii_lowercase();
        return folded;
    }
    for letter in text.chars().map(narrow).flat_map(char::to_lowercase) {
        match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' => folded.push('a'),
            'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => folded.push('c'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'ĕ' => folded.push('e'),
            'ģ' | 'ğ' | 'ĝ' | 'ġ' => folded.push('g'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' | 'ĩ' => folded.push('i'),
            'ķ' => folded.push('k'),
            'ł' | 'ļ' | 'ľ' | 'ĺ' => folded.push('l'),
            'ñ' | 'ń' | 'ň' | 'ņ' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => folded.push('o'),
            'ŕ' | 'ř' | 'ŗ' => folded.push('r'),
            'š' | 'ś' | 'ş' | 'ș' => folded.push('s'),
            'ţ' | 'ț' | 'ť' => folded.push('t'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' | 'ŭ' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ž' | 'ź' | 'ż' => folded.push('z'),
            'đ' | 'ð' | 'ď' => folded.push('d'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            '’' | '‘' | 'ʼ' | '`' | '´' => folded.push('\''),
            '\u{300}'..='\u{36f}' => {}
            'α'..='ω' | 'ά'..='ώ' | 'а'..='я' | 'ѐ'..='џ' | 'ґ' => folded.push_str(latin(letter)),
            other => folded.push(other),
        }
    }
    folded
}

/// Also without what a language writes with two letters where others write one: `mueller` and `müller`, `aarhus` and `århus`.
pub(crate) fn squeeze(folded: &str) -> String {
    let mut out = String::with_capacity(folded.len());
    let mut letters = folded.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(letter);
        match (letter, letters.peek()) {
            ('a' | 'o' | 'u', Some('e')) | ('a', Some('a')) => {
                letters.next();
            }
            _ => {}
        }
    }
    out
}

/// Full-width letters of East Asian keyboards as ordinary ones.
fn narrow(letter: char) -> char {
    match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter),
        '\u{3000}' | '\u{a0}' | '\u{202f}' => ' ',
        other => other,
    }
}

fn latin(letter: char) -> &'static str {
    match letter {
        'α' | 'ά' | 'а' => "a",
        'β' | 'в' | 'ϐ' => "v",
        'б' => "b",
        'γ' | 'г' | 'ґ' => "g",
        'δ' | 'д' => "d",
        'ε' | 'έ' | 'е' | 'э' | 'є' => "e",
        'ё' => "yo",
        'ж' => "zh",
        'ζ' | 'з' => "z",
        'η' | 'ή' | 'ι' | 'ί' | 'и' | 'і' | 'ϊ' => "i",
        'й' => "i",
        'ї' => "yi",
        'θ' => "th",
        'κ' | 'к' => "k",
        'λ' | 'л' => "l",
        'μ' | 'м' => "m",
        'ν' | 'н' => "n",
        'ξ' => "x",
        'ο' | 'ό' | 'ω' | 'ώ' | 'о' => "o",
        'π' | 'п' => "p",
        'ρ' | 'р' => "r",
        'σ' | 'ς' | 'с' => "s",
        'τ' | 'т' => "t",
        'υ' | 'ύ' | 'ϋ' | 'ы' => "y",
        'у' => "u",
        'φ' | 'ф' => "f",
        'χ' | 'х' => "ch",
        'ц' => "ts",
        'ψ' => "ps",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ю' => "yu",
        'я' => "ya",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_widths_and_scripts_fold() {
        for (text, expected) in [
            ("Łódź", "lodz"),
            ("Straße", "strasse"),
            ("ＡＢＣ　商事", "abc 商事"),
            ("Газпром", "gazprom"),
            ("Αθήνα", "athina"),
            ("Mu\u{308}ller", "muller"),
        ] {
            assert_eq!(fold(text), expected);
        }
        assert_eq!(squeeze(&fold("Mueller")), squeeze(&fold("Müller")));
        assert_eq!(squeeze(&fold("Aarhus")), squeeze(&fold("Århus")));
        assert_eq!(squeeze(&fold("Søren Bjørn")), squeeze(&fold("Soeren Bjoern")));
    }
}
