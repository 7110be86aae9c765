//! Companies and people, made up.

use super::Dice;

const FIRST_WORDS: &[&str] = &[
    "Northwind",
    "Alder",
    "Kestrel",
    "Ostrava",
    "Brightwater",
    "Meridian",
    "Harbour",
    "Lindqvist",
    "Copper",
    "Silver Birch",
    "Granite",
    "Orchard",
    "Bluefin",
    "Cedar",
    "Summit",
    "Fjord",
    "Tundra",
    "Juniper",
    "Quarry",
    "Lighthouse",
    "Marlow",
    "Halvorsen",
    "Quiroga",
    "Novák",
    "Müller",
    "Dubois",
    "Rossi",
    "Jansen",
    "Kowalski",
    "Silva",
    "O'Connor",
    "Bergström",
    "Petrov",
    "Almeida",
    "Ferrari",
    "Schneider",
];
const SECOND_WORDS: &[&str] = &[
    "Traders",
    "Steelworks",
    "Foods",
    "Clinics",
    "Avionics",
    "Textiles",
    "Logistics",
    "Instruments",
    "Timber",
    "Optics",
    "Ceramics",
    "Software",
    "Energy",
    "Marine",
    "Packaging",
    "Robotics",
    "Paper",
    "Glass",
    "Machinery",
    "Chemicals",
    "Seeds",
    "Tools",
    "Printing",
    "Furniture",
];
/// Legal form, country, city, telephone code, tax prefix.
const PLACES: &[(&str, &str, &str, &str, &str)] = &[
    ("GmbH", "Germany", "Hamburg", "+49 40", "DE"),
    ("GmbH", "Germany", "München", "+49 89", "DE"),
    ("a.s.", "Czechia", "Ostrava", "+420 59", "CZ"),
    ("s.r.o.", "Czechia", "Brno", "+420 54", "CZ"),
    ("AB", "Sweden", "Göteborg", "+46 31", "SE"),
    ("AS", "Norway", "Bergen", "+47 55", "NO"),
    ("Ltd", "United Kingdom", "Leeds", "+44 113", "GB"),
    ("SARL", "France", "Lyon", "+33 4", "FR"),
    ("S.p.A.", "Italy", "Torino", "+39 011", "IT"),
    ("B.V.", "Netherlands", "Utrecht", "+31 30", "NL"),
    ("Sp. z o.o.", "Poland", "Gdańsk", "+48 58", "PL"),
    ("Lda", "Portugal", "Porto", "+351 22", "PT"),
    ("Inc.", "United States", "Portland", "+1 503", "US"),
];
const STREETS: &[&str] = &[
    "Hafenstraße",
    "Mill Lane",
    "Rue des Ateliers",
    "Via Roma",
    "Storgatan",
    "Kanaalweg",
    "Harbour Road",
    "Nádražní",
    "Station Street",
    "Rua do Porto",
];
const GIVEN_NAMES: &[&str] = &[
    "Ingrid", "Tomás", "Mira", "Dana", "Jonas", "Elena", "Piotr", "Anna", "Luca", "Sofie", "Henrik", "Claire", "Amir", "Grace", "Mateo",
    "Zuzana",
];
const FAMILY_NAMES: &[&str] = &[
    "Halvorsen",
    "Quiroga",
    "Kovač",
    "Ruiz",
    "Berg",
    "Rossi",
    "Nowak",
    "Svoboda",
    "Meyer",
    "Dubois",
    "Hansen",
    "Silva",
    "Walsh",
    "Costa",
    "Lindgren",
    "Fischer",
];
const TITLES: &[&str] =
    &["Purchasing Manager", "Head of Finance", "Operations Lead", "Plant Manager", "Accountant", "Managing Director", "Buyer"];

/// One company, as both systems would describe it.
#[derive(Debug, Clone)]
pub struct Company {
    /// Counts from 0.
    pub index: usize,
    /// Number in the ERP.
    pub number: String,
    /// Name with legal form.
    pub name: String,
    /// VAT id.
    pub tax_id: String,
    /// Telephone.
    pub phone: String,
    /// Web site.
    pub website: String,
    /// Street and house number.
    pub street: String,
    /// City.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// Country.
    pub country: String,
    /// Payment terms in days: 15, 30, 45 or 60.
    pub terms_days: u32,
    /// Credit limit in whole units.
    pub credit_limit: u32,
    /// People there.
    pub people: Vec<Person>,
}

/// One contact.
#[derive(Debug, Clone)]
pub struct Person {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// E-mail, unique.
    pub email: String,
    /// Telephone.
    pub phone: String,
    /// Job title.
    pub title: String,
}

impl Company {
    /// Known to the ERP.
    pub fn in_erp(&self) -> bool {
        self.index % 10 != 3
    }

    /// Known to Salesforce.
    pub fn in_crm(&self) -> bool {
        self.index % 10 != 7
    }

    /// Salesforce carries the ERP's number.
    pub fn number_known(&self) -> bool {
        self.index.is_multiple_of(2)
    }

    /// The phone in Salesforce was kept by somebody else.
    pub fn phone_differs(&self) -> bool {
        self.index % 23 == 5
    }
}

/// So many companies, always the same for a seed.
pub fn companies(count: usize, seed: u64) -> impl Iterator<Item = Company> {
    (0..count).map(move |index| {
        let mut dice = Dice::new(seed ^ (index as u64).wrapping_mul(0x0001_0000_01b3));
        let (form, country, city, code, tax) = *dice.pick(PLACES);
        let first = dice.pick(FIRST_WORDS);
        let second = dice.pick(SECOND_WORDS);
        // A number keeps names apart once every pair of words is used.
        let name = if index < 400 { format!("{first} {second} {form}") } else { format!("{first} {second} {index} {form}") };
        let domain = format!("{}-{index}.example", first.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase());
        let people = (0..2 + dice.below(3))
            .map(|n| {
                let (given, family) = (*dice.pick(GIVEN_NAMES), *dice.pick(FAMILY_NAMES));
                Person {
                    first_name: given.to_owned(),
                    last_name: family.to_owned(),
                    email: format!("{}.{n}@{domain}", ascii(given)),
                    phone: format!("{code} {}", 100_000 + dice.below(899_999)),
                    title: (*dice.pick(TITLES)).to_owned(),
                }
            })
            .collect();
        Company {
            index,
            number: format!("K{:07}", index + 1),
            name,
            tax_id: format!("{tax}{:09}", 100_000_000 + index),
            phone: format!("{code} {}", 1_000_000 + dice.below(8_999_999)),
            website: format!("https://www.{domain}"),
            street: format!("{} {}", dice.pick(STREETS), 1 + dice.below(180)),
            city: city.to_owned(),
            postal_code: format!("{:05}", 10_000 + dice.below(89_999)),
            country: country.to_owned(),
            terms_days: *dice.pick(&[15, 30, 30, 30, 45, 60]),
            credit_limit: *dice.pick(&[5_000, 10_000, 20_000, 25_000, 40_000, 80_000, 150_000]),
            people,
        }
    })
}

fn ascii(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'á' => 'a',
            'č' => 'c',
            c => c.to_ascii_lowercase(),
        })
        .filter(char::is_ascii)
        .collect()
}
