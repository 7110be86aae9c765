//! Names of the people behind user ids, looked up once; and which user is Concord itself.

use std::collections::{BTreeMap, BTreeSet};

use schemas::cdc::OURSELVES;
use serde_json::Value as Json;

use super::error::Result;
use super::fault::Fault;
use super::ids;
use super::rest::Rest;

/// Names that are kept; beyond that the cache begins anew.
const MAX_USERS: usize = 50_000;
const IDS_PER_QUERY: usize = 150;

/// Names by user id.
#[derive(Default)]
pub(crate) struct Users {
    names: BTreeMap<String, String>,
    /// Whom we sign in as, to read and to write.
    own: Option<String>,
}

impl Users {
    /// We signed in as this user. What a record says of its last hand is compared with it.
    pub(crate) fn signed_in_as(&mut self, user: Option<String>) {
        self.own = user;
    }

    /// Where the last change of a record came from, as far as its last hand tells: from us, or from who knows where.
    pub(crate) fn origin(&self, last: Option<&str>) -> Option<String> {
        self.own.as_deref().filter(|own| last == Some(*own)).map(|_| OURSELVES.to_owned())
    }

    /// The name of a user, or the id where the name is not known.
    pub(crate) fn name(&self, id: &str) -> Option<String> {
        (!id.is_empty()).then(|| self.names.get(id).cloned().unwrap_or_else(|| id.to_owned()))
    }

    /// Looks up the names that are missing. Users that our user may not see keep their id as name.
    pub(crate) async fn learn(&mut self, wanted: BTreeSet<String>, rest: &Rest) -> Result<()> {
        let missing: Vec<String> = wanted.into_iter().filter(|id| ids::is_id(id) && !self.names.contains_key(id)).collect();
        if self.names.len() + missing.len() > MAX_USERS {
            self.names.clear();
        }
        for chunk in missing.chunks(IDS_PER_QUERY) {
            let list = chunk.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
            let records =
                match rest.query("to read the names of users", &format!("SELECT Id, Name FROM User WHERE Id IN ({list})"), false).await {
                    Ok(records) => records,
                    Err(error) if error.fault() == Fault::Person => {
                        tracing::debug!(error = %error, "users have no names for us");
                        Vec::new()
                    }
                    Err(error) => return Err(error),
                };
            self.names.extend(chunk.iter().map(|id| (id.clone(), id.clone())));
            for record in records {
                if let (Some(id), Some(name)) = (record.get("Id").and_then(Json::as_str), record.get("Name").and_then(Json::as_str)) {
                    self.names.insert(ids::long_id(id), name.to_owned());
                }
            }
        }
        Ok(())
    }
}
