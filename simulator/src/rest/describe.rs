//! What the org is made of: versions, resources, limits, objects, fields, event schemas.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value as Json, json};

use super::{Call, Reply, Server};
use crate::error::ApiError;
use crate::org::State;
use crate::org::schema::{Field, Kind, Object};

/// `GET /services/data/`.
pub(crate) fn versions() -> Json {
    let labels = [(62, "Winter '25"), (63, "Spring '25"), (64, "Summer '25"), (65, "Winter '26"), (66, "Spring '26"), (67, "Summer '26")];
    Json::Array(labels.iter().map(|(version, label)| json!({"label": label, "url": format!("/services/data/v{version}.0"), "version": format!("{version}.0")})).collect())
}

/// `GET /services/data/vNN.0/`.
pub(crate) fn resources(call: &Call) -> Reply {
    let names = ["sobjects", "query", "queryAll", "limits", "composite", "jobs", "tooling"];
    let resources: Map<String, Json> =
        names.iter().map(|name| ((*name).to_owned(), json!(format!("/services/data/v{}/{name}", call.version)))).collect();
    Reply::json(200, Json::Object(resources))
}

/// `GET /limits`.
pub(crate) fn limits(server: &Arc<Server>) -> Reply {
    let (daily, allocation) = server.live.read(|live| (live.daily_api_requests, live.delivery_allocation));
    let used = server.calls.load(Ordering::Relaxed);
    let whole = |max: u64| json!({"Max": max, "Remaining": max});
    Reply::json(
        200,
        json!({
            "DailyApiRequests": {"Max": daily, "Remaining": daily.saturating_sub(used)},
            "DailyBulkApiBatches": whole(15_000),
            "DailyBulkV2QueryJobs": whole(10_000),
            "DailyBulkV2QueryFileStorageMB": whole(976_562),
            "DailyDeliveredPlatformEvents": {"Max": 25_000, "Remaining": allocation.unwrap_or(25_000)},
            "MonthlyPlatformEventsUsageEntitlement": whole(0),
            "HourlyPublishedPlatformEvents": whole(50_000),
            "DataStorageMB": whole(10_000),
        }),
    )
}

/// `GET /sobjects`.
pub(crate) fn global(state: &State, call: &Call) -> Result<Reply, ApiError> {
    let mut objects: Vec<Json> = state.objects.iter().map(|object| Json::Object(head(object, &call.version))).collect();
    let enabled = state.live.read(|live| live.change_events.clone());
    for object in state.objects.iter().filter(|object| enabled.contains(&object.name)) {
        let name = object.event_name();
        objects.push(json!({"name": name, "label": format!("{} Change Event", object.label), "keyPrefix": null, "queryable": false, "createable": false, "urls": {"eventSchema": format!("/services/data/v{}/sobjects/{name}/eventSchema", call.version)}}));
    }
    Ok(Reply::json(200, json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})))
}

/// `GET /sobjects/X`.
pub(crate) fn brief(state: &State, call: &Call, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    Ok(Reply::json(200, json!({"objectDescribe": head(&state.objects[object], &call.version), "recentItems": []})))
}

/// `GET /sobjects/X/describe`.
pub(crate) fn object(state: &State, call: &Call, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let definition = &state.objects[object];
    let mut body = head(definition, &call.version);
    let fields: Vec<Json> = definition
        .fields
        .iter()
        .enumerate()
        .filter(|(index, _)| !(call.actor.restricted && state.hidden(definition, *index)))
        .map(|(_, field)| field_json(definition, field))
        .collect();
    body.insert("fields".to_owned(), Json::Array(fields));
    body.insert("childRelationships".to_owned(), Json::Array(children(state, definition)));
    body.insert("recordTypeInfos".to_owned(), json!([]));
    Ok(Reply::json(200, Json::Object(body)))
}

fn children(state: &State, parent: &Object) -> Vec<Json> {
    let mut children = Vec::new();
    for child in &state.objects {
        for field in &child.fields {
            if matches!(&field.kind, Kind::Reference(targets) if targets.contains(&parent.name)) {
                children.push(json!({"childSObject": child.name, "field": field.name, "cascadeDelete": field.cascade, "restrictedDelete": field.restrict, "deprecatedAndHidden": false, "relationshipName": if field.name.ends_with("ById") { Json::Null } else { json!(child.plural.replace(' ', "")) }}));
            }
        }
    }
    children
}

fn head(object: &Object, version: &str) -> Map<String, Json> {
    let base = format!("/services/data/v{version}/sobjects/{}", object.name);
    let prefix = std::str::from_utf8(&object.prefix).unwrap_or_default();
    let mergeable = matches!(object.name.as_str(), "Account" | "Contact" | "Lead");
    let head = json!({
        "name": object.name,
        "label": object.label,
        "labelPlural": object.plural,
        "keyPrefix": prefix,
        "custom": object.name.ends_with("__c"),
        "customSetting": false,
        "createable": object.writable,
        "updateable": object.writable,
        "deletable": object.writable && object.name != "PricebookEntry",
        "undeletable": object.writable,
        "mergeable": mergeable,
        "queryable": true,
        "retrieveable": true,
        "replicateable": true,
        "searchable": true,
        "triggerable": object.writable,
        "layoutable": object.writable,
        "activateable": false,
        "deprecatedAndHidden": false,
        "feedEnabled": false,
        "urls": {"sobject": base, "describe": format!("{base}/describe"), "rowTemplate": format!("{base}/{{ID}}")},
    });
    match head {
        Json::Object(head) => head,
        _ => Map::new(),
    }
}

fn field_json(object: &Object, field: &Field) -> Json {
    let (kind, soap) = match &field.kind {
        Kind::Id => ("id", "tns:ID"),
        Kind::Reference(_) => ("reference", "tns:ID"),
        Kind::Text | Kind::PersonName | Kind::AutoNumber => ("string", "xsd:string"),
        Kind::TextArea => ("textarea", "xsd:string"),
        Kind::Phone => ("phone", "xsd:string"),
        Kind::Url => ("url", "xsd:string"),
        Kind::Email => ("email", "xsd:string"),
        Kind::Picklist { .. } => ("picklist", "xsd:string"),
        Kind::Boolean => ("boolean", "xsd:boolean"),
        Kind::Int => ("int", "xsd:int"),
        Kind::Double => ("double", "xsd:double"),
        Kind::Currency => ("currency", "xsd:double"),
        Kind::Percent => ("percent", "xsd:double"),
        Kind::Date => ("date", "xsd:date"),
        Kind::DateTime => ("datetime", "xsd:dateTime"),
        Kind::Address => ("address", "urn:address"),
    };
    let (values, restricted) = match &field.kind {
        Kind::Picklist { values, restricted } => (values.as_slice(), *restricted),
        _ => (&[][..], false),
    };
    let values: Vec<Json> = values
        .iter()
        .map(|value| json!({"active": true, "defaultValue": false, "label": value, "validFor": null, "value": value}))
        .collect();
    let references: &[String] = match &field.kind {
        Kind::Reference(targets) => targets,
        _ => &[],
    };
    let numeric = matches!(field.kind, Kind::Double | Kind::Currency | Kind::Percent);
    let length = if numeric || field.kind == Kind::Int { 0 } else { field.length };
    let system = ["Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"]
        .contains(&field.name.as_str());
    json!({
        "name": field.name,
        "label": field.label,
        "type": kind,
        "soapType": soap,
        "length": length,
        "byteLength": length * 3,
        "precision": if numeric { field.precision } else { 0 },
        "scale": if numeric { field.scale } else { 0 },
        "digits": if field.kind == Kind::Int { field.precision } else { 0 },
        "createable": field.create,
        "updateable": field.update,
        "nillable": !(field.required || system || field.kind == Kind::Boolean || field.kind == Kind::AutoNumber || field.defaulted.as_deref() == Some("me")),
        "defaultedOnCreate": field.defaulted.is_some() || system || field.kind == Kind::Boolean || field.kind == Kind::AutoNumber,
        "unique": field.unique,
        "externalId": field.external_id,
        "idLookup": field.id_lookup || field.kind == Kind::Id,
        "caseSensitive": false,
        "calculated": false,
        "autoNumber": field.kind == Kind::AutoNumber,
        "custom": field.custom,
        "restrictedPicklist": restricted,
        "dependentPicklist": false,
        "controllerName": null,
        "picklistValues": values,
        "referenceTo": references,
        "relationshipName": field.relationship(),
        "compoundFieldName": field.component.map(|(parent, _)| object.fields[parent].name.clone()),
        "encrypted": false,
        "filterable": !matches!(field.kind, Kind::Address),
        "groupable": false,
        "sortable": !matches!(field.kind, Kind::Address),
        "nameField": field.name == "Name",
        "htmlFormatted": false,
        "permissionable": !system && !field.required,
        "deprecatedAndHidden": false,
        "cascadeDelete": field.cascade,
        "defaultValue": null,
        "inlineHelpText": null,
    })
}

/// `GET /sobjects/XChangeEvent/eventSchema`.
pub(crate) fn event_schema_of(state: &State, name: &str) -> Result<Reply, ApiError> {
    event_schema(state, &state.catalog.current(name))
}

/// `GET /event/eventSchema/<id>`.
pub(crate) fn event_schema(state: &State, id: &str) -> Result<Reply, ApiError> {
    let schema = state.catalog.schema(id).ok_or_else(ApiError::not_found)?;
    let mut schema: Json = serde_json::from_str(&schema).map_err(|_| ApiError::not_found())?;
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("uuid".to_owned(), json!(id));
    }
    Ok(Reply::json(200, schema))
}
