//! The bitmaps of `changedFields` and `nulledFields`.
//!
//! Element 0 holds the top-level fields, one more element each compound with a part set. Hex of
//! big-endian bytes in capitals; bit *i* is the field at place *i* of the schema, the header being 0.

use crate::org::schema::{Kind, Object};

/// The bitmap of the fields for which `set` holds.
pub(crate) fn of(definition: &Object, set: impl Fn(usize) -> bool) -> Vec<String> {
    let mut top = 0u128;
    let mut nested = Vec::new();
    for (place, field) in definition.event_order.iter().enumerate() {
        let place = place + 1;
        match definition.fields[*field].kind {
            Kind::Address | Kind::PersonName => {
                let parts =
                    parts(definition, *field).enumerate().filter(|(_, part)| set(*part)).fold(0u128, |bits, (part, _)| bits | (1 << part));
                if parts != 0 {
                    nested.push(format!("{place}-{}", hex(parts)));
                }
            }
            _ if set(*field) => top |= 1 << place,
            _ => {}
        }
    }
    let mut bitmap = Vec::with_capacity(1 + nested.len());
    if top != 0 || !nested.is_empty() {
        bitmap.push(hex(top));
        bitmap.extend(nested);
    }
    bitmap
}

/// The parts of a compound, in schema order.
pub(crate) fn parts(definition: &Object, compound: usize) -> impl Iterator<Item = usize> {
    definition
        .fields
        .iter()
        .enumerate()
        .filter(move |(_, field)| field.component.is_some_and(|(parent, _)| parent == compound))
        .map(|(index, _)| index)
}

fn hex(bits: u128) -> String {
    let digits = format!("{bits:X}");
    if digits.len() % 2 == 1 { format!("0x0{digits}") } else { format!("0x{digits}") }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::org::objects::OBJECTS;
    use crate::org::schema::Object;

    #[track_caller]
    fn check(object: &str, fields: &[&str], expected: &[&str]) {
        let text = OBJECTS.iter().find(|text| text.trim().starts_with(&format!("{object} "))).copied().unwrap_or_default();
        let definition = match Object::parse(text) {
            Ok(definition) => definition,
            Err(error) => panic!("{error}"),
        };
        let places: Vec<_> = fields.iter().filter_map(|name| definition.field(name)).collect();
        assert_eq!(places.len(), fields.len());
        assert_eq!(of(&definition, |field| places.contains(&field)), expected);
    }

    #[test]
    fn bitmaps_agree_with_the_published_examples() {
        check("Account", &["Industry", "LastModifiedDate"], &["0x400800"]);
        check("Account", &["BillingStreet", "LastModifiedDate"], &["0x400000", "4-0x01"]);
        check("Account", &["Fax", "LastModifiedDate"], &["0x400080"]);
        check("Account", &["Description", "LastModifiedDate"], &["0x410000"]);
        check("Contact", &["FirstName", "LastName"], &["0x00", "2-0x06"]);
        check("Account", &[], &[]);
    }
}
