//! Weights to begin with, for kinds whose own records have not been looked at yet.
//!
//! They are cautious: agreement is worth a little less, and disagreement costs a little more, than in most files of
//! customers. `concord matching estimate` replaces them.

use super::kind::{Kind, Level};
use super::weights::Rate;

/// The built-in rate of a level.
pub(crate) const fn rate(kind: Kind, level: Level) -> Rate {
    let (m, u) = match (kind, level) {
        (Kind::Organisation, Level::Equal) => (0.6, 0.000_1),
        (Kind::Organisation, Level::Reordered) => (0.04, 0.000_02),
        (Kind::Organisation, Level::Close) => (0.12, 0.000_1),
        (Kind::Organisation, Level::Similar) => (0.1, 0.000_8),
        (Kind::Organisation, Level::Part) => (0.08, 0.01),
        (Kind::Organisation, Level::Initial) => (0.02, 0.000_5),
        (Kind::Organisation, _) => (0.04, 0.99),
        (Kind::Person, Level::Equal) => (0.65, 0.000_1),
        (Kind::Person, Level::Reordered) => (0.05, 0.000_02),
        (Kind::Person, Level::Close) => (0.14, 0.000_1),
        (Kind::Person, Level::Initial) => (0.07, 0.000_4),
        (Kind::Person, Level::Similar) => (0.02, 0.000_6),
        (Kind::Person, Level::Part) => (0.05, 0.02),
        (Kind::Person, _) => (0.02, 0.98),
        (Kind::GivenName | Kind::Surname, Level::Equal) => (0.8, 0.004),
        (Kind::GivenName | Kind::Surname, Level::Swapped) => (0.02, 0.000_5),
        (Kind::GivenName | Kind::Surname, Level::Close) => (0.09, 0.002),
        (Kind::GivenName | Kind::Surname, Level::Initial) => (0.03, 0.01),
        (Kind::GivenName | Kind::Surname, Level::Similar) => (0.02, 0.01),
        (Kind::GivenName | Kind::Surname, Level::Sounds) => (0.01, 0.003),
        (Kind::GivenName | Kind::Surname, _) => (0.03, 0.97),
        (Kind::Email, Level::Equal) => (0.6, 0.000_002),
        (Kind::Email, Level::Close) => (0.05, 0.000_002),
        (Kind::Email, Level::Initial) => (0.05, 0.000_05),
        (Kind::Email, Level::Part) => (0.15, 0.000_2),
        (Kind::Email, _) => (0.15, 0.999),
        (Kind::Phone, Level::Equal) => (0.6, 0.000_005),
        (Kind::Phone, Level::Close) => (0.06, 0.000_05),
        (Kind::Phone, Level::Part) => (0.08, 0.000_5),
        (Kind::Phone, _) => (0.26, 0.999),
        (Kind::TaxId | Kind::Identifier, Level::Equal) => (0.88, 0.000_002),
        (Kind::TaxId | Kind::Identifier, Level::Close) => (0.07, 0.000_02),
        (Kind::TaxId | Kind::Identifier, Level::Similar) => (0.02, 0.000_5),
        (Kind::TaxId | Kind::Identifier, _) => (0.03, 0.999),
        (Kind::Website, Level::Equal) => (0.75, 0.000_02),
        (Kind::Website, Level::Close) => (0.08, 0.000_03),
        (Kind::Website, _) => (0.17, 0.999),
        (Kind::Street, Level::Equal) => (0.6, 0.000_05),
        (Kind::Street, Level::Swapped) => (0.02, 0.000_05),
        (Kind::Street, Level::Close) => (0.14, 0.000_1),
        (Kind::Street, Level::Similar) => (0.04, 0.001),
        (Kind::Street, Level::Part) => (0.06, 0.008),
        (Kind::Street, _) => (0.14, 0.99),
        (Kind::HouseNumber, Level::Equal) => (0.82, 0.02),
        (Kind::HouseNumber, Level::Close) => (0.08, 0.1),
        (Kind::HouseNumber, _) => (0.1, 0.88),
        (Kind::Locality, Level::Equal) => (0.75, 0.01),
        (Kind::Locality, Level::Swapped) => (0.01, 0.001),
        (Kind::Locality, Level::Close) => (0.08, 0.001),
        (Kind::Locality, Level::Similar) => (0.02, 0.003),
        (Kind::Locality, Level::Part) => (0.06, 0.02),
        (Kind::Locality, _) => (0.08, 0.966),
        (Kind::Postcode, Level::Equal) => (0.78, 0.002),
        (Kind::Postcode, Level::Close) => (0.08, 0.01),
        (Kind::Postcode, Level::Part) => (0.05, 0.03),
        (Kind::Postcode, _) => (0.09, 0.958),
        (Kind::Code, Level::Equal) => (0.92, 0.25),
        (Kind::Code, Level::Close) => (0.03, 0.05),
        (Kind::Code, _) => (0.05, 0.7),
        (Kind::Date, Level::Equal) => (0.88, 0.000_1),
        (Kind::Date, Level::Swapped) => (0.02, 0.000_05),
        (Kind::Date, Level::Close) => (0.05, 0.000_8),
        (Kind::Date, Level::Part) => (0.02, 0.01),
        (Kind::Date, _) => (0.03, 0.989),
        (Kind::Text, Level::Equal) => (0.5, 0.01),
        (Kind::Text, Level::Reordered) => (0.03, 0.001),
        (Kind::Text, Level::Close) => (0.1, 0.004),
        (Kind::Text, Level::Similar) => (0.1, 0.01),
        (Kind::Text, Level::Part) => (0.1, 0.04),
        (Kind::Text, Level::Initial) => (0.01, 0.001),
        (Kind::Text, _) => (0.16, 0.934),
    };
    Rate { m, u }
}

/// How often records of two entities agree so far or better in one field when they agree so far in another; none where nothing
/// is known to tie the two. Guesses as well: of what goes together almost everywhere.
pub(crate) const fn given(other: (Kind, Level), field: (Kind, Level)) -> Option<f64> {
    use Kind::{Code, Email, Locality, Postcode, Street, Website};
    use Level::{Close, Equal, Initial, Part, Similar};
    Some(match (other, field) {
        ((Postcode, Equal), (Locality, Equal)) => 0.9,
        ((Postcode, Equal), (Locality, Close | Similar | Part)) => 0.95,
        ((Postcode, Close | Part), (Locality, Equal)) => 0.3,
        ((Postcode, Close | Part), (Locality, Close | Similar | Part)) => 0.35,
        ((Locality, Equal | Close), (Postcode, Equal)) => 0.1,
        ((Locality, Equal | Close), (Postcode, Close)) => 0.3,
        ((Locality, Equal | Close), (Postcode, Part)) => 0.6,
        ((Postcode | Locality, Equal), (Code, Equal | Close)) => 0.95,
        ((Street, Equal | Close), (Postcode | Locality, Equal)) => 0.5,
        ((Street, Equal | Close), (Postcode | Locality, Close | Part)) => 0.55,
        ((Website, Equal | Close), (Email, Part)) => 0.9,
        ((Website, Equal | Close), (Email, Equal | Close | Initial)) => 0.02,
        ((Email, Equal | Close | Part), (Website, Equal | Close)) => 0.9,
        _ => return None,
    })
}
