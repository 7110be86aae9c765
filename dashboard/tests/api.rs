//! The JSON under `/api/crm`: answers, errors, and the document that describes them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use dashboard::{Access, Scope, table};
use reqwest::Method;
use schemas::message::{Action, Choice, Decision};
use serde_json::{Value, json};

use crate::rows::{self, Conflict};
use crate::stack::Stack;

#[test]
fn the_description_names_exactly_the_routes_and_their_scopes() -> Result<()> {
    let text: Value = serde_json::from_str(include_str!("../openapi.json"))?;
    let mut described = BTreeSet::new();
    for (path, methods) in text["paths"].as_object().context("paths")? {
        for (method, what) in methods.as_object().context("methods")? {
            let scope = what["security"][0]["token"][0].as_str().unwrap_or_default().to_owned();
            assert!(
                what["responses"]["200"].is_object() && what["responses"]["401"].is_object() && what["responses"]["403"].is_object(),
                "{method} {path}"
            );
            described.insert((method.to_uppercase(), path.clone(), scope));
        }
    }
    let served: BTreeSet<_> = table()
        .into_iter()
        .filter(|route| route.path.starts_with("/api/crm"))
        .map(|route| {
            let scope = match route.access {
                Access::Open => String::new(),
                Access::Scope(scope) => scope.to_string(),
            };
            (route.method.to_string(), route.path.to_owned(), scope)
        })
        .collect();
    assert_eq!(described, served);
    Ok(())
}

/// Every key of an answer stands in the description, and every key that is required stands in the answer.
fn fits(description: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => &description["components"]["schemas"][name.rsplit('/').next().unwrap_or_default()],
        None => schema,
    };
    if let (Some(items), Value::Array(values)) = (schema.get("items"), value) {
        values.iter().for_each(|value| fits(description, items, value, &format!("{at}[]")));
    }
    if let (Some(properties), Value::Object(fields)) = (schema["properties"].as_object(), value) {
        for (name, value) in fields {
            let described = properties.get(name);
            assert!(described.is_some(), "{at}.{name} is not described");
            fits(description, described.unwrap_or(&Value::Null), value, &format!("{at}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(fields.contains_key(name), "{at}.{name} is missing");
        }
    }
}

#[tokio::test]
async fn answers_are_as_described() -> Result<()> {
    let stack = Stack::start().await?;
    let pool = &stack.pool;
    rows::all_well(pool).await?;
    rows::figures(pool).await?;
    rows::flow(pool, "erp", 2, 5, 1, 3).await?;
    rows::audit(pool, "a1", "A", "erp", json!(1), json!(2), 5).await?;
    rows::failed_write(pool, "w1").await?;
    rows::dead_letter(pool, "no").await?;
    Conflict::default().open(pool).await?;
    rows::review(pool, "e1", "e2", ("Northwind Traders", "Northwind Trading"), 60).await?;
    let made = Decision { batch: Some("b1".into()), write: Some("a1".into()), ..Decision::new("d1", "e1", Action::Undo, "Ada", 0) };
    rows::decision(pool, &made, Some(("refused", "edited since"))).await?;
    let description: Value = serde_json::from_str(include_str!("../openapi.json"))?;
    for route in table().into_iter().filter(|route| route.path.starts_with("/api/crm")) {
        let body = match route.path {
            "/api/crm/decisions" if route.method == Method::POST => {
                Some(json!({"decisions": [{"action": "undo", "write": "a1"}, {"action": "nonsense"}]}))
            }
            path => path.ends_with("/resolve").then(|| json!({"choice": "erp"})),
        };
        let id = ["decisions", "batches", "matches", "conflicts"]
            .into_iter()
            .zip(["d1", "b1", "e1~e2", "e1:1"])
            .find(|(part, _)| route.path.contains(part));
        let path = route.path.replace("{id}", id.map_or("", |(_, id)| id)).replace("/undo", "/undo?write=a1");
        let (status, answer) = stack.api(route.method.clone(), &path, Scope::Admin, body).await?;
        assert_eq!(status, 200, "{}: {answer}", route.path);
        let schema = &description["paths"][route.path][route.method.as_str().to_lowercase()]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        assert!(schema.is_object(), "{} has no schema", route.path);
        fits(&description, schema, &answer, route.path);
    }
    Ok(())
}

#[tokio::test]
async fn conflicts_come_page_by_page_without_gaps() -> Result<()> {
    let stack = Stack::start().await?;
    for nth in 0..5 {
        let (id, entity) = (format!("p{nth}:1"), format!("p{nth}"));
        Conflict { id: &id, entity: &entity, age_s: 100, ..Default::default() }.open(&stack.pool).await?;
    }
    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    for _ in 0..3 {
        let (_, page) =
            stack.api(Method::GET, &format!("/api/crm/conflicts?state=open&limit=2&cursor={cursor}"), Scope::Read, None).await?;
        seen.extend(page["items"].as_array().context("items")?.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((seen.len(), cursor.as_str()), (5, ""));
    let (status, error) = stack.api(Method::GET, "/api/crm/conflicts?state=lost", Scope::Read, None).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (422, Some("bad_parameter")));
    Ok(())
}

#[tokio::test]
async fn a_program_decides_once_and_is_told_why_not_twice() -> Result<()> {
    let stack = Stack::start().await?;
    Conflict::default().open(&stack.pool).await?;
    let path = "/api/crm/conflicts/e1:1/resolve";
    let (status, error) = stack.api(Method::POST, path, Scope::Sync, Some(json!({"choice": "value"}))).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (422, Some("value_missing")));
    let (status, error) = stack.api(Method::POST, path, Scope::Sync, Some(json!({"pick": "crm"}))).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (422, Some("bad_body")));
    let (status, answer) = stack.api(Method::POST, path, Scope::Sync, Some(json!({"choice": "value", "value": "190000.00"}))).await?;
    assert_eq!((status, answer["progress"]["stage"].as_str()), (200, Some("decided")));
    let (status, error) = stack.api(Method::POST, path, Scope::Sync, Some(json!({"choice": "crm"}))).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (409, Some("conflict_decided")));
    rows::settle(&stack.pool, "e1:1", None, &json!("190000.00"), "program crm.sync").await?;
    let (status, error) = stack.api(Method::POST, path, Scope::Sync, Some(json!({"choice": "crm"}))).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (409, Some("conflict_settled")));
    let found = stack.messages::<Decision>(&stack.topics.decisions()).await?;
    assert_eq!((found.len(), found[0].1.choice, found[0].1.actor.as_str()), (1, Choice::Value, "program crm.sync"));
    let (status, error) = stack.api(Method::GET, "/api/crm/conflicts/none", Scope::Read, None).await?;
    assert_eq!((status, error["error"]["code"].as_str()), (404, Some("not_found")));
    assert!(error["error"]["remedy"].as_str().is_some_and(|text| !text.is_empty()));
    Ok(())
}
