//! The registry in the log, its routes, and the clients that others use.

use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use schema_registry_converter::async_impl::avro::{AvroDecoder, AvroEncoder};
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedSchema};
use schemas::topic::Topics;
use serde_json::{Value, json};
use stream::registry::{LocalRegistry, routes};
use stream::{Class, EmbeddedLog, EmbeddedOptions, Error, HttpRegistry, Log, MemoryLog, MemoryOptions, Registry};

use crate::memory::wall_clock;

const ONE: &str = r#"{"type":"record","name":"Customer","namespace":"acme","fields":[{"name":"name","type":"string"}]}"#;
const TWO: &str = r#"{"type":"record","name":"Customer","namespace":"acme","fields":[{"name":"name","type":"string"},{"name":"city","type":["null","string"],"default":null}]}"#;
const WRONG: &str =
    r#"{"type":"record","name":"Customer","namespace":"acme","fields":[{"name":"name","type":"string"},{"name":"city","type":"string"}]}"#;

pub(crate) fn log() -> Arc<dyn Log> {
    Arc::new(MemoryLog::new(MemoryOptions::with_clock(wall_clock)))
}

async fn open(log: &Arc<dyn Log>) -> LocalRegistry {
    LocalRegistry::open(log.clone(), &Topics::new("", 4)).await.expect("opens")
}

/// Routes on a free port, and a client for them.
struct Served {
    url: String,
    client: reqwest::Client,
}

async fn serve(registry: LocalRegistry) -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    tokio::spawn(async move { axum::serve(listener, routes::router(registry)).await });
    // The provider that reqwest needs is chosen by whoever uses it first.
    HttpRegistry::new(&url).expect("is a URL");
    Served { url, client: reqwest::Client::builder().no_proxy().build().expect("builds") }
}

impl Served {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.client.request(method.parse().expect("is a method"), format!("{}{path}", self.url));
        let request = match body {
            Some(body) => request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body.to_string()),
            None => request,
        };
        let response = request.send().await.expect("answers");
        assert_eq!(response.headers()["content-type"], "application/vnd.schemaregistry.v1+json");
        (response.status().as_u16(), response.json().await.expect("is JSON"))
    }
}

#[tokio::test]
async fn the_same_schema_has_the_same_id_under_any_subject_and_white_space() {
    let registry = open(&log()).await;
    let id = registry.register("a-value", ONE).await.expect("registers");
    assert_eq!(registry.register("b-value", &ONE.replace(",", ",\n  ")).await.expect("registers"), id);
    assert_eq!(registry.register("a-value", ONE).await.expect("registers"), id);
    let other = registry.register("a-value", TWO).await.expect("registers");
    assert_ne!(other, id);
    assert_eq!(&*registry.schema(other).await.expect("is known"), TWO);
}

#[tokio::test]
async fn a_schema_that_cannot_read_the_latest_is_refused() {
    let registry = open(&log()).await;
    registry.register("a-value", ONE).await.expect("registers");
    let error = registry.register("a-value", WRONG).await.expect_err("is refused");
    assert!(matches!(&error, Error::Schema { subject, .. } if subject == "a-value"), "{error}");
    assert_eq!(error.class(), Class::Fatal);
    assert!(registry.register("a-value", "{").await.is_err());
    assert!(registry.schema(99).await.is_err());
}

#[tokio::test]
async fn what_was_registered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("makes a folder");
    let id = {
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens"));
        open(&log).await.register("a-value", ONE).await.expect("registers")
    };
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens"));
    let registry = open(&log).await;
    assert_eq!(&*registry.schema(id).await.expect("is known"), ONE);
    assert_eq!(registry.register("a-value", ONE).await.expect("registers"), id);
    assert!(registry.register("a-value", WRONG).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_of_several_processes_never_disagree() {
    registries_on_one_log_never_disagree(log()).await;
}

/// Several registries on one log, all registering at once.
pub(crate) async fn registries_on_one_log_never_disagree(log: Arc<dyn Log>) {
    let schema = |n: usize| format!(r#"{{"type":"record","name":"R{n}","fields":[]}}"#);
    let tasks = (0..4).map(|task| {
        let log = log.clone();
        tokio::spawn(async move {
            let registry = open(&log).await;
            let mut ids = Vec::new();
            for n in 0..12 {
                let n = (n + task * 5) % 12;
                loop {
                    // Each may be overtaken again and again; who retries gets there.
                    match registry.register(&format!("s{n}-value"), &schema(n)).await {
                        Ok(id) => break ids.push((n, id)),
                        Err(error) => assert!(matches!(error, Error::Fenced(_) | Error::Unavailable { .. }), "{error}"),
                    }
                }
            }
            ids.sort_unstable();
            ids
        })
    });
    let all = futures::future::join_all(tasks).await;
    let first = all[0].as_ref().expect("ends well").clone();
    assert!(all.iter().all(|ids| ids.as_ref().is_ok_and(|ids| *ids == first)));
    let distinct: std::collections::BTreeSet<u32> = first.iter().map(|(_, id)| *id).collect();
    assert_eq!(distinct.len(), 12);
    let registry = open(&log).await;
    for (n, id) in first {
        assert_eq!(&*registry.schema(id).await.expect("is known"), schema(n));
    }
}

#[tokio::test]
async fn the_client_that_data_teams_use_writes_and_reads_through_the_routes() {
    let log = log();
    let registry = open(&log).await;
    let served = serve(registry.clone()).await;
    let settings = || SrSettings::new_builder(served.url.clone()).no_proxy().build().expect("builds");
    let encoder = AvroEncoder::new(settings());
    let supplied = SuppliedSchema::new(Some("acme.Customer".into()), SchemaType::Avro, ONE.into());
    let strategy = SubjectNameStrategy::TopicNameStrategyWithSchema("golden.customer".into(), false, supplied);
    let bytes = encoder.encode(vec![("name", Avro::String("Ada".into()))], strategy).await.expect("encodes");
    // What Concord registered itself is found too, by subject alone.
    registry.register("golden.customer-value", TWO).await.expect("registers");
    let latest = SubjectNameStrategy::TopicNameStrategy("golden.customer".into(), false);
    let encoder = AvroEncoder::new(settings());
    let city = Avro::Union(1, Box::new(Avro::String("Graz".into())));
    let newer = encoder.encode(vec![("name", Avro::String("Bo".into())), ("city", city.clone())], latest).await.expect("encodes");
    let decoder = AvroDecoder::new(settings());
    let read = decoder.decode(Some(&bytes)).await.expect("decodes");
    assert_eq!(read.value, Avro::Record(vec![("name".into(), Avro::String("Ada".into()))]));
    let read = decoder.decode(Some(&newer)).await.expect("decodes");
    assert_eq!(read.value, Avro::Record(vec![("name".into(), Avro::String("Bo".into())), ("city".into(), city)]));
    let (id, _) = schemas::frame::unframe(&newer).expect("is framed");
    assert_eq!(Schema::parse_str(&registry.schema(id).await.expect("is known")).expect("parses"), Schema::parse_str(TWO).expect("parses"));
}

#[tokio::test]
async fn our_own_http_client_and_the_routes_agree_with_the_local_registry() {
    let log = log();
    let registry = open(&log).await;
    let served = serve(registry.clone()).await;
    let http = HttpRegistry::new(&served.url).expect("is a URL");
    let id = http.register("a-value", ONE).await.expect("registers");
    assert_eq!(registry.register("a-value", ONE).await.expect("registers"), id);
    assert_eq!(&*http.schema(id).await.expect("is known"), ONE);
    let error = http.register("a-value", WRONG).await.expect_err("is refused");
    assert!(matches!(&error, Error::Schema { reason, .. } if reason.contains("incompatible")), "{error}");
    let error = http.schema(77).await.expect_err("is unknown");
    assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("77")), "{error}");
    let gone = HttpRegistry::new("http://127.0.0.1:1").expect("is a URL").register("a-value", ONE).await.expect_err("nobody answers");
    assert_eq!(gone.class(), Class::Transient, "{gone}");
    assert!(HttpRegistry::new("registry:8081").is_err());
}

#[tokio::test]
async fn the_routes_answer_as_a_registry_does() {
    let served = serve(open(&log()).await).await;
    let schema = |text: &str| Some(json!({ "schema": text, "schemaType": "AVRO" }));
    let check = async |method: &str, path: &str, body: Option<Value>, status: u16, expected: Value| {
        assert_eq!(served.call(method, path, body).await, (status, expected), "{method} {path}");
    };
    check("GET", "/subjects", None, 200, json!([])).await;
    check("POST", "/subjects/a-value/versions", schema(ONE), 200, json!({ "id": 1 })).await;
    check("POST", "/subjects/a-value/versions", schema(ONE), 200, json!({ "id": 1 })).await;
    check("POST", "/subjects/a%2Fb-value/versions", schema(ONE), 200, json!({ "id": 1 })).await;
    check("POST", "/subjects/a-value/versions", schema(TWO), 200, json!({ "id": 2 })).await;
    check("GET", "/subjects", None, 200, json!(["a-value", "a/b-value"])).await;
    check("GET", "/subjects/a-value/versions", None, 200, json!([1, 2])).await;
    check("GET", "/subjects/a-value/versions/latest", None, 200, json!({ "subject": "a-value", "version": 2, "id": 2, "schema": TWO }))
        .await;
    check("GET", "/subjects/a-value/versions/1/schema", None, 200, serde_json::from_str(ONE).expect("is JSON")).await;
    check("POST", "/subjects/a-value", schema(ONE), 200, json!({ "subject": "a-value", "version": 1, "id": 1, "schema": ONE })).await;
    check("GET", "/schemas/ids/1", None, 200, json!({ "schema": ONE })).await;
    check(
        "GET",
        "/schemas/ids/1/versions",
        None,
        200,
        json!([{ "subject": "a-value", "version": 1 }, { "subject": "a/b-value", "version": 1 }]),
    )
    .await;
    check("GET", "/schemas/types", None, 200, json!(["AVRO"])).await;
    check("GET", "/config", None, 200, json!({ "compatibilityLevel": "BACKWARD" })).await;
    check("GET", "/config/a-value?defaultToGlobal=true", None, 200, json!({ "compatibilityLevel": "BACKWARD" })).await;
    check("POST", "/compatibility/subjects/a-value/versions/latest", schema(WRONG), 200, json!({ "is_compatible": false })).await;
    check("POST", "/compatibility/subjects/a-value/versions/1", schema(TWO), 200, json!({ "is_compatible": true })).await;

    let refused = async |method: &str, path: &str, body: Option<Value>, status: u16, code: u64| {
        let (found, answer) = served.call(method, path, body).await;
        assert_eq!((found, answer["error_code"].as_u64()), (status, Some(code)), "{method} {path}: {answer}");
        assert!(!answer["message"].as_str().unwrap_or_default().is_empty());
    };
    refused("POST", "/subjects/a-value/versions", schema(WRONG), 409, 409).await;
    refused("POST", "/subjects/a-value/versions", schema("nonsense"), 422, 42201).await;
    refused("POST", "/subjects/a-value/versions", Some(json!({ "schema": "{}", "schemaType": "PROTOBUF" })), 422, 42201).await;
    refused("GET", "/subjects/none/versions", None, 404, 40401).await;
    refused("GET", "/subjects/a-value/versions/9", None, 404, 40402).await;
    refused("GET", "/subjects/a-value/versions/zero", None, 422, 42202).await;
    refused("GET", "/schemas/ids/9", None, 404, 40403).await;
    refused("POST", "/subjects/a-value", schema(WRONG), 404, 40403).await;
    refused("GET", "/config/a-value", None, 404, 40408).await;
    refused("PUT", "/config", Some(json!({ "compatibility": "SOMETIMES" })), 422, 42203).await;

    check("PUT", "/config/a-value", Some(json!({ "compatibility": "NONE" })), 200, json!({ "compatibility": "NONE" })).await;
    check("GET", "/config/a-value", None, 200, json!({ "compatibilityLevel": "NONE" })).await;
    check("POST", "/subjects/a-value/versions", schema(WRONG), 200, json!({ "id": 3 })).await;
    check("DELETE", "/subjects/a-value/versions/3", None, 200, json!(3)).await;
    check("GET", "/subjects/a-value/versions", None, 200, json!([1, 2])).await;
    check("DELETE", "/subjects/a-value", None, 200, json!([1, 2])).await;
    refused("GET", "/subjects/a-value/versions", None, 404, 40401).await;
    check("GET", "/subjects?deleted=true", None, 200, json!(["a-value", "a/b-value"])).await;
    check("GET", "/schemas/ids/2", None, 200, json!({ "schema": TWO })).await;
    refused("GET", "/elsewhere", None, 404, 404).await;
}
