//! The Confluent REST routes, served from a [`LocalRegistry`], so that data teams' clients work without a registry.
//!
//! Left out: schema types other than Avro, references, modes, contexts, permanent deletion. Who may call is for
//! whoever mounts them to say.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compatibility::Level;
use super::local::LocalRegistry;
use super::refusal::Refusal;
use super::subjects::{Registered, Wanted};

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");

/// A whole server of a registry.
pub fn router(registry: LocalRegistry) -> Router {
    paths(registry).route("/", get(async || answer(&json!({})))).fallback(async || Problem {
        status: StatusCode::NOT_FOUND,
        code: 404,
        message: "HTTP 404 Not Found".into(),
    })
}

/// The routes of a registry, to be merged with others.
pub fn paths(registry: LocalRegistry) -> Router {
    Router::new()
        .route("/mode", get(async || answer(&json!({ "mode": "READWRITE" }))))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(find).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_schema))
        .route("/schemas/types", get(async || answer(&json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(by_id))
        .route("/schemas/ids/{id}/schema", get(by_id_schema))
        .route("/schemas/ids/{id}/versions", get(id_versions))
        .route("/schemas/ids/{id}/subjects", get(id_subjects))
        .route("/config", get(level).put(set_level))
        .route("/config/{subject}", get(subject_level).put(set_subject_level).delete(delete_subject_level))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible))
        .with_state(registry)
}

/// An error as Confluent's clients read it.
struct Problem {
    status: StatusCode,
    code: u32,
    message: String,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        if let Refusal::Log(error) = &refusal {
            tracing::warn!(%error, "the schema routes cannot reach the log");
        }
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: refusal.code(), message: refusal.to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, answer(&json!({ "error_code": self.code, "message": self.message }))).into_response()
    }
}

type Answer = Result<Response, Problem>;

fn answer(body: &impl Serialize) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], Json(body)).into_response().with_type()
}

trait WithType {
    fn with_type(self) -> Self;
}

impl WithType for Response {
    fn with_type(mut self) -> Self {
        self.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
        self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Supplied {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    deleted: bool,
    permanent: bool,
    verbose: bool,
    default_to_global: bool,
}

/// A body, whatever content type the client has named.
fn supplied(body: &[u8]) -> Result<Supplied, Refusal> {
    let supplied: Supplied = serde_json::from_slice(body).map_err(|error| Refusal::InvalidSchema(error.to_string()))?;
    match supplied.schema_type.as_deref() {
        None | Some("AVRO") if supplied.references.is_empty() => Ok(supplied),
        None | Some("AVRO") => Err(Refusal::InvalidSchema("references to other schemas are not offered here; write the schema out".into())),
        Some(other) => Err(Refusal::InvalidSchema(format!("type {other} is not offered here, only AVRO"))),
    }
}

fn wanted(version: &str) -> Result<Wanted, Refusal> {
    match version {
        "latest" | "-1" => Ok(Wanted::Latest),
        number => match number.parse() {
            Ok(number @ 1..=0x7fff_ffff) => Ok(Wanted::Number(number)),
            _ => Err(Refusal::InvalidVersion(version.to_owned())),
        },
    }
}

fn described(found: &Registered) -> Value {
    json!({ "subject": found.subject, "version": found.version, "id": found.id, "schema": &*found.schema })
}

fn raw(schema: &str) -> Response {
    schema.to_owned().into_response().with_type()
}

async fn subjects(State(registry): State<LocalRegistry>, Query(options): Query<Options>) -> Answer {
    Ok(answer(&registry.subjects(options.deleted).await?))
}

async fn versions(State(registry): State<LocalRegistry>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    let versions = registry.versions(&subject, options.deleted).await?;
    Ok(answer(&versions.iter().map(|found| found.version).collect::<Vec<_>>()))
}

async fn register(State(registry): State<LocalRegistry>, Path(subject): Path<String>, body: axum::body::Bytes) -> Answer {
    let id = registry.add(&subject, &supplied(&body)?.schema).await?;
    Ok(answer(&json!({ "id": id })))
}

async fn find(State(registry): State<LocalRegistry>, Path(subject): Path<String>, body: axum::body::Bytes) -> Answer {
    Ok(answer(&described(&registry.find(&subject, &supplied(&body)?.schema).await?)))
}

async fn version(State(registry): State<LocalRegistry>, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(answer(&described(&registry.version(&subject, wanted(&version)?).await?)))
}

async fn version_schema(State(registry): State<LocalRegistry>, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(raw(&registry.version(&subject, wanted(&version)?).await?.schema))
}

fn soft(options: &Options) -> Result<(), Refusal> {
    if options.permanent {
        return Err(Refusal::NotOffered("permanent deletion is not offered: messages on the log may still need the schema".into()));
    }
    Ok(())
}

async fn delete_subject(State(registry): State<LocalRegistry>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    soft(&options)?;
    Ok(answer(&registry.delete(&subject, None).await?))
}

async fn delete_version(
    State(registry): State<LocalRegistry>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    soft(&options)?;
    Ok(answer(&registry.delete(&subject, Some(wanted(&version)?)).await?.first()))
}

fn number(id: &str) -> Result<u32, Refusal> {
    id.parse().map_err(|_| Refusal::UnknownSchema(id.to_owned()))
}

async fn by_id(State(registry): State<LocalRegistry>, Path(id): Path<String>) -> Answer {
    let (schema, _) = registry.by_id(number(&id)?).await?;
    Ok(answer(&json!({ "schema": &*schema })))
}

async fn by_id_schema(State(registry): State<LocalRegistry>, Path(id): Path<String>) -> Answer {
    Ok(raw(&registry.by_id(number(&id)?).await?.0))
}

async fn id_versions(State(registry): State<LocalRegistry>, Path(id): Path<String>) -> Answer {
    let (_, uses) = registry.by_id(number(&id)?).await?;
    Ok(answer(&uses.iter().map(|found| json!({ "subject": found.subject, "version": found.version })).collect::<Vec<_>>()))
}

async fn id_subjects(State(registry): State<LocalRegistry>, Path(id): Path<String>) -> Answer {
    let (_, uses) = registry.by_id(number(&id)?).await?;
    let subjects: std::collections::BTreeSet<_> = uses.iter().map(|found| &found.subject).collect();
    Ok(answer(&subjects))
}

#[derive(Deserialize)]
struct Config {
    compatibility: String,
}

async fn set(registry: &LocalRegistry, subject: Option<&str>, body: &[u8]) -> Answer {
    let config: Config = serde_json::from_slice(body).map_err(|error| Refusal::InvalidLevel(error.to_string()))?;
    let level: Level = config.compatibility.to_uppercase().parse().map_err(|()| Refusal::InvalidLevel(config.compatibility))?;
    registry.set_level(subject, Some(level)).await?;
    Ok(answer(&json!({ "compatibility": level.name() })))
}

fn shown(level: Level) -> Response {
    answer(&json!({ "compatibilityLevel": level.name() }))
}

async fn level(State(registry): State<LocalRegistry>) -> Answer {
    Ok(shown(registry.level(None).await?))
}

async fn set_level(State(registry): State<LocalRegistry>, body: axum::body::Bytes) -> Answer {
    set(&registry, None, &body).await
}

async fn subject_level(State(registry): State<LocalRegistry>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    match registry.level(Some(&subject)).await {
        Err(Refusal::NoLevel(_)) if options.default_to_global => Ok(shown(registry.level(None).await?)),
        found => Ok(shown(found?)),
    }
}

async fn set_subject_level(State(registry): State<LocalRegistry>, Path(subject): Path<String>, body: axum::body::Bytes) -> Answer {
    set(&registry, Some(&subject), &body).await
}

async fn delete_subject_level(State(registry): State<LocalRegistry>, Path(subject): Path<String>) -> Answer {
    let level = registry.level(Some(&subject)).await?;
    registry.set_level(Some(&subject), None).await?;
    Ok(answer(&json!({ "compatibility": level.name() })))
}

fn judged(objections: Vec<String>, options: &Options) -> Response {
    let compatible = objections.is_empty();
    if options.verbose {
        answer(&json!({ "is_compatible": compatible, "messages": objections }))
    } else {
        answer(&json!({ "is_compatible": compatible }))
    }
}

async fn compatible(
    State(registry): State<LocalRegistry>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
    body: axum::body::Bytes,
) -> Answer {
    let objections = registry.objections(&subject, &supplied(&body)?.schema, Some(wanted(&version)?)).await?;
    Ok(judged(objections, &options))
}

async fn compatible_all(
    State(registry): State<LocalRegistry>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    body: axum::body::Bytes,
) -> Answer {
    Ok(judged(registry.objections(&subject, &supplied(&body)?.schema, None).await?, &options))
}
