//! The org: its objects, records and transactions.
//!
//! One state behind one lock. A transaction is begun, changes records, and is committed as a whole:
//! commit turns what changed into change events. Nothing in here awaits.

pub(crate) mod assign;
pub(crate) mod convert;
pub(crate) mod derive;
pub(crate) mod dml;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod json;
pub(crate) mod objects;
pub(crate) mod schema;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod transaction;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::{ApiError, SimulatorError};
use crate::events::bus::Bus;
use crate::events::catalog::Catalog;
use crate::settings::{Settings, SettingsHandle};
use id::RecordId;
use schema::{CREATED_BY, CREATED_DATE, IS_DELETED, MODIFIED_BY, MODIFIED_DATE, MODSTAMP, Object};
use table::Table;
use value::{Row, Value};

/// Who changes records and by which interface: the source of `commitUser` and `changeOrigin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub user: RecordId,
    /// The change origin, empty for changes that come by no API.
    pub origin: String,
    /// API users do not see hidden fields; people at the page and embedding code do.
    pub(crate) restricted: bool,
}

impl Actor {
    /// A person at the Lightning user interface.
    #[must_use]
    pub fn lightning(user: RecordId) -> Self {
        Self { user, origin: "com/salesforce/api/soap/66.0;client=SfdcInternalAPI/".to_owned(), restricted: false }
    }

    /// A program at the REST API, with its `Sforce-Call-Options` client name if it sends one.
    #[must_use]
    pub fn rest(user: RecordId, client: Option<&str>) -> Self {
        Self { user, origin: rest_origin("rest", "66.0", client), restricted: false }
    }
}

/// `com/salesforce/api/rest/66.0;client=x`.
pub(crate) fn rest_origin(api: &str, version: &str, client: Option<&str>) -> String {
    match client {
        Some(client) => format!("com/salesforce/api/{api}/{version};client={client}"),
        None => format!("com/salesforce/api/{api}/{version}"),
    }
}

/// Well-known users of a new org.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Users {
    pub(crate) integration: RecordId,
    pub(crate) admin: RecordId,
}

/// Everything the org knows.
pub(crate) struct State {
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) tables: Vec<Table>,
    by_name: BTreeMap<String, usize>,
    by_prefix: BTreeMap<[u8; 3], usize>,
    pub(crate) clock: Clock,
    pub(crate) resolution_ms: i64,
    pub(crate) seed: u64,
    pub(crate) org_id: RecordId,
    pub(crate) users: Users,
    pub(crate) live: SettingsHandle,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) transactions: u64,
    pub(crate) commit_number: u64,
    /// Records written so far, for service time per record.
    pub(crate) written: u64,
}

impl State {
    pub(crate) fn new(settings: &Settings, live: SettingsHandle, bus: Arc<Bus>, catalog: Arc<Catalog>) -> Result<Self, SimulatorError> {
        let objects = objects::OBJECTS.iter().map(|text| Object::parse(text).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let mut state = Self {
            tables: Vec::new(),
            by_name: BTreeMap::new(),
            by_prefix: BTreeMap::new(),
            clock: settings.clock.clone(),
            resolution_ms: settings.time_resolution_ms.max(1),
            seed: settings.seed,
            org_id: RecordId::new(*b"00D", 100_000 + settings.seed),
            users: Users { integration: RecordId::new(*b"005", 1), admin: RecordId::new(*b"005", 2) },
            live,
            catalog,
            bus,
            transactions: 0,
            commit_number: 10_000_000,
            written: 0,
            objects: Vec::new(),
        };
        for object in objects {
            state.by_name.insert(object.name.to_lowercase(), state.objects.len());
            state.by_prefix.insert(object.prefix, state.objects.len());
            state.tables.push(Table::starting_at(1_000_000 + settings.seed % 1_000 * 1_000));
            state.catalog.define(&object);
            state.objects.push(object);
        }
        state.found(settings);
        Ok(state)
    }

    /// The records a new org has: two users, the stages, the standard price book.
    fn found(&mut self, settings: &Settings) {
        let now = self.now();
        if let Some(object) = self.index_of("User") {
            self.tables[object].next_number = 1;
            for (first, last, username) in
                [("Integration", "User", settings.username.as_str()), ("Ada", "Admin", "ada.admin@simulator.example")]
            {
                self.plant(
                    object,
                    now,
                    &[
                        ("Username", username),
                        ("FirstName", first),
                        ("LastName", last),
                        ("Name", &format!("{first} {last}")),
                        ("Email", username),
                        ("UserType", "Standard"),
                        ("IsActive", "true"),
                    ],
                );
            }
        }
        if let Some(object) = self.index_of("OpportunityStage") {
            for (order, stage) in objects::STAGES.iter().enumerate() {
                self.plant(
                    object,
                    now,
                    &[
                        ("MasterLabel", stage.name),
                        ("ApiName", stage.name),
                        ("IsActive", "true"),
                        ("SortOrder", &(order + 1).to_string()),
                        ("IsClosed", &stage.closed.to_string()),
                        ("IsWon", &stage.won.to_string()),
                        ("ForecastCategory", stage.category),
                        ("ForecastCategoryName", stage.category_name),
                        ("DefaultProbability", &stage.probability.to_string()),
                    ],
                );
            }
        }
        if let Some(object) = self.index_of("Organization") {
            self.tables[object].next_number = 100_000 + self.seed;
            self.plant(
                object,
                now,
                &[("Name", "Simulated Org"), ("InstanceName", "SIM1"), ("OrganizationType", "Enterprise Edition"), ("IsSandbox", "false")],
            );
        }
        if let Some(object) = self.index_of("Pricebook2") {
            self.plant(object, now, &[("Name", "Standard Price Book"), ("IsActive", "true"), ("IsStandard", "true")]);
        }
    }

    /// Puts a record in place with no transaction, event or check.
    fn plant(&mut self, object: usize, now: i64, texts: &[(&str, &str)]) {
        let definition = Arc::clone(&self.objects[object]);
        let mut values = vec![Value::Null; definition.fields.len()];
        for (name, text) in texts {
            if let Some(field) = definition.field(name) {
                values[field] = convert::from_plain_text(&definition.fields[field].kind, text);
            }
        }
        self.stamp_new(&mut values, now, self.users.admin);
        let number = self.next_number(object);
        self.tables[object].put(&definition, number, Some(Row::pack(&values, false)));
    }

    pub(crate) fn stamp_new(&self, values: &mut [Value], now: i64, user: RecordId) {
        values[IS_DELETED] = Value::Bool(false);
        for field in [CREATED_DATE, MODIFIED_DATE, MODSTAMP] {
            values[field] = Value::DateTime(now);
        }
        values[CREATED_BY] = Value::Id(user);
        values[MODIFIED_BY] = Value::Id(user);
    }

    pub(crate) fn next_number(&mut self, object: usize) -> u64 {
        let table = &mut self.tables[object];
        let number = table.next_number;
        table.next_number += 1;
        number
    }

    /// The time, at the org's resolution.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms() / self.resolution_ms * self.resolution_ms
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    pub(crate) fn object_of(&self, id: RecordId) -> Option<usize> {
        self.by_prefix.get(&id.prefix()).copied()
    }

    /// The object named in a path or an `attributes.type`.
    pub(crate) fn object(&self, name: &str) -> Result<usize, ApiError> {
        self.index_of(name).ok_or_else(ApiError::not_found)
    }

    pub(crate) fn id(&self, object: usize, number: u64) -> RecordId {
        RecordId::new(self.objects[object].prefix, number)
    }

    /// The row of an id, in the recycle bin or not.
    pub(crate) fn row(&self, id: RecordId) -> Option<(usize, u64, &Row)> {
        let object = self.object_of(id)?;
        let number = id.number()?;
        self.tables[object].get(number).map(|row| (object, number, row))
    }

    /// Whether an API user may not see the field.
    pub(crate) fn hidden(&self, object: &Object, field: usize) -> bool {
        self.live.read(|live| !live.hidden_fields.is_empty() && hides(&live.hidden_fields, object, field))
    }

    /// Appends a custom field; the object's event schema changes with it.
    pub(crate) fn add_field(&mut self, object: usize, line: &str) -> Result<(), SimulatorError> {
        let mut definition = Object::clone(&self.objects[object]);
        definition.add(line).ok_or_else(|| SimulatorError::Definition { reason: format!("{}: {line:?}", definition.name) })?;
        let definition = Arc::new(definition);
        self.catalog.define(&definition);
        self.objects[object] = definition;
        Ok(())
    }
}

pub(crate) fn hides(hidden: &[String], object: &Object, field: usize) -> bool {
    let name = &object.fields[field].name;
    hidden
        .iter()
        .any(|entry| entry.split_once('.').is_some_and(|(o, f)| o.eq_ignore_ascii_case(&object.name) && f.eq_ignore_ascii_case(name)))
}
