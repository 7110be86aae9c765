//! What a compared field holds, and how far two of its values can agree.

use std::fmt;

/// What a compared field holds. It decides the normal form, the levels of agreement and the blocks a value gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Name of a company or other organisation.
    Organisation,
    /// Whole name of a person, in any order.
    Person,
    /// A person's given name.
    GivenName,
    /// A person's surname.
    Surname,
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
    /// Tax or VAT id.
    TaxId,
    /// Web site; only its host counts.
    Website,
    /// Street, with or without house number.
    Street,
    /// House number alone.
    HouseNumber,
    /// City, suburb, district.
    Locality,
    /// Postcode.
    Postcode,
    /// A code from a short list: state, country, language, branch.
    Code,
    /// A day; a birth date most of all.
    Date,
    /// A number that stands for the record elsewhere: customer number, social security number.
    Identifier,
    /// Any other text.
    Text,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Organisation,
        Self::Person,
        Self::GivenName,
        Self::Surname,
        Self::Email,
        Self::Phone,
        Self::TaxId,
        Self::Website,
        Self::Street,
        Self::HouseNumber,
        Self::Locality,
        Self::Postcode,
        Self::Code,
        Self::Date,
        Self::Identifier,
        Self::Text,
    ];

    /// Its word in mapping and weights files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Person => "person",
            Self::GivenName => "given_name",
            Self::Surname => "surname",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::TaxId => "tax_id",
            Self::Website => "website",
            Self::Street => "street",
            Self::HouseNumber => "house_number",
            Self::Locality => "locality",
            Self::Postcode => "postcode",
            Self::Code => "code",
            Self::Date => "date",
            Self::Identifier => "identifier",
            Self::Text => "text",
        }
    }

    /// The kind with a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The levels its values can reach, best first; the last is always [`Level::Different`].
    pub const fn levels(self) -> &'static [Level] {
        use Level::{Close, Different, Equal, Initial, Part, Reordered, Similar, Sounds, Swapped};
        match self {
            Self::Organisation | Self::Text => &[Equal, Reordered, Close, Similar, Part, Initial, Different],
            Self::Person => &[Equal, Reordered, Close, Initial, Similar, Part, Different],
            Self::GivenName | Self::Surname => &[Equal, Swapped, Close, Initial, Similar, Sounds, Different],
            Self::Email => &[Equal, Close, Initial, Part, Different],
            Self::Phone => &[Equal, Close, Part, Different],
            Self::TaxId | Self::Identifier => &[Equal, Close, Similar, Different],
            Self::Website => &[Equal, Close, Different],
            Self::Street | Self::Locality => &[Equal, Swapped, Close, Similar, Part, Different],
            Self::HouseNumber => &[Equal, Close, Different],
            Self::Postcode => &[Equal, Close, Part, Different],
            Self::Code => &[Equal, Close, Different],
            Self::Date => &[Equal, Swapped, Close, Part, Different],
        }
    }

    /// Whether a value belongs to one record by its nature; when many have it, it is a placeholder.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::TaxId | Self::Identifier | Self::Email | Self::Phone | Self::Website)
    }

    /// Whether a value of one kind may stand in a field of another by mistake.
    pub const fn may_swap(self, other: Self) -> bool {
        self.is_worded() && other.is_worded()
    }

    /// Whether its values are words, in any number.
    pub(crate) const fn is_worded(self) -> bool {
        matches!(self, Self::Organisation | Self::Person | Self::GivenName | Self::Surname | Self::Street | Self::Locality | Self::Text)
    }

    /// What a level means for a value of this kind, in words that follow the field's name.
    pub const fn words(self, level: Level) -> &'static str {
        match (self, level) {
            (_, Level::Equal) => "equal",
            (Self::Date, Level::Swapped) => "equal with day and month swapped",
            (_, Level::Swapped) => "in the other field",
            (_, Level::Reordered) => "equal in another order",
            (Self::Email, Level::Close) => "one letter off",
            (Self::Date | Self::Postcode | Self::HouseNumber | Self::Phone, Level::Close) => "one digit off",
            (Self::TaxId | Self::Identifier, Level::Close) => "one character off",
            (Self::TaxId | Self::Identifier, Level::Similar) => "two characters off",
            (_, Level::Close) => "nearly equal",
            (Self::Email, Level::Initial) => "same name elsewhere",
            (Self::Organisation | Self::Text, Level::Initial) => "an abbreviation of the other",
            (_, Level::Initial) => "an initial of the other",
            (Self::Email, Level::Part) => "same domain",
            (Self::Phone, Level::Part) => "same exchange",
            (Self::Postcode, Level::Part) => "same area",
            (Self::Date, Level::Part) => "two of three parts equal",
            (_, Level::Part) => "shares a part",
            (_, Level::Similar) => "similar",
            (_, Level::Sounds) => "sounds alike",
            (_, Level::Different) => "differs",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far two values of a field agree. Each kind has some of these ([`Kind::levels`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The same after normalisation.
    Equal,
    /// The same words in another order, or with other blanks.
    Reordered,
    /// The value of a sibling field; of a date, day and month the other way round.
    Swapped,
    /// A typing error apart.
    Close,
    /// An initial, an abbreviation.
    Initial,
    /// Alike.
    Similar,
    /// Some of it is the same.
    Part,
    /// Written differently, spoken alike.
    Sounds,
    /// None of these.
    Different,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::Equal, Self::Reordered, Self::Swapped, Self::Close, Self::Initial, Self::Similar, Self::Part, Self::Sounds, Self::Different];

    /// Its word in weights files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Reordered => "reordered",
            Self::Swapped => "swapped",
            Self::Close => "close",
            Self::Initial => "initial",
            Self::Similar => "similar",
            Self::Part => "part",
            Self::Sounds => "sounds",
            Self::Different => "different",
        }
    }

    /// The level with a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}
