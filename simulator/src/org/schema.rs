//! Object and field definitions, read from the tables in [`super::objects`].
//!
//! The order of fields is the order of the object's change event, so it is part of the wire: new
//! fields are only ever appended.

use std::collections::HashMap;

use crate::error::SimulatorError;

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Id,
    Reference(Vec<String>),
    Text,
    TextArea,
    Phone,
    Url,
    Email,
    Picklist {
        values: Vec<String>,
        restricted: bool,
    },
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
    /// A compound of eight `component`s, not stored.
    Address,
    /// First and last name of a person; the text is derived from its components.
    PersonName,
    /// A number given by the org.
    AutoNumber,
}

/// One field of an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) length: usize,
    pub(crate) precision: u32,
    pub(crate) scale: u32,
    pub(crate) create: bool,
    pub(crate) update: bool,
    pub(crate) required: bool,
    pub(crate) defaulted: Option<String>,
    pub(crate) unique: bool,
    pub(crate) external_id: bool,
    pub(crate) id_lookup: bool,
    pub(crate) custom: bool,
    pub(crate) in_event: bool,
    /// Account.Name: a text whose event type has a person's name beside it.
    pub(crate) switchable: bool,
    /// Children are deleted with the parent this field names.
    pub(crate) cascade: bool,
    /// The parent this field names cannot be deleted while the child lives.
    pub(crate) restrict: bool,
    /// Index of the compound and the name of the part, for parts of a compound.
    pub(crate) component: Option<(usize, &'static str)>,
}

impl Field {
    /// Whether a record can be looked up by this field.
    pub(crate) fn indexed(&self) -> bool {
        self.external_id || self.unique || (self.id_lookup && self.kind == Kind::Email)
    }

    pub(crate) fn relationship(&self) -> Option<String> {
        match &self.kind {
            Kind::Reference(_) if self.custom => Some(self.name.replace("__c", "__r")),
            Kind::Reference(_) => Some(self.name.strip_suffix("Id").unwrap_or(&self.name).to_owned()),
            _ => None,
        }
    }
}

/// One object: its fields in event order and what may be done with its records.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) plural: String,
    pub(crate) prefix: [u8; 3],
    pub(crate) fields: Vec<Field>,
    /// Top-level fields of the change event, in its order; the header's place, 0, is left out.
    pub(crate) event_order: Vec<usize>,
    pub(crate) writable: bool,
    /// Fields by name in lower case.
    names: HashMap<String, usize>,
    /// Fields whose values find records: lookup texts and references to parents.
    pub(crate) keyed: Vec<usize>,
}

/// The positions of fields that every object has.
pub(crate) const ID: usize = 0;
pub(crate) const IS_DELETED: usize = 1;
pub(crate) const CREATED_DATE: usize = 2;
pub(crate) const CREATED_BY: usize = 3;
pub(crate) const MODIFIED_DATE: usize = 4;
pub(crate) const MODIFIED_BY: usize = 5;
pub(crate) const MODSTAMP: usize = 6;

/// Parts of an address: name in the event, suffix of the object's field, key in REST JSON.
pub(crate) const ADDRESS_PARTS: [(&str, &str); 8] = [
    ("Street", "street"),
    ("City", "city"),
    ("State", "state"),
    ("PostalCode", "postalCode"),
    ("Country", "country"),
    ("Latitude", "latitude"),
    ("Longitude", "longitude"),
    ("GeocodeAccuracy", "geocodeAccuracy"),
];

const NAME_PARTS: [&str; 3] = ["Salutation", "FirstName", "LastName"];

impl Object {
    /// Reads a definition: a head line `Name prefix Label|Plural [readonly]`, then one field a line.
    pub(crate) fn parse(text: &str) -> Result<Self, SimulatorError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().unwrap_or_default();
        let bad = |line: &str| SimulatorError::Definition { reason: format!("{head:?}: {line:?}") };
        let (name, rest) = head.split_once(' ').ok_or_else(|| bad(head))?;
        let (prefix, labels) = rest.split_once(' ').ok_or_else(|| bad(head))?;
        let (labels, writable) = labels.strip_suffix(" readonly").map_or((labels, true), |labels| (labels, false));
        let (label, plural) = labels.split_once('|').ok_or_else(|| bad(head))?;
        let mut object = Self {
            name: name.to_owned(),
            label: label.to_owned(),
            plural: plural.to_owned(),
            prefix: prefix.as_bytes().try_into().map_err(|_| bad(head))?,
            fields: Vec::new(),
            event_order: Vec::new(),
            writable,
            names: HashMap::new(),
            keyed: Vec::new(),
        };
        for line in [
            "Id id ro noevent",
            "IsDeleted bool ro noevent",
            "CreatedDate datetime ro",
            "CreatedById ref User ro",
            "LastModifiedDate datetime ro",
            "LastModifiedById ref User ro",
            "SystemModstamp datetime ro noevent",
        ] {
            object.add(line).ok_or_else(|| bad(line))?;
        }
        object.event_order.clear();
        for line in lines {
            if line == "@" {
                object.event_order.extend([CREATED_DATE, CREATED_BY, MODIFIED_DATE, MODIFIED_BY]);
            } else {
                object.add(line).ok_or_else(|| bad(line))?;
            }
        }
        Ok(object)
    }

    /// Appends the field (and, for a compound, its parts) that `line` describes; its index.
    pub(crate) fn add(&mut self, line: &str) -> Option<usize> {
        let (spec, listed) = line.split_once(" = ").map_or((line, None), |(spec, listed)| (spec, Some(listed)));
        let mut words = spec.split_whitespace();
        let name = words.next()?;
        if self.field(name).is_some() {
            return None;
        }
        let values = || listed.map(|listed| listed.split('|').map(|v| v.trim().to_owned()).collect()).unwrap_or_default();
        let custom = name.ends_with("__c");
        let mut field = Field {
            name: name.to_owned(),
            label: label_of(name),
            kind: Kind::Text,
            length: 0,
            precision: 0,
            scale: 0,
            create: true,
            update: true,
            required: false,
            defaulted: None,
            unique: false,
            external_id: false,
            id_lookup: false,
            custom,
            in_event: true,
            switchable: false,
            cascade: false,
            restrict: false,
            component: None,
        };
        field.kind = match words.next()? {
            "id" => Kind::Id,
            "text" => Kind::Text,
            "area" => Kind::TextArea,
            "phone" => Kind::Phone,
            "url" => Kind::Url,
            "email" => Kind::Email,
            "pick" => Kind::Picklist { values: values(), restricted: false },
            "bool" => Kind::Boolean,
            "int" => Kind::Int,
            "double" => Kind::Double,
            "currency" => Kind::Currency,
            "percent" => Kind::Percent,
            "date" => Kind::Date,
            "datetime" => Kind::DateTime,
            "ref" => Kind::Reference(words.next()?.split('|').map(str::to_owned).collect()),
            "address" => Kind::Address,
            "name" => Kind::PersonName,
            "auto" => Kind::AutoNumber,
            _ => return None,
        };
        field.length = match field.kind {
            Kind::Phone => 40,
            Kind::Email => 80,
            Kind::PersonName => 121,
            Kind::Id | Kind::Reference(_) => 18,
            Kind::Picklist { .. } | Kind::Url => 255,
            Kind::AutoNumber => 30,
            _ => 0,
        };
        for word in words {
            match word {
                "ro" => (field.create, field.update) = (false, false),
                "createonly" => field.update = false,
                "required" => field.required = true,
                "unique" => field.unique = true,
                "extid" => (field.external_id, field.id_lookup) = (true, true),
                "lookup" => field.id_lookup = true,
                "noevent" => field.in_event = false,
                "switchable" => field.switchable = true,
                "cascade" => field.cascade = true,
                "restrict" => field.restrict = true,
                "restricted" => {
                    if let Kind::Picklist { restricted, .. } = &mut field.kind {
                        *restricted = true;
                    }
                }
                _ => {
                    if let Some(default) = word.strip_prefix("default:") {
                        field.defaulted = Some(default.replace('_', " "));
                    } else if let Some((precision, scale)) = word.split_once(',') {
                        (field.precision, field.scale) = (precision.parse().ok()?, scale.parse().ok()?);
                    } else {
                        field.length = word.parse().ok()?;
                        field.precision = u32::try_from(field.length).ok()?;
                    }
                }
            }
        }
        if matches!(field.kind, Kind::Address | Kind::PersonName | Kind::AutoNumber | Kind::Id) {
            (field.create, field.update) = (false, false);
        }
        let (index, kind) = (self.fields.len(), field.kind.clone());
        if field.in_event {
            self.event_order.push(index);
        }
        let parent =
            matches!(field.kind, Kind::Reference(_)) && field.name != "OwnerId" && !["CreatedById", "LastModifiedById"].contains(&name);
        if field.indexed() || parent {
            self.keyed.push(index);
        }
        self.names.insert(name.to_ascii_lowercase(), index);
        self.fields.push(field);
        match kind {
            Kind::Address => self.add_address(name, index)?,
            Kind::PersonName => {
                for (line, part) in [("Salutation pick 40", 0), ("FirstName text 40", 1), ("LastName text 80 required", 2)] {
                    let line = if part == 0 { format!("{line} = Mr.|Ms.|Mrs.|Dr.|Prof.") } else { line.to_owned() };
                    let child = self.add(&line)?;
                    self.fields.get_mut(child)?.component = Some((index, NAME_PARTS[part]));
                    self.event_order.retain(|other| *other != child);
                }
            }
            _ => {}
        }
        Some(index)
    }

    fn add_address(&mut self, name: &str, index: usize) -> Option<()> {
        let stem = name.strip_suffix("Address")?.to_owned();
        for (part, kind) in ADDRESS_PARTS.iter().zip([
            "area 255",
            "text 40",
            "text 80",
            "text 20",
            "text 80",
            "double 18,15",
            "double 18,15",
            "pick 40 restricted",
        ]) {
            let listed = if part.0 == "GeocodeAccuracy" {
                " = Address|NearAddress|Block|Street|ExtendedZip|Zip|Neighborhood|City|County|State|Unknown"
            } else {
                ""
            };
            let child = self.add(&format!("{stem}{} {kind}{listed}", part.0))?;
            self.fields.get_mut(child)?.component = Some((index, part.0));
            self.event_order.retain(|other| *other != child);
        }
        Some(())
    }

    /// Index of the field with this API name; Salesforce ignores case.
    pub(crate) fn field(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_ascii_lowercase()).copied()
    }

    /// Index of the reference field that `Account` or `Parent__r` reaches through.
    pub(crate) fn relationship(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.relationship().is_some_and(|found| found.eq_ignore_ascii_case(name)))
    }

    /// Name of the change event object.
    pub(crate) fn event_name(&self) -> String {
        match self.name.strip_suffix("__c") {
            Some(stem) => format!("{stem}__ChangeEvent"),
            None => format!("{}ChangeEvent", self.name),
        }
    }
}

/// `BillingPostalCode` → `Billing Postal Code`; `Tax_Id__c` → `Tax Id`.
fn label_of(name: &str) -> String {
    let stem = name.strip_suffix("__c").unwrap_or(name);
    if stem != "Id" && stem.ends_with("Id") && !stem.contains('_') {
        return format!("{} ID", label_of(&stem[..stem.len() - 2]));
    }
    let mut label = String::new();
    let mut before = ' ';
    for c in stem.chars() {
        if c == '_' {
            label.push(' ');
        } else {
            if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
                label.push(' ');
            }
            label.push(c);
        }
        before = c;
    }
    label
}
