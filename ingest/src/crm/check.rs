//! What has to be true of an org before it can be read and written, each with what mends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{Channel, Config};
use super::error::Error;
use super::fault::Fault;
use super::layout::Layout;
use super::login::Login;
use super::object::Object;
use super::proto::TopicInfo;
use super::pubsub::PubSub;
use super::rest::Rest;
use super::{http, layout};
use crate::erp::Finding;

/// What the mapping does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Its values are read.
    Read,
    /// Its values are read and written.
    Write,
}

/// Fields of the mapping, by object.
pub type Needs = BTreeMap<String, BTreeMap<String, Use>>;

/// Looks at everything a source needs and changes nothing. An empty list means that reading can begin.
pub async fn check(config: &Config, needs: &Needs) -> Vec<Finding> {
    let place = format!("source {}", config.name);
    let org = match Org::new(config) {
        Ok(org) => org,
        Err(error) => return vec![finding(&place, &error)],
    };
    if let Err(error) = org.login.access().await {
        return vec![finding(&place, &error)];
    }
    let mut findings = Vec::new();
    let mut objects: BTreeMap<&str, Option<&BTreeMap<String, Use>>> = config.objects.iter().map(|object| (object.as_str(), None)).collect();
    for (object, fields) in needs {
        objects.insert(object, Some(fields));
    }
    if let Some(topic) = config.topic()
        && let Err(error) = org.can_subscribe(&topic).await
    {
        findings.push(error);
        return findings;
    }
    for (object, fields) in objects {
        match org.rest.describe(object).await {
            Err(error) => findings.push(finding(&format!("Salesforce object {object}"), &error)),
            Ok(described) => {
                findings.extend(object_findings(&described, object, fields));
                // On a custom channel the objects are the channel's own affair.
                if !matches!(config.channel, Channel::Custom(_)) && config.objects.iter().any(|followed| followed == object) {
                    match org.can_subscribe(&format!("/data/{}", layout::event_of(object))).await {
                        Err(finding) => findings.push(finding),
                        Ok(info) => findings.extend(org.event_findings(&info.schema_id, &described, fields).await),
                    }
                }
            }
        }
    }
    findings
}

struct Org {
    login: Arc<Login>,
    rest: Rest,
    pubsub: PubSub,
}

impl Org {
    fn new(config: &Config) -> Result<Self, Error> {
        config.validate()?;
        let http = http::client(config)?;
        let login = Arc::new(Login::new(config, http.clone()));
        Ok(Self { rest: Rest::new(config, http, login.clone()), pubsub: PubSub::new(config, login.clone())?, login })
    }

    /// Fields of the mapping that exist, but not in change events.
    async fn event_findings(&self, schema: &str, described: &Object, fields: Option<&BTreeMap<String, Use>>) -> Vec<Finding> {
        let place = format!("Salesforce object {}", described.name);
        let read = match self.pubsub.schema(schema).await {
            Ok(text) => Layout::new(&text, described).map_err(|reason| Error::Describe { object: described.name.clone(), reason }),
            Err(error) => Err(error),
        };
        match read {
            Ok(layout) => carried_findings(&layout, described, fields),
            Err(error) => vec![finding(&place, &error)],
        }
    }

    async fn can_subscribe(&self, topic: &str) -> Result<TopicInfo, Finding> {
        let place = format!("Salesforce event channel {topic}");
        match self.pubsub.topic(topic).await {
            Ok(info) if info.can_subscribe => Ok(info),
            Ok(_) => Err(Finding {
                place,
                what: "the integration user may not subscribe to it".to_owned(),
                remedy: "give the integration user View All Records on the object (and View All Users)".to_owned(),
            }),
            Err(error @ Error::PubSub { status: tonic::Code::NotFound, .. }) => Err(Finding {
                place,
                what: format!("the object is not enabled for change events ({error})"),
                remedy: "enable it under Setup, Change Data Capture".to_owned(),
            }),
            Err(error) => Err(finding(&place, &error)),
        }
    }
}

fn carried_findings(layout: &Layout, described: &Object, fields: Option<&BTreeMap<String, Use>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in fields.into_iter().flatten().map(|(name, _)| name) {
        let Some(field) = described.field(name).filter(|_| layout.schema.column(name).is_none()) else { continue };
        let (what, remedy) = match field.column() {
            None => ("it is a compound of other fields", "map its parts, such as BillingStreet and BillingCity"),
            Some(_) => (
                "change events do not carry it, so its changes would not be seen",
                "take it out of the mapping, or have a flow copy it to a field of the object's own",
            ),
        };
        findings.push(Finding {
            place: format!("Salesforce field {}.{name}", described.name),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
    findings
}

fn finding(place: &str, error: &Error) -> Finding {
    let remedy = match (error.remedy(), error.fault()) {
        ("", _) | (_, Fault::Passing) => "see that it can be reached from here, then try again",
        (remedy, _) => remedy,
    };
    Finding { what: error.to_string(), place: place.to_owned(), remedy: remedy.to_owned() }
}

fn object_findings(described: &Object, object: &str, fields: Option<&BTreeMap<String, Use>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !described.queryable {
        findings.push(Finding {
            place: format!("Salesforce object {object}"),
            what: "it cannot be queried".to_owned(),
            remedy: "take it out of the mapping; Salesforce gives no way to copy it".to_owned(),
        });
    }
    for (name, wanted) in fields.into_iter().flatten() {
        let place = format!("Salesforce field {object}.{name}");
        match described.field(name) {
            None => findings.push(Finding {
                place,
                what: "it does not exist, or is hidden from the integration user".to_owned(),
                remedy: "correct its API name in the mapping, or give the integration user read access to it (field-level security)"
                    .to_owned(),
            }),
            Some(field) if *wanted == Use::Write && !field.updateable && !field.createable => {
                let remedy = if field.calculated {
                    "let the mapping only read it; it is calculated"
                } else {
                    "let the mapping only read it, or give the integration user edit access to it (field-level security)"
                };
                findings.push(Finding { place, what: "it cannot be written".to_owned(), remedy: remedy.to_owned() });
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_or_read_only_field_is_named_with_what_mends_it() {
        let described = Object::parse(
            br#"{"name":"Account","queryable":true,"fields":[{"name":"Name","type":"string","updateable":true},{"name":"Total__c","type":"currency","calculated":true}]}"#,
        )
        .expect("a description");
        let fields =
            [("Name", Use::Write), ("Total__c", Use::Write), ("Gone__c", Use::Read)].map(|(name, wanted)| (name.to_owned(), wanted)).into();
        let findings = object_findings(&described, "Account", Some(&fields));
        let places: Vec<_> = findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["Salesforce field Account.Gone__c", "Salesforce field Account.Total__c"]);
        assert!(findings[1].remedy.contains("calculated"));
    }
}
