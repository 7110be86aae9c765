//! Names of organisations: the words that tell one from another, without the legal form that its country adds.

use super::fold::{fold, squeeze};

/// Legal forms, folded, without dots and blanks. Those of one country stand together; a form may have several spellings.
#[rustfmt::skip]
const LEGAL_FORMS: &[&str] = &[
    // Germany, Austria, Switzerland
    "gesellschaftmitbeschrankterhaftung", "aktiengesellschaft", "kommanditgesellschaft", "gmbhcokg", "gmbhundcokg", "gmbhandcokg",
    "gmbhcokgaa", "gmbhcoohg", "agcokg", "secokg", "sekg", "gmbh", "ggmbh", "gesmbh", "mbh", "ohg", "kgaa", "kg", "cokg", "ag", "ug",
    "ughaftungsbeschrankt", "haftungsbeschrankt", "ev", "eg", "ek", "ekfr", "ekfm", "gbr", "partg", "partgmbb", "og", "eu", "sarlgmbh", "gmbhsarl", "sagl",
    "agsa", "se", "kdor", "aor", "stiftung", "einzelunternehmen",
    // United Kingdom, Ireland, United States and others in English
    "incorporated", "corporation", "limited", "company", "inc", "corp", "llc", "lllp", "llp", "lp", "pc", "pllc", "ltd", "plc", "cic", "clg",
    "dac", "uc", "pty", "ptyltd", "pvt", "pvtltd", "privatelimited", "pte", "pteltd", "co", "coltd", "coinc", "holdings", "cyf", "teo", "teoranta", "cpt",
    "limitedliabilitycompany", "publiclimitedcompany",
    // France, Belgium, Luxembourg
    "sarl", "sas", "sasu", "sa", "eurl", "snc", "scop", "sci", "scp", "scs", "sca", "selarl", "gie", "ei", "eirl", "societeanonyme",
    "societearesponsabilitelimitee", "bv", "bvba", "sprl", "cvba", "scrl", "asbl", "vzw", "nv", "nvsa", "sanv", "commv", "sarls",
    // Italy
    "srl", "srls", "spa", "sapa", "sas", "ss", "scarl", "scrl", "coop", "onlus", "societaperazioni", "societaaresponsabilitalimitata",
    // Spain, Portugal, Brazil, Latin America
    "sl", "slu", "sau", "sll", "slp", "sal", "cb", "scoop", "sociedadlimitada", "sociedadanonima", "lda", "ltda", "unipessoallda", "unipessoal",
    "sgps", "eireli", "me", "epp", "mei", "sociedadelimitada", "sadecv", "sderldecv", "sapidecv", "cv",
    // Netherlands
    "vof", "cvof", "maatschap", "eenmanszaak", "stichting", "beslotenvennootschap", "naamlozevennootschap",
    // Poland, Czechia, Slovakia, Hungary, the south-east
    "spzoo", "spzook", "spzoospk", "spzoospolkakomandytowa", "spolkazograniczonaodpowiedzialnoscia", "spolkaakcyjna", "spk", "spj", "spp", "ska", "sp", "zoo", "sro", "spolsro", "as",
    "vos", "ks", "zs", "kft", "zrt", "nyrt", "bt", "doo", "dd", "ad", "ood", "eood",
    // Sweden, Norway, Denmark, Finland, Iceland, the Baltics
    "ab", "abpubl", "aktiebolag", "aktiebolaget", "hb", "kb", "ekonomiskforening", "asa", "ans", "da", "enk", "nuf", "sa", "aksjeselskap", "aps", "ivs", "is", "amba",
    "aktieselskab", "anpartsselskab", "oy", "oyj", "oyab", "abp", "ky", "tmi", "osakeyhtio", "ehf", "hf", "ou", "uab", "sia",
    // Japan, East Asia, Russia, Turkey
    "kk", "gk", "yk", "kabushikikaisha", "kabushikigaisha", "godokaisha", "yugenkaisha", "kaisha", "bhd", "sdnbhd", "tbk", "ooo", "oao", "zao", "pao", "ao", "anonimsirketi",
    "limitedsirketi", "ltdsti",
];

/// Forms that some countries put before the name.
const LEADING: &[&str] = &[
    "the",
    "firma",
    "fa",
    "ooo",
    "oao",
    "zao",
    "pao",
    "pt",
    "kk",
    "kabushiki",
    "aktiebolaget",
    "stichting",
    "messrs",
    "ets",
    "societe anonyme",
];

/// Japanese and Chinese forms, written without a blank before or after the name.
const EAST_ASIAN: [&str; 9] = ["株式会社", "(株)", "㈱", "有限会社", "(有)", "合同会社", "股份有限公司", "有限责任公司", "有限公司"];

/// Words that join two others, in several languages; they tell nothing.
const JOINING: [&str; 12] = ["and", "und", "et", "y", "e", "en", "och", "og", "i", "oraz", "ja", "a"];

/// The words of an organisation's name: lower case, without accents, punctuation and legal form.
pub(crate) fn organisation(text: &str) -> Vec<String> {
    let mut folded = fold(text);
    if !folded.is_ascii() {
        for form in EAST_ASIAN {
            if folded.contains(form) && folded.len() > form.len() {
                folded = folded.replace(form, " ");
            }
        }
    }
    // A name in brackets is the place or the former name: `Acme (Deutschland) GmbH`; the brackets go, the words stay.
    let folded = folded.replace(['&', '+'], " and ");
    let mut words: Vec<String> = folded
        .split(|letter: char| !letter.is_alphanumeric() && letter != '.' && letter != '\'')
        .flat_map(dotted)
        .filter(|word| !word.is_empty())
        .collect();
    let whole = words.clone();
    while words.len() > 1 && words.first().is_some_and(|word| LEADING.contains(&word.as_str())) {
        words.remove(0);
    }
    while words.len() > 1 {
        let tail = |count: usize| words.len().checked_sub(count).filter(|left| *left > 0).and_then(|left| words.get(left..));
        let legal = (1..=6).rev().find(|count| tail(*count).is_some_and(|tail| is_legal(&tail.concat()) || joined(tail)));
        match legal {
            Some(count) => words.truncate(words.len() - count),
            None if words.last().is_some_and(|word| word == "and" || word == "und") => words.truncate(words.len() - 1),
            None => break,
        }
    }
    if words.is_empty() {
        words = whole;
    }
    let several = words.len() > 2;
    words.into_iter().filter(|word| !(several && JOINING.contains(&word.as_str()))).map(|word| squeeze(&word)).collect()
}

/// `S.A.` is one word, `acme.com` too, `St.Gallen` two.
fn dotted(word: &str) -> Vec<String> {
    let plain = |part: &str| part.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
    let parts: Vec<&str> = word.split('.').filter(|part| !part.is_empty()).collect();
    if parts.len() > 1 && parts.iter().any(|part| part.chars().count() > 2) && !is_legal(&plain(word)) {
        return parts.into_iter().map(plain).collect();
    }
    vec![plain(word)]
}

fn is_legal(word: &str) -> bool {
    LEGAL_FORMS.contains(&word)
}

/// `GmbH & Co. KG`: a form with a joining word inside.
fn joined(tail: &[String]) -> bool {
    tail.iter().any(|word| JOINING.contains(&word.as_str()))
        && is_legal(&tail.iter().filter(|word| !JOINING.contains(&word.as_str())).map(String::as_str).collect::<String>())
}

/// A company or person name for comparing as one text.
pub fn name(text: &str) -> Option<String> {
    let joined = organisation(text).join(" ");
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_case_accents_punctuation_and_legal_form() {
        for (text, expected) in [
            ("Müller & Söhne GmbH & Co. KG", "muller sohne"),
            ("Mueller und Soehne", "muller sohne"),
            ("ACME, Inc.", "acme"),
            ("The Acme Company Ltd.", "acme"),
            ("Société Générale S.A.", "societe generale"),
            ("Dupont et Fils SARL", "dupont fils"),
            ("Orlen Sp. z o.o.", "orlen"),
            ("Škoda Auto a.s.", "skoda auto"),
            ("Volvo Aktiebolag (publ)", "volvo aktiebolag publ"),
            ("Nokia Oyj", "nokia"),
            ("Mærsk A/S", "marsk"),
            ("Equinor ASA", "equinor"),
            ("Garcia y Lopez, S.L.", "garcia lopez"),
            ("Construções Silva Lda.", "construcos silva"),
            ("Padaria Central LTDA - ME", "padaria central"),
            ("Rossi S.p.A.", "rossi"),
            ("Jansen B.V.", "jansen"),
            ("Janssens BVBA", "janssens"),
            ("Murphy Teoranta", "murphy"),
            ("トヨタ自動車株式会社", "トヨタ自動車"),
            ("Toyota Motor K.K.", "toyota motor"),
            ("Meier Ges.m.b.H.", "meier"),
            ("KG", "kg"),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(name("  "), None);
    }
}
