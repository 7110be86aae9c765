//! Customers that nobody has: companies of several countries, the same ones every time, with what real files have of missing
//! values, shared values and different spellings.

/// Values in the order of the compared fields.
const FIELDS: usize = 7;

/// Their columns.
pub(super) const COLUMNS: [&str; FIELDS] = ["name", "street", "postcode", "city", "phone", "email", "tax_id"];

/// One customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Customer([String; FIELDS]);

/// Numbers that look drawn by chance and never change.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        let at = self.below(words.len());
        words.get(at).copied().unwrap_or_default()
    }

    fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    /// A name that is spoken like one: three or four syllables of many.
    fn name(&mut self) -> String {
        const HEADS: [&str; 24] = [
            "b", "br", "d", "dr", "f", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "r", "s", "sch", "st", "t", "tr", "v", "w", "z",
        ];
        const TAILS: [&str; 20] =
            ["a", "ar", "el", "en", "er", "i", "in", "o", "on", "u", "ur", "ei", "au", "ang", "old", "ert", "ick", "ing", "oss", "ann"];
        let mut name = String::new();
        for _ in 0..2 + self.below(2) {
            name.push_str(self.of(&HEADS));
            name.push_str(self.of(&TAILS));
        }
        name
    }
}

const TRADES: [&str; 24] = [
    "Maschinenbau",
    "Logistik",
    "Software",
    "Consulting",
    "Energy",
    "Foods",
    "Textil",
    "Bau",
    "Elektro",
    "Systems",
    "Trading",
    "Pharma",
    "Automotive",
    "Druck",
    "Holz",
    "Metall",
    "Design",
    "Services",
    "Immobilien",
    "Medical",
    "Optik",
    "Transport",
    "Chemie",
    "Papier",
];
const FORMS: [&str; 12] = ["GmbH", "AG", "GmbH & Co. KG", "Ltd", "Inc.", "SARL", "S.p.A.", "B.V.", "Sp. z o.o.", "AB", "Oy", "S.L."];
const STREETS: [&str; 16] = [
    "Hauptstraße",
    "Bahnhofstraße",
    "Industriestraße",
    "Gartenstraße",
    "Schulstraße",
    "Am Markt",
    "Kirchweg",
    "Ringstraße",
    "High Street",
    "Station Road",
    "Main Street",
    "rue de la Paix",
    "via Roma",
    "calle Mayor",
    "Storgatan",
    "ul. Polna",
];

impl Customer {
    /// The customer with a number.
    pub(super) fn new(at: usize) -> Self {
        let mut dice = Dice(at as u64 ^ 0x5eed_0000_c0de);
        let family = dice.name();
        let mut shown: String = family.clone();
        if let Some(first) = shown.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        // Some firms are one of a group that shares name, host and switchboard.
        let group = dice.percent(5).then(|| dice.below(2_000));
        if let Some(group) = group {
            shown = format!("Group{group} {shown}");
        }
        let name = format!("{shown} {} {}", dice.of(&TRADES), dice.of(&FORMS));
        let area = dice.below(3_000);
        let city = format!("{}stadt", Dice(area as u64).name());
        let street = if dice.percent(50) {
            format!("{} {}", dice.of(&STREETS), 1 + dice.below(120))
        } else {
            format!("{}straße {}", Dice(dice.below(20_000) as u64).name(), 1 + dice.below(120))
        };
        let host = group.map_or_else(|| format!("{family}{}.example.com", dice.below(1_000)), |group| format!("group{group}.example.org"));
        let phone = match group {
            Some(group) => format!("+49 30 {group:04}00"),
            None => format!("+49 {} {}", 200 + dice.below(700), dice.digits(7)),
        };
        let mail = match dice.below(4) {
            0 => format!("info@{host}"),
            1 => format!("{}.{family}@gmail.com", dice.name()),
            _ => format!("{}@{host}", dice.name()),
        };
        let mut texts = [name, street, format!("{:05}", 10_000 + area * 29), city, phone, mail, format!("DE{}", dice.digits(9))];
        for (field, missing) in [(1, 3), (2, 3), (3, 3), (4, 15), (5, 20), (6, 35)] {
            if dice.percent(missing) {
                texts[field].clear();
            }
        }
        Self(texts)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The customer as another system has it: two to four differences.
pub(super) fn spoilt(customer: &Customer, turn: usize) -> Customer {
    let mut dice = Dice(turn as u64 ^ 0x000d_0b1e);
    let Customer(mut texts) = customer.clone();
    for _ in 0..2 + dice.below(3) {
        let field = dice.below(FIELDS);
        match (field, dice.below(4)) {
            // The name is never missing; its legal form may be.
            (0, 0) => texts[0] = texts[0].rsplit_once(' ').map_or(texts[0].clone(), |(rest, _)| rest.to_owned()),
            (0, 1) => texts[0] = texts[0].to_uppercase(),
            (1, 0) => texts[1] = texts[1].replace("straße", "str."),
            (4, 0) => texts[4] = texts[4].replace("+49 ", "0").replace(' ', "/"),
            (0, _) | (_, 1 | 2) => texts[field] = slip(&texts[field], &mut dice),
            (_, _) => texts[field].clear(),
        }
    }
    Customer(texts)
}

/// A typing error: two letters swapped, one left out, or one doubled.
fn slip(text: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() < 4 {
        return text.to_owned();
    }
    let at = 1 + dice.below(letters.len() - 2);
    match dice.below(3) {
        0 => letters.swap(at, at - 1),
        1 => {
            letters.remove(at);
        }
        _ => letters.insert(at, letters[at]),
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_the_same_every_time() {
        let customer = Customer::new(41);
        assert_eq!(customer, Customer::new(41));
        assert_ne!(customer, Customer::new(42));
        assert_ne!(spoilt(&customer, 1), customer);
    }
}
