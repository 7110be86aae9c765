//! E-mail addresses and hosts: whose they are, and whether they tell anything.

use super::fold::fold;

/// Local parts that belong to a role or a group, not to one person, in several languages. Compared without separators.
const ROLES: [&str; 130] = [
    "abuse",
    "account",
    "accounting",
    "accounts",
    "admin",
    "administracion",
    "administracja",
    "administratie",
    "administration",
    "administrator",
    "amministrazione",
    "ap",
    "ar",
    "assistance",
    "atendimento",
    "backoffice",
    "billing",
    "biuro",
    "booking",
    "bookings",
    "buchhaltung",
    "buero",
    "buro",
    "careers",
    "comercial",
    "commercial",
    "commerciale",
    "compras",
    "compta",
    "comptabilite",
    "comptes",
    "contabilidad",
    "contabilita",
    "contact",
    "contacto",
    "contactus",
    "contatti",
    "crediteuren",
    "customer",
    "customers",
    "customerservice",
    "debiteuren",
    "debtors",
    "donotreply",
    "einkauf",
    "ekonomi",
    "email",
    "empfang",
    "enquiries",
    "enquiry",
    "export",
    "facturacion",
    "facturation",
    "facturen",
    "factuur",
    "faktura",
    "faktury",
    "fatturazione",
    "fatture",
    "finance",
    "financeiro",
    "finanzen",
    "firmapost",
    "hallo",
    "hello",
    "help",
    "helpdesk",
    "hola",
    "hostmaster",
    "hr",
    "info",
    "information",
    "inquiries",
    "invoice",
    "invoices",
    "it",
    "kontakt",
    "kontor",
    "ksiegowosc",
    "kundendienst",
    "kundenservice",
    "laskut",
    "laskutus",
    "legal",
    "logistics",
    "mail",
    "marketing",
    "myynti",
    "news",
    "newsletter",
    "noreply",
    "office",
    "order",
    "orders",
    "ordini",
    "payable",
    "payables",
    "payments",
    "personal",
    "post",
    "postmaster",
    "press",
    "presse",
    "privacy",
    "procurement",
    "purchasing",
    "query",
    "receivables",
    "reception",
    "rechnung",
    "reservations",
    "sales",
    "security",
    "segreteria",
    "sekretariat",
    "service",
    "shop",
    "sklep",
    "support",
    "team",
    "ufficio",
    "vendas",
    "ventas",
    "verkauf",
    "verkoop",
    "vertrieb",
    "verwaltung",
    "web",
    "webmaster",
    "zentrale",
];

/// Local parts and domains that people type to get past a form. Domains under reserved names are never real.
const JUNK_LOCAL: [&str; 20] = [
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
    "noemail",
    "nomail",
    "none",
    "notprovided",
    "null",
    "qwerty",
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
    "noemail.com",
    "nomail.com",
    "none.com",
    "test.com",
    "test.de",
];

/// Hosts whose mailboxes and pages belong to anybody.
const SHARED_HOST: [&str; 87] = [
    "163.com",
    "alice.it",
    "aol.com",
    "aol.de",
    "arcor.de",
    "att.net",
    "bluewin.ch",
    "bol.com.br",
    "btinternet.com",
    "comcast.net",
    "docomo.ne.jp",
    "eircom.net",
    "facebook.com",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hispeed.ch",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.es",
    "hotmail.fr",
    "hotmail.it",
    "icloud.com",
    "instagram.com",
    "interia.pl",
    "kpnmail.nl",
    "laposte.net",
    "libero.it",
    "linkedin.com",
    "live.co.uk",
    "live.com",
    "live.de",
    "live.fr",
    "live.nl",
    "mac.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "o2.pl",
    "onet.pl",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "outlook.es",
    "outlook.fr",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "sapo.pt",
    "seznam.cz",
    "sfr.fr",
    "sky.com",
    "skynet.be",
    "t-online.de",
    "telenet.be",
    "telia.com",
    "terra.com.br",
    "tin.it",
    "twitter.com",
    "uol.com.br",
    "verizon.net",
    "virgilio.it",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "x.com",
    "yahoo.co.jp",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.com.br",
    "yahoo.de",
    "yahoo.es",
    "yahoo.fr",
    "yahoo.it",
    "yandex.ru",
    "ymail.com",
    "youtube.com",
    "ziggo.nl",
    "zoho.com",
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
    if JUNK_LOCAL.binary_search(&plain.as_str()).is_ok()
        || JUNK_DOMAIN.binary_search(&domain.as_str()).is_ok()
        || domain.ends_with(".invalid")
        || domain.ends_with(".test")
    {
        return Address::Junk;
    }
    if ROLES.binary_search(&letters).is_ok() { Address::Role } else { Address::Personal }
}

/// A personal e-mail address in its normal form: trimmed, lower case, without a `+tag`, Gmail's dots and second name folded.
/// None for shared, role and made-up addresses.
pub fn email(text: &str) -> Option<String> {
    mail(text).filter(|(_, _, personal)| *personal).map(|(local, domain, _)| format!("{local}@{domain}"))
}

/// Local part, domain, and whether it is one person's. None for made-up addresses.
pub(crate) fn mail(text: &str) -> Option<(String, String, bool)> {
    let personal = match address(text) {
        Address::Personal => true,
        Address::Role => false,
        Address::Junk => return None,
    };
    let (local, domain) = split_address(text)?;
    let local = local.split('+').next().filter(|local| !local.is_empty())?.to_owned();
    if domain == "gmail.com" || domain == "googlemail.com" {
        return Some((local.replace('.', ""), "gmail.com".to_owned(), personal));
    }
    Some((local, domain, personal))
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

/// The host that a web site or e-mail address belongs to, without `www.`; none for hosts that everybody uses.
pub fn domain(text: &str) -> Option<String> {
    let text = fold(text.trim());
    let host = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    let host = host.split(['/', ':', '?', '#']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, domain)| domain);
    let host = host.trim_start_matches("www.").trim_end_matches('.');
    let sound = host.contains('.') && !host.contains(char::is_whitespace) && !is_shared(host) && JUNK_DOMAIN.binary_search(&host).is_err();
    sound.then(|| host.to_owned())
}

/// Whether anybody may have a mailbox or page there.
pub(crate) fn is_shared(host: &str) -> bool {
    SHARED_HOST.binary_search(&host).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_made_up_addresses_never_match() {
        for (text, expected) in [
            (" Dana.Ruiz+crm@Acme.Example ", Some("dana.ruiz@acme.example")),
            ("d.ana@googlemail.com", Some("dana@gmail.com")),
            ("info@acme.example", None),
            ("Buchhaltung2@acme.example", None),
            ("no-reply@acme.example", None),
            ("ventas@acme.example", None),
            ("test@acme.example", None),
            ("dana@example.com", None),
            ("dana", None),
            ("dana@acme", None),
        ] {
            assert_eq!(email(text).as_deref(), expected, "{text}");
        }
        assert_eq!((address("sales@acme.example"), address("n/a")), (Address::Role, Address::Junk));
    }

    #[test]
    fn hosts_that_anybody_uses_are_nobodys() {
        for (text, expected) in [
            ("https://www.Acme.example/about", Some("acme.example")),
            ("http://user@acme.example:8080", Some("acme.example")),
            ("dana@gmail.com", None),
            ("www.facebook.com/acme", None),
            ("acme", None),
        ] {
            assert_eq!(domain(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_lists_are_in_order() {
        assert!(ROLES.is_sorted() && JUNK_LOCAL.is_sorted() && JUNK_DOMAIN.is_sorted() && SHARED_HOST.is_sorted());
    }
}
