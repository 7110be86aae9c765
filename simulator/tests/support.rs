//! A running org with a REST client and a decoding Pub/Sub subscriber.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apache_avro::types::Value as Avro;
use reqwest::{Client, Method, Response};
use serde_json::{Value as Json, json};
use simulator::proto::pub_sub_client::PubSubClient;
use simulator::proto::{FetchRequest, FetchResponse, ReplayPreset, SchemaRequest};
use simulator::{Settings, Simulator};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

/// What a stream must do, it does within this time.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) token: String,
    client: Client,
}

impl World {
    pub(crate) async fn new() -> Result<Self> {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Result<Self> {
        let simulator = Simulator::start(settings).await?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", simulator.client_id()),
            ("client_secret", simulator.client_secret()),
        ];
        let answer: Json = client.post(format!("{}/services/oauth2/token", simulator.rest_url())).form(&form).send().await?.json().await?;
        let token = answer["access_token"].as_str().context("no access token")?.to_owned();
        Ok(Self { simulator, token, client })
    }

    pub(crate) fn http(&self) -> &Client {
        &self.client
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.rest_url())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(&format!("/services/data/v66.0{path}"))).bearer_auth(&self.token)
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Json) -> Result<(u16, Json)> {
        let request = self.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        answer(request.send().await?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Json)> {
        self.send(Method::GET, path, Json::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> Result<(u16, Json)> {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Json) -> Result<(u16, Json)> {
        self.send(Method::PATCH, path, body).await
    }

    pub(crate) async fn query(&self, soql: &str) -> Result<(u16, Json)> {
        answer(self.request(Method::GET, "/query").query(&[("q", soql)]).send().await?).await
    }

    /// Creates a record and gives its id.
    pub(crate) async fn create(&self, object: &str, fields: Json) -> Result<String> {
        let (status, body) = self.post(&format!("/sobjects/{object}"), fields).await?;
        anyhow::ensure!(status == 201, "{status} {body}");
        Ok(body["id"].as_str().context("no id")?.to_owned())
    }

    pub(crate) async fn pubsub(&self) -> Result<PubSub> {
        self.pubsub_as(&self.token).await
    }

    pub(crate) async fn pubsub_as(&self, token: &str) -> Result<PubSub> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.simulator.ca_pem()));
        let channel = Endpoint::from_shared(self.simulator.pubsub_url())?.tls_config(tls)?.connect().await?;
        let sign = Sign { token: token.to_owned(), url: self.simulator.rest_url(), org: self.simulator.org().org_id().to_string() };
        Ok(PubSubClient::with_interceptor(channel, sign))
    }

    pub(crate) async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.subscribe_from(topic, ReplayPreset::Latest, Vec::new(), 100).await
    }

    pub(crate) async fn subscribe_from(&self, topic: &str, preset: ReplayPreset, replay_id: Vec<u8>, credit: i32) -> Result<Subscription> {
        let mut client = self.pubsub().await?;
        let (requests, receiver) = mpsc::channel(8);
        let first = FetchRequest {
            topic_name: topic.to_owned(),
            replay_preset: preset.into(),
            replay_id: replay_id.into(),
            num_requested: credit,
            auth_refresh: String::new(),
        };
        requests.send(first).await?;
        let responses = client.subscribe(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Subscription { client, requests, responses, schemas: BTreeMap::new(), waiting: Vec::new() })
    }
}

pub(crate) type PubSub = PubSubClient<InterceptedService<Channel, Sign>>;

#[derive(Clone)]
pub(crate) struct Sign {
    token: String,
    url: String,
    org: String,
}

impl Interceptor for Sign {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in [("accesstoken", &self.token), ("instanceurl", &self.url), ("tenantid", &self.org)] {
            let value = AsciiMetadataValue::try_from(value.as_str()).map_err(|_| Status::internal("metadata"))?;
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }
}

/// A stream of decoded events.
pub(crate) struct Subscription {
    client: PubSub,
    pub(crate) requests: mpsc::Sender<FetchRequest>,
    pub(crate) responses: Streaming<FetchResponse>,
    schemas: BTreeMap<String, apache_avro::Schema>,
    waiting: Vec<Event>,
}

/// A decoded change event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) replay_id: Vec<u8>,
    pub(crate) schema_id: String,
    pub(crate) header: Json,
    pub(crate) body: Json,
}

impl Subscription {
    pub(crate) async fn response(&mut self) -> Result<FetchResponse> {
        match tokio::time::timeout(SOON, self.responses.message()).await.context("no response in time")?? {
            Some(response) => Ok(response),
            None => bail!("the stream ended"),
        }
    }

    /// The next event, in order of replay id.
    pub(crate) async fn event(&mut self) -> Result<Event> {
        while self.waiting.is_empty() {
            let response = self.response().await?;
            for consumed in response.events {
                let event = consumed.event.context("an event without content")?;
                let (header, body) = self.decode(&event.schema_id, &event.payload).await?;
                self.waiting.push(Event { id: event.id, replay_id: consumed.replay_id.to_vec(), schema_id: event.schema_id, header, body });
            }
        }
        Ok(self.waiting.remove(0))
    }

    pub(crate) async fn more(&self, credit: i32) -> Result<()> {
        Ok(self.requests.send(FetchRequest { num_requested: credit, ..FetchRequest::default() }).await?)
    }

    /// How the stream fails.
    pub(crate) async fn failure(&mut self) -> Result<Status> {
        loop {
            match tokio::time::timeout(SOON, self.responses.message()).await.context("no response in time")? {
                Ok(Some(_)) => {}
                Ok(None) => bail!("the stream ended without an error"),
                Err(status) => return Ok(status),
            }
        }
    }

    async fn decode(&mut self, schema_id: &str, payload: &[u8]) -> Result<(Json, Json)> {
        if !self.schemas.contains_key(schema_id) {
            let schema = self.client.get_schema(SchemaRequest { schema_id: schema_id.to_owned() }).await?.into_inner();
            self.schemas.insert(schema_id.to_owned(), apache_avro::Schema::parse_str(&schema.schema_json)?);
        }
        let schema = self.schemas.get(schema_id).context("schema")?;
        let mut rest = payload;
        let value = apache_avro::reader::datum::GenericDatumReader::builder(schema).build()?.read_value(&mut rest)?;
        anyhow::ensure!(rest.is_empty(), "{} bytes left over", rest.len());
        let Json::Object(mut body) = plain(value) else { bail!("not a record") };
        let header = body.remove("ChangeEventHeader").context("no header")?;
        Ok((header, Json::Object(body.into_iter().filter(|(_, value)| !value.is_null()).collect())))
    }
}

fn plain(value: Avro) -> Json {
    match value {
        Avro::Union(_, inner) => plain(*inner),
        Avro::Record(fields) => {
            Json::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).filter(|(_, value)| !value.is_null()).collect())
        }
        Avro::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Boolean(flag) => json!(flag),
        Avro::Int(number) => json!(number),
        Avro::Long(number) => json!(number),
        Avro::Double(number) => json!(number),
        _ => Json::Null,
    }
}

pub(crate) async fn answer(response: Response) -> Result<(u16, Json)> {
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Json::String(text))))
}

pub(crate) fn trailer(status: &Status) -> &str {
    status
        .metadata()
        .get("error-code")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim_start_matches("sfdc.platform.eventbus.grpc.")
}
