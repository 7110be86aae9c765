//! Normal forms: the same for spellings of the same thing, none for values that say nothing about who somebody is.
//!
//! Each kind of value has a file. What is public here is what keys and mappings compare by; the rest is for the scored
//! comparison.

mod address;
mod day;
mod email;
mod fold;
mod identifier;
mod junk;
mod organisation;
mod person;
mod phone;

pub(crate) use address::{house_number, locality, postcode, street};
pub(crate) use day::day;
pub use email::{Address, address, domain, email};
pub(crate) use email::{is_shared, mail};
pub use fold::fold;
pub(crate) use fold::squeeze;
pub(crate) use identifier::{code, identifier, national_tax_id};
pub use identifier::{salesforce_id, tax_id};
pub use junk::says_nothing;
pub use organisation::name;
pub(crate) use organisation::organisation;
pub(crate) use person::person;
pub use phone::phone;
pub(crate) use phone::phone_digits;

/// The words of any text.
pub(crate) fn words(text: &str) -> Vec<String> {
    fold(text)
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| squeeze(&word.replace('\'', "")))
        .filter(|word| !word.is_empty())
        .collect()
}
